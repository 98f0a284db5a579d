"""A clock that stands still while the machine does: for bounds in seconds.

A bound is about what Purser waits for. On a machine with two busy cores a process may not run for a
second or two, and a wall clock would blame Purser. This clock is moved by a thread, tick by tick; a
tick that comes late counts as `LATE_TICK_SECONDS`. Whoever waits (sleeps, reads, holds a lock) lets
the thread run, so that is counted in full.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TICK_SECONDS = 0.01
LATE_TICK_SECONDS = 0.05

Clock = Callable[[], float]


@contextmanager
def awake_clock() -> Iterator[Clock]:
    """Give the clock: call it for the seconds since its begin in which the machine ran."""
    passed = 0.0
    ended = threading.Event()

    def tick() -> None:
        nonlocal passed
        before = time.monotonic()
        while not ended.wait(TICK_SECONDS):
            now = time.monotonic()
            passed += min(now - before, LATE_TICK_SECONDS)
            before = now

    thread = threading.Thread(target=tick, name="awake-clock", daemon=True)
    thread.start()
    try:
        yield lambda: passed
    finally:
        ended.set()
        thread.join()
