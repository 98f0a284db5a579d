"""How what a leader does ends together."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.fakes.deaf import Deaf

from chassis import ending
from shard_operator import main


async def test_a_leader_told_to_end_gives_its_lease_up_though_a_cancellation_gets_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reconciling asks Redis, whose client may lose one."""
    monkeypatch.setattr(ending, "INSIST_SECONDS", 0.001)
    deaf, done = Deaf(times=1), list[str]()

    async def goes_on(*_: object) -> None:
        await asyncio.Event().wait()

    async def notes(what: str) -> None:
        done.append(what)

    monkeypatch.setattr(main, "listen_placement", goes_on)
    monkeypatch.setattr(main, "_keep_telling_invalid", goes_on)
    operator = SimpleNamespace(
        leadership=SimpleNamespace(
            acquire=lambda: notes("acquire"), keep=goes_on, release=lambda: notes("release")
        ),
        watching=SimpleNamespace(
            list_until_known=lambda: notes("list"), watch=goes_on, relist=goes_on
        ),
        loop=SimpleNamespace(run=deaf),
        settings=SimpleNamespace(listen_database_url="postgresql://nowhere"),
        wake=lambda: None,
    )
    leading = asyncio.create_task(main._lead(cast("Any", operator)))
    await asyncio.sleep(0.01)
    leading.cancel()
    await asyncio.wait({leading}, timeout=5)

    assert deaf.lost == 1
    assert leading.cancelled()
    assert done == ["acquire", "list", "release"]
