"""How the parts of a worker end together."""

import asyncio

import pytest
from tests.fakes.deaf import Deaf

from chassis import ending
from user_worker import main


async def test_when_its_owner_fails_a_worker_ends_though_a_cancellation_gets_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that goes on without its owner serves nobody and is not replaced."""
    monkeypatch.setattr(ending, "INSIST_SECONDS", 0.001)
    deaf = Deaf(times=1)

    async def fails() -> None:
        raise ValueError("a mistake")

    async with asyncio.timeout(5):
        with pytest.raises(ExceptionGroup) as failed:
            await main._until_owner_left(fails(), deaf())

    assert deaf.lost == 1
    assert [ValueError] == [type(error) for error in failed.value.exceptions]
