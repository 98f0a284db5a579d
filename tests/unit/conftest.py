"""What every unit test may rely on: logging as it is in a process that has configured nothing."""

import pytest
import structlog


@pytest.fixture(autouse=True)
def logging_as_in_a_new_process() -> None:
    """A server started earlier in the same test process has set the level of its own log."""
    structlog.reset_defaults()
