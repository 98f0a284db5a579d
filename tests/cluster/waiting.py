"""Waiting for what a cluster does in its own time."""

import asyncio
from collections.abc import Awaitable, Callable

WITHIN_SECONDS = 60.0
"""Long enough for a busy machine; a test that waits this long has failed."""

PERIOD_SECONDS = 0.1


async def eventually(
    condition: Callable[[], Awaitable[bool]], within_seconds: float = WITHIN_SECONDS
) -> None:
    """Returns when `condition` holds. Raises TimeoutError when it has not within the time."""
    async with asyncio.timeout(within_seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for is another process's
            await asyncio.sleep(PERIOD_SECONDS)
