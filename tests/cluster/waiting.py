"""Waiting for what a cluster does in its own time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

WITHIN_SECONDS = 60.0
"""Long enough for a busy machine; a test that waits this long has failed."""

PERIOD_SECONDS = 0.1

Answer = TypeVar("Answer")


async def eventually(
    condition: Callable[[], Awaitable[bool]], within_seconds: float = WITHIN_SECONDS
) -> None:
    """Returns when `condition` holds. Raises TimeoutError when it has not within the time."""
    async with asyncio.timeout(within_seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for is another process's
            await asyncio.sleep(PERIOD_SECONDS)


async def until(
    ask: Callable[[], Awaitable[Answer]],
    holds: Callable[[Answer], bool],
    hope: str,
    within_seconds: float = WITHIN_SECONDS,
) -> Answer:
    """The first answer that holds. Fails the test with the hope and the last answer when none does
    within the time.
    """
    answer: Answer | None = None

    async def is_so() -> bool:
        nonlocal answer
        answer = await ask()
        return holds(answer)

    try:
        await eventually(is_so, within_seconds)
    except TimeoutError:
        pytest.fail(f"{hope}: not within {within_seconds:.0f} s; last seen {answer!r}")
    assert answer is not None
    return answer
