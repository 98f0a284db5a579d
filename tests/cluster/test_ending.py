"""That a pod runner which was told to end does end."""

import asyncio

import pytest
from tests.cluster.podrunner.runner import cancel_until_done


async def test_a_lost_cancellation_is_sent_again() -> None:
    """The task ends although it swallowed the first one."""
    lost = 0

    async def swallow_once() -> None:
        nonlocal lost
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            lost += 1
        await asyncio.sleep(60)

    task = asyncio.create_task(swallow_once())
    await asyncio.sleep(0)
    await cancel_until_done(task, period_seconds=0.01)

    assert lost == 1
    assert task.cancelled()


async def test_the_error_of_a_runner_that_failed_is_told() -> None:
    """Ending hides nothing."""

    async def fail() -> None:
        raise OSError("no such node")

    task = asyncio.create_task(fail())
    await asyncio.wait({task})

    with pytest.raises(OSError, match="no such node"):
        await cancel_until_done(task)
