"""From the version before to this one while people trade: the schema first, then one program after
another.

What a release promises: its migrations leave the version before working for as long as it takes to
replace it, and both versions work side by side. Nothing is lost and no answer fails.
"""

import asyncio
import contextlib
import signal
from decimal import Decimal
from pathlib import Path

import pytest
from tests.chaos.crowd import SYMBOLS, Crowd
from tests.chaos.run import MARKET, PLANS, beside
from tests.chaos.settling import settle, stack_traces
from tests.chaos.telegram import Telegram, patient_http
from tests.e2e.live_run import LiveRun, running
from tests.e2e.releases import TREE, Release, checked_out, find_version_before
from tests.e2e.restoring import talking_to, telegram_beside
from tests.history.checker import judge
from tests.history.records import HistoryFile

from devbox.database import migrate_rooms
from devbox.servers.postgresql import OWNER, make_url
from devbox.world import DATABASE, owner_password

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

USERS = range(920_000, 920_020)
RATE = 4.0
ON_THE_NEW_SCHEMA_SECONDS = 8.0
"""How long the version before works on alone."""
BOTH_SECONDS_MAX = 120.0
SETTLE_SECONDS_MAX = 30.0
TRADES_FEWEST = 15
PRICES = dict.fromkeys(SYMBOLS, Decimal(100))
HOUSE = MARKET | PLANS | {"DEVBOX_USERS_PER_SHARD": "5"}
ORDER = (
    "pricing",
    "wallet",
    "ledger",
    "purser-user-worker-0",
    "purser-user-worker-1",
    "gateway-0",
    "gateway-1",
)


async def test_nothing_is_lost_and_no_answer_fails_in_an_upgrade(tmp_path: Path) -> None:
    """People trade from before the migrations until everything is replaced."""
    before = find_version_before()
    if not before:
        pytest.skip("There is no version before: clone with the whole history, tags included.")
    async with contextlib.AsyncExitStack() as stack:
        old_tree = await stack.enter_async_context(checked_out(before, tmp_path / "before"))
        release = Release(tmp_path / "release")
        release.turn_to(old_tree)
        address = await stack.enter_async_context(telegram_beside())
        http = await stack.enter_async_context(patient_http())
        history = stack.enter_context(HistoryFile(tmp_path / "history.jsonl"))
        telegram = Telegram(address, http, history)
        await stack.enter_async_context(beside(telegram.follow(USERS)))
        house = HOUSE | talking_to(address) | release.environ
        run = await stack.enter_async_context(
            running(tmp_path / "data", "--port", "0", "--gateways", "2", **house)
        )
        run.folder.pin_workers(2)
        assert _trees(run, release) == {old_tree}

        crowd = Crowd(telegram, USERS, PRICES, seed=1)
        await crowd.sign_up()
        await crowd.live_by_rules()
        enough = asyncio.Event()
        async with asyncio.timeout(BOTH_SECONDS_MAX), asyncio.TaskGroup() as group:
            group.create_task(crowd.act(RATE, enough=enough))
            await migrate_rooms(_owner_url(run))
            await asyncio.sleep(ON_THE_NEW_SCHEMA_SECONDS)
            release.turn_to(TREE)
            for name in ORDER:
                await _replace(run, name)
            enough.set()
        assert crowd.deeds.impatient == 0, "somebody was not answered"
        assert _trees(run, release) == {TREE}
        await crowd.panic()
        # Books that cannot be read any more are waited for as those of a server that is away.
        async with asyncio.timeout(2 * SETTLE_SECONDS_MAX):
            settled_seconds, books = await settle(run.database, history.records, SETTLE_SECONDS_MAX)
        traces = stack_traces(run.folder.logs.glob("*.log*"))
    assert judge(history.records, books) == []
    assert settled_seconds is not None
    assert crowd.deeds.impatient == 0, "somebody was not answered at the end"
    assert len(books.trades) >= TRADES_FEWEST
    assert traces == []


async def _replace(run: LiveRun, name: str) -> None:
    """End a program as a pod is ended; another one is started in its place."""
    run.kill(name, signal.SIGTERM)
    await run.until_serving_again(name)


def _trees(run: LiveRun, release: Release) -> set[Path]:
    """The trees that the replaceable programs of a run are of."""
    return {release.of(pid) for name in ORDER if (pid := run.pid(name)) is not None}


def _owner_url(run: LiveRun) -> str:
    return make_url(OWNER, owner_password(run.folder), run.report.ports["database"], DATABASE)
