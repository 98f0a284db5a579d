"""Ending tasks for certain.

One cancellation can get lost: Python 3.11's `asyncio.wait_for` swallows one that arrives in the
moment its work is done, and the Redis client sends each command through it. A loop that loses its
only cancellation goes on for ever, and so does whoever waits for its end. So it is told again, each
task by itself: a task group passes only its first cancellation on to its members.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

INSIST_SECONDS = 0.5
"""How long a task may take to end before it is told again."""


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until all have ended; what they raised is left in them."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=INSIST_SECONDS)
