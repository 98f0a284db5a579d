"""The clock for bounds: what is waited for counts, a machine that stands still does not."""

import time

import pytest
from tests.awake import awake_clock


def test_a_wait_is_counted() -> None:
    """Whoever sleeps lets the clock go on."""
    with awake_clock() as clock:
        time.sleep(0.3)
        assert clock() > 0.1


def test_a_standstill_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour between two ticks is one late tick."""
    with awake_clock() as clock:
        before = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: before() + 3600)
        time.sleep(0.1)
        assert clock() < 60
