"""Agents that end are started again, as the init of a machine does.

Each has a thread that looks after it. The kernel ends a child with the thread that started it
(`tests.cluster.children`), so the thread lives until the agent was stopped, and stops it itself.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.cluster.children import Child

LOOK_SECONDS = 0.2
START_SPACING_SECONDS = 1.0
"""Least time between two starts of one that ends at once."""


def _tell(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


@contextmanager
def watched(agent: Child, tell: Callable[[str], None] = _tell) -> Iterator[None]:
    """Have an agent run for as long as the context lasts, then stop it. What it printed before it
    ended is in its log, which goes on; that it ended is told.
    """
    stopping = threading.Event()

    def look_after(child: Child) -> None:
        started_at = time.monotonic()
        while not stopping.wait(LOOK_SECONDS):
            if child.running:
                continue
            tell(f"{child.name} ended with status {child.process.returncode}; it is started again.")
            if stopping.wait(max(0.0, started_at + START_SPACING_SECONDS - time.monotonic())):
                break
            child, started_at = child.again(), time.monotonic()
        child.stop()

    thread = threading.Thread(target=look_after, args=(agent,), name=f"watches {agent.name}")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
