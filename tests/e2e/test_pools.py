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
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.chaos.crowd import SYMBOLS, Crowd
from tests.chaos.run import FIRST_USER, MARKET, PLANS, beside
from tests.chaos.sabotage import sabotage
from tests.chaos.settling import SETTLE_SECONDS_MAX, settle, stack_traces
from tests.chaos.telegram import Telegram
from tests.chaos.watching import PlacementWatch, PriceWatch
from tests.e2e.live_run import LiveRun, running
from tests.e2e.two_pools import (
    FAST,
    MOVER,
    STANDARD,
    left_in_streams,
    moved,
    mover,
    open_second_pool,
    what_is_elsewhere,
    working_second_pool,
)
from tests.history.books import Books, Step
from tests.history.checker import Violation, judge
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
ACTING_SECONDS = 25.0
STEP_SECONDS = 20.0
UNDER_WAY = 4
"""Jobs and orders that wait for what stands still when everybody is moved."""
IN_THE_MIDDLE_FEWEST = 2 * UNDER_WAY
ANSWER_SECONDS = 8.0
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

SHORT_ACTING_SECONDS = 6.0
SABOTAGED_SETTLE_SECONDS_MAX = 8.0
SABOTAGE = {
    "the epochs stay": """
        CREATE OR REPLACE FUNCTION placement.revoke_shards(p_pools text[], p_shards integer[])
        RETURNS void LANGUAGE sql VOLATILE SECURITY DEFINER AS '
            UPDATE placement.shards SET revoked_in = pg_current_xact_id()
            WHERE (pool, shard) IN (SELECT * FROM unnest(p_pools, p_shards))';
    """,
    "orders and all that waits stay behind": """
        CREATE OR REPLACE FUNCTION worker.move_users(
            p_users uuid[], p_from_pool text, p_from_shard integer, p_to_pool text,
            p_to_shard integer
        ) RETURNS uuid[] LANGUAGE sql VOLATILE SECURITY DEFINER AS 'SELECT ''{}''::uuid[]';
    """,
    "the books stay behind": """
        CREATE OR REPLACE FUNCTION ledger.move_users(
            p_users uuid[], p_from_pool text, p_from_shard integer, p_to_pool text,
            p_to_shard integer
        ) RETURNS integer LANGUAGE sql VOLATILE SECURITY DEFINER AS 'SELECT 0';
    """,
}
"""Parts of a move, left out."""

Whereabouts = dict[int, list[tuple[float, int]]]
"""Of each user: from when on they were in which shard."""

_WAITS = """
SELECT EXISTS (SELECT FROM pg_stat_activity a JOIN pg_locks l USING (pid)
    WHERE a.usename = $1 AND NOT l.granted AND l.relation = $2::text::regclass)
"""
_IS_THERE = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE usename = $1)"
_POOL = "SELECT pool FROM gateway.users WHERE telegram_id = $1"
_UNDER_WAY = """
SELECT (SELECT count(*) FROM worker.orders WHERE ended_at IS NULL)
    + (SELECT count(*) FROM gateway.inbox WHERE done_at IS NULL)
"""
_ALL_IN = "SELECT bool_and(pool = $1) FROM gateway.users"
_WHERE = """
SELECT u.telegram_id AS user, a.at, a.shard
FROM wallet.audit_log a JOIN gateway.users u USING (user_id) ORDER BY a.entry_id
"""


async def test_users_are_moved_while_they_trade(tmp_path: Path) -> None:
    """Every promise of the checker, and each user is in one pool in every room."""
    outcome = await _play(tmp_path, STEPS, ACTING_SECONDS)
    assert outcome.violations == []
    assert outcome.elsewhere == {}
    assert outcome.jobs_left_in_streams == 0
    assert outcome.settled_seconds is not None
    assert outcome.trades >= TRADES_FEWEST
    assert outcome.is_spoken_to_as_wished
    assert outcome.in_the_middle >= IN_THE_MIDDLE_FEWEST
    logs = [*(tmp_path / "data/logs").glob("*.log*"), tmp_path / "fast-worker.log"]
    assert stack_traces(logs) == []


@pytest.mark.long
@pytest.mark.parametrize("sabotaged", SABOTAGE.values(), ids=SABOTAGE)
async def test_a_move_that_lacks_something_is_found(sabotaged: str, tmp_path: Path) -> None:
    """The same run without the part; it need not even settle."""
    outcome = await _play(tmp_path, (), SHORT_ACTING_SECONDS, sabotaged)
    is_well = outcome.is_spoken_to_as_wished and not outcome.violations
    assert not is_well or outcome.elsewhere


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    violations: list[Violation]
    elsewhere: dict[str, list[str]]
    """What is not where its user is."""
    jobs_left_in_streams: int
    settled_seconds: float | None
    trades: int
    in_the_middle: int
    """Jobs and orders that began before a move of their user and ended after it."""
    is_spoken_to_as_wished: bool
    """Whether an owner knows what a user chose while he was in another pool."""


async def _play(
    folder: Path, steps: Sequence[str], acting_seconds: float, sabotaged: str = ""
) -> Outcome:
    """Let a crowd trade, move it about, and at last all of it into the second pool."""
    users = range(FIRST_USER, FIRST_USER + USERS)
    async with _crowded(folder, users) as (run, telegram, crowd, history):
        if sabotaged:
            await sabotage(run, sabotaged)
        acting = asyncio.create_task(crowd.act(ACTS_PER_SECOND, acting_seconds))
        if not sabotaged:
            await _move_in_the_middle(run, "ledger", STANDARD, FAST)
            await _move_in_the_middle(run, "pricing", FAST, STANDARD)
        for place, table in enumerate(steps):
            await _kill_at(run, users[place], table)
        while not acting.done():
            await moved(run, "--from", STANDARD, "--pool", FAST)
            await moved(run, "--from", FAST, "--pool", STANDARD)
        await acting
        is_spoken_to_as_wished = await _chooses_in_the_other_pool(run, telegram, users[-1])
        await moved(run, "--from", STANDARD, "--pool", FAST)
        await crowd.panic()
        patience = SETTLE_SECONDS_MAX if not sabotaged else SABOTAGED_SETTLE_SECONDS_MAX
        settled_seconds, books = await settle(run.database, history.records, patience)
        async with _connected(run) as connection:
            elsewhere = await what_is_elsewhere(connection)
            whereabouts = await _whereabouts(connection)
            assert await connection.fetchval(_ALL_IN, FAST)
        left = await left_in_streams(run)
        records = list(history.records)
    taken = _steps_where_they_were_taken(books, whereabouts)
    return Outcome(
        violations=judge(records, dataclasses.replace(books, steps=taken)),
        elsewhere=elsewhere,
        jobs_left_in_streams=left,
        settled_seconds=settled_seconds,
        trades=len(books.trades),
        in_the_middle=_in_the_middle(books, whereabouts),
        is_spoken_to_as_wished=is_spoken_to_as_wished,
    )


async def _chooses_in_the_other_pool(run: LiveRun, telegram: Telegram, user: int) -> bool:
    """Have a user choose his language in the second pool; say whether the first one, which spoke
    to him before, speaks it when he is back.
    """
    assert await _says(telegram, user, "/language en", "I speak English now.")
    await moved(run, str(user), "--pool", FAST)
    assert await _says(telegram, user, "/language de", "Ich spreche jetzt Deutsch.")
    await moved(run, str(user), "--pool", STANDARD)
    return await _says(telegram, user, "/language", "Welche Sprache")


async def _says(telegram: Telegram, user: int, text: str, words: str) -> bool:
    """Whether the bot answers a text with some words, whatever else it has to tell."""
    said = await telegram.say(user, text)
    heard = await telegram.until(
        user, lambda h: h.message_id > said.message_id and words in h.text, ANSWER_SECONDS
    )
    return heard is not None


@contextlib.asynccontextmanager
async def _crowded(
    folder: Path, users: range
) -> AsyncIterator[tuple[LiveRun, Telegram, Crowd, HistoryFile]]:
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
        market = PriceWatch(run.pricing_target, SYMBOLS, history)
        crowd = Crowd(telegram, users, market.prices, seed=1)
        await stack.enter_async_context(beside(telegram.follow(users)))
        await stack.enter_async_context(beside(PlacementWatch(run.database, history).watch()))
        await stack.enter_async_context(beside(market.watch()))
        await crowd.sign_up()
        await crowd.live_by_rules()
        await crowd.place_resting(1)
        yield run, telegram, crowd, history


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
        assert await what_is_elsewhere(connection) == {}
        for setting in HASTY:
            await connection.execute(setting)
        status, said = await moved(run, str(user), "--pool", other)
        assert status == 0, said
        assert other == await connection.fetchval(_POOL, user)
        assert await what_is_elsewhere(connection) == {}


async def _move_in_the_middle(run: LiveRun, service: str, source: str, target: str) -> None:
    """Move everybody while a service stands still and some of them wait for it."""
    pid = run.pid(service)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        async with _connected(run) as connection, asyncio.timeout(STEP_SECONDS):
            while await connection.fetchval(_UNDER_WAY) < UNDER_WAY:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await moved(run, "--from", source, "--pool", target)
    finally:
        os.kill(pid, signal.SIGCONT)


async def _whereabouts(connection: Any) -> Whereabouts:
    """Read where each user was from when on, as the wallet's audit has it."""
    found: Whereabouts = {}
    for row in await connection.fetch(_WHERE):
        found.setdefault(row["user"], []).append((row["at"].timestamp(), row["shard"]))
    return found


def _steps_where_they_were_taken(books: Books, whereabouts: Whereabouts) -> list[Step]:
    """The steps of orders, each with the shard that its user was in at that moment."""
    user_of = {order.order_id: order.user for order in books.orders}
    return [
        dataclasses.replace(
            step, shard=[s for at, s in whereabouts[user_of[step.order_id]] if at <= step.at][-1]
        )
        for step in books.steps
    ]


def _in_the_middle(books: Books, whereabouts: Whereabouts) -> int:
    """Count the jobs and orders that were under way when their user was moved."""
    spans = [(job.user, job.accepted_at, job.done_at) for job in books.jobs]
    spans += [(order.user, order.accepted_at, order.ended_at) for order in books.orders]
    return sum(
        any(began < at < (ended or began) for at, _ in whereabouts[user][1:])
        for user, began, ended in spans
    )


@contextlib.asynccontextmanager
async def _connected(run: LiveRun) -> AsyncIterator[Any]:
    connection = await run.database()
    try:
        yield connection
    finally:
        connection.terminate()
