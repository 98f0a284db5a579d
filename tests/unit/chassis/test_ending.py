"""Ending tasks for certain."""

import asyncio

import pytest
from tests.fakes.deaf import Deaf

from chassis import ending
from chassis.ending import end_tasks


async def test_a_task_that_loses_cancellations_is_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until it ends, while others end at once."""
    monkeypatch.setattr(ending, "INSIST_SECONDS", 0.001)
    deaf = Deaf(times=3)

    losing, quick = asyncio.create_task(deaf()), asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end_tasks([losing, quick])

    assert deaf.lost == 3
    assert losing.cancelled()
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
