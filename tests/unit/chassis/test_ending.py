"""Ending tasks for certain."""

import asyncio

import pytest

from chassis import ending
from chassis.ending import end_tasks


async def test_a_task_that_loses_cancellations_is_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until it ends, while others end at once."""
    monkeypatch.setattr(ending, "INSIST_SECONDS", 0.001)
    lost = 0

    async def loses_three() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if lost == 3:
                    raise
                lost += 1

    deaf, quick = asyncio.create_task(loses_three()), asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end_tasks([deaf, quick])

    assert lost == 3
    assert deaf.cancelled()
    assert quick.cancelled()


async def test_what_a_task_raised_is_left_in_it() -> None:
    """Whoever owns it decides; no task is no wait."""

    async def fails() -> None:
        raise ValueError("its own")

    failed = asyncio.create_task(fails())
    await asyncio.sleep(0)
    await end_tasks([failed])
    await end_tasks([])

    with pytest.raises(ValueError, match="its own"):
        failed.result()
