"""What every unit test may rely on: logging as it is in a process that has configured nothing, and
virtual time for the modules that ask for it with `pytestmark = pytest.mark.virtual_time`.
"""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import structlog
from tests.unit.chassis.virtual_time import VirtualLoop


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Choose the event loop of a test."""
    is_virtual = item.get_closest_marker("virtual_time") is not None
    return {"virtual": VirtualLoop} if is_virtual else {"real": asyncio.new_event_loop}


@pytest.fixture(autouse=True)
def logging_as_in_a_new_process() -> None:
    """A server started earlier in the same test process has set the level of its own log."""
    structlog.reset_defaults()
