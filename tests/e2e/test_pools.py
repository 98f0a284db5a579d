"""Users move between two pools while they trade: nothing is lost or done twice, whatever dies.

The whole of Purser runs with a worker for each of two pools, and a crowd trades all the while, with
plans, copies and orders that wait. Users are moved there and back in the middle of it, one by one
and many at once. Nothing in Purser knows of this test: a mover is stopped at a step by a lock on
the table that its next step must write, and killed there. The books are judged at the end as
`make chaos` judges its runs.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.chaos.crowd import SYMBOLS, Crowd
from tests.chaos.run import (
    CHATS_CATCH_UP_SECONDS,
    FIRST_USER,
    MARKET,
    PLANS,
    beside,
    settle,
)
from tests.chaos.telegram import Telegram
from tests.chaos.watching import PlacementWatch, PriceWatch
from tests.e2e.live_run import LiveRun, running
from tests.e2e.two_pools import (
    FAST,
    MOVER,
    STANDARD,
    assert_nothing_is_elsewhere,
    moved,
    mover,
    open_second_pool,
    working_second_pool,
)
from tests.history.books import Books, Step
from tests.history.checker import judge
from tests.history.records import HistoryFile

pytestmark = pytest.mark.timeout(240)

USERS = 12
ACTS_PER_SECOND = 4.0
STEPS = (
    "gateway.users",
    "gateway.inbox",
    "worker.orders",
    "worker.preferences",
    "venue.users",
    "ledger.users",
    "wallet.wallets",
    "wallet.audit_log",
)
"""Each step of a move begins with a row of such a table, in this order."""
TRADES_FEWEST = 10
ACTING_SECONDS = 30.0
STEP_SECONDS = 20.0
PATIENT = (
    f"ALTER ROLE {MOVER} SET lock_timeout = '20s'",
    f"ALTER ROLE {MOVER} SET transaction_timeout = '20s'",
)
"""For a mover that is to be found waiting."""
HASTY = (
    f"ALTER ROLE {MOVER} SET lock_timeout = '300ms'",
    f"ALTER ROLE {MOVER} SET transaction_timeout = '800ms'",
)
"""As the migration has it."""

_WAITS = """
SELECT EXISTS (SELECT FROM pg_stat_activity a JOIN pg_locks l USING (pid)
    WHERE a.usename = $1 AND NOT l.granted AND l.relation = $2::text::regclass)
"""
_IS_THERE = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE usename = $1)"
_POOL = "SELECT pool FROM gateway.users WHERE telegram_id = $1"
_WHERE = """
SELECT u.telegram_id AS user, a.at, a.shard
FROM wallet.audit_log a JOIN gateway.users u USING (user_id) ORDER BY a.entry_id
"""


async def test_users_are_moved_while_they_trade(tmp_path: Path) -> None:
    """Every promise of the checker, and each user is in one pool in every room."""
    users = range(FIRST_USER, FIRST_USER + USERS)
    async with _crowded(tmp_path, users) as (run, crowd, history):
        acting = asyncio.create_task(crowd.act(ACTS_PER_SECOND, ACTING_SECONDS))
        for place, table in enumerate(STEPS):
            await _kill_at(run, users[place], table)
        while not acting.done():
            await _there_and_back(run, users)
        await acting
        status, said = await moved(run, "--from", STANDARD, "--pool", FAST)
        assert f"Done: {USERS} moved" in said
        assert status == 0
        await crowd.panic()
        settled_seconds, books = await settle(run)
        await asyncio.sleep(CHATS_CATCH_UP_SECONDS)
        async with _connected(run) as connection:
            await assert_nothing_is_elsewhere(connection)
            steps = await _steps_where_they_were_taken(connection, books)
            where = await connection.fetch("SELECT DISTINCT pool FROM gateway.users")
        records = list(history.records)
    assert settled_seconds is not None
    assert judge(records, dataclasses.replace(books, steps=steps)) == []
    assert [FAST] == [row["pool"] for row in where]
    assert len(books.trades) >= TRADES_FEWEST
    assert "Traceback" not in (tmp_path / "fast-worker.log").read_text()


@contextlib.asynccontextmanager
async def _crowded(folder: Path, users: range) -> AsyncIterator[tuple[LiveRun, Crowd, HistoryFile]]:
    """Everything runs, with two pools, and a crowd has begun to live in the first one."""
    async with contextlib.AsyncExitStack() as stack:
        environ = MARKET | PLANS | {"DEVBOX_USERS_PER_SHARD": "5"}
        run = await stack.enter_async_context(running(folder / "data", "--port", "0", **environ))
        run.folder.pin_workers(2)
        await open_second_pool(run)
        await stack.enter_async_context(working_second_pool(run, folder / "fast-worker.log"))
        history = stack.enter_context(HistoryFile(folder / "history.jsonl"))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        telegram = Telegram(run.report.address, http, history)
        market = PriceWatch(run, SYMBOLS, history)
        crowd = Crowd(telegram, users, market.prices, seed=1)
        await stack.enter_async_context(beside(telegram.follow(users)))
        await stack.enter_async_context(beside(PlacementWatch(run, history).watch()))
        await stack.enter_async_context(beside(market.watch()))
        await crowd.sign_up()
        await crowd.live_by_rules()
        await crowd.place_resting(1)
        yield run, crowd, history


async def _kill_at(run: LiveRun, user: int, table: str) -> None:
    """Kill who moves a user when they are about to write a table: the user has not moved at all,
    and the same command moves them.
    """
    async with _connected(run) as connection, _connected(run) as watching:
        for setting in PATIENT:
            await connection.execute(setting)
        before = await connection.fetchval(_POOL, user)
        other = STANDARD if before == FAST else FAST
        lock = connection.transaction()
        await lock.start()
        await connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        async with mover(run, str(user), "--pool", other) as process:
            async with asyncio.timeout(STEP_SECONDS):
                while not await watching.fetchval(_WAITS, MOVER, table):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            process.kill()
            await process.wait()
        await lock.rollback()
        async with asyncio.timeout(STEP_SECONDS):
            while await watching.fetchval(_IS_THERE, MOVER):  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.01)
        assert before == await connection.fetchval(_POOL, user)
        await assert_nothing_is_elsewhere(connection)
        for setting in HASTY:
            await connection.execute(setting)
        status, said = await moved(run, str(user), "--pool", other)
        assert status == 0, said
        assert other == await connection.fetchval(_POOL, user)
        await assert_nothing_is_elsewhere(connection)


async def _there_and_back(run: LiveRun, users: range) -> None:
    """Move everybody, one transaction after another, to where they are not."""
    for source, target in ((STANDARD, FAST), (FAST, STANDARD)):
        await moved(run, "--from", source, "--pool", target, "--limit", str(len(users)))
        async with _connected(run) as connection:
            await assert_nothing_is_elsewhere(connection)


async def _steps_where_they_were_taken(connection: Any, books: Books) -> list[Step]:
    """The steps of orders, each with the shard that its user was in at that moment, as the wallet's
    audit has it.
    """
    moves: dict[int, list[tuple[float, int]]] = {}
    for row in await connection.fetch(_WHERE):
        moves.setdefault(row["user"], []).append((row["at"].timestamp(), row["shard"]))
    user_of = {order.order_id: order.user for order in books.orders}
    return [
        dataclasses.replace(
            step, shard=[s for at, s in moves[user_of[step.order_id]] if at <= step.at][-1]
        )
        for step in books.steps
    ]


@contextlib.asynccontextmanager
async def _connected(run: LiveRun) -> AsyncIterator[Any]:
    connection = await run.database()
    try:
        yield connection
    finally:
        connection.terminate()
