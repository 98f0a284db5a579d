"""A trade is killed between any two of its steps, and afterwards all books agree.

Nothing in Purser knows of this test. A trade is held where we want it by a lock on the table that
its next step must write: whoever writes there waits, tries again within its bounds, and the step
before is committed. Locks are handed on from step to step, so a trade walks through its states one
by one. At the gap a process is killed as the kernel's memory killer would; then the lock is let go,
and the trade must end by itself: filled exactly once, told to the user, every book agreeing.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from tests.e2e.live_run import DATABASE_GONE, LiveRun, running
from tests.e2e.reconciling import assert_reconciled

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

STEP_SECONDS = 20.0
# A lease (3 s), an orphan's wait (3 s), a gateway's lease of sending (12 s), a start.
END_SECONDS = 60.0
OWNER_OF_SHARD = "the worker"


@dataclass(frozen=True, slots=True)
class Gap:
    """A place between two steps: the table whose lock stops a trade there, and how to see that the
    step before it is done.
    """

    name: str
    table: str
    done: str

    def __str__(self) -> str:
        return self.name


_ORDER = "SELECT EXISTS (SELECT FROM worker.orders WHERE user_id = $1 AND state = '{}')"
_HOLD = """
    SELECT EXISTS (SELECT FROM ledger.transfers t
                   JOIN ledger.accounts a ON a.account_id = t.debit_account_id
                   WHERE a.user_id = $1 AND t.operation = 'hold' AND t.state = 'pending')
"""
_TRADE = "SELECT EXISTS (SELECT FROM ledger.trades WHERE user_id = $1)"
_EXECUTED = """
    SELECT EXISTS (SELECT FROM venue.orders JOIN worker.orders o USING (order_id)
                   WHERE o.user_id = $1)
"""
GAPS = (
    Gap("before it is accepted", "worker.orders", "SELECT $1::uuid IS NOT NULL"),
    Gap("accepted, not held", "ledger.transfers", _ORDER.format("accepted")),
    Gap("held, not noted", "worker.orders", _HOLD),
    Gap("submitted, not executed", "venue.orders", _ORDER.format("submitted")),
    Gap("executed, not noted", "worker.orders", _EXECUTED),
    Gap("noted, not posted", "ledger.transfers", _ORDER.format("executed")),
    Gap("posted, not noted", "worker.orders", _TRADE),
    Gap("noted, not told", "gateway.outbox", _ORDER.format("filled")),
)
VICTIMS = (
    (OWNER_OF_SHARD,),
    ("postgres",),
    ("ledger", "pricing", "gateway-0", "wallet", "valkey"),
)
_users = itertools.count(20_000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveRun]:
    """A run of everything."""
    async with running(tmp_path_factory.mktemp("gaps"), "--port", "0") as live:
        yield live


@pytest.mark.parametrize("victims", VICTIMS, ids="+".join)
@pytest.mark.parametrize("gap", GAPS, ids=str)
async def test_a_trade_survives_a_kill_at(run: LiveRun, gap: Gap, victims: tuple[str, ...]) -> None:
    """Filled once, told, and the books agree."""
    user = next(_users)
    await run.say(user)
    await run.until_said(user, "10,000")
    asked = await run.say(user, "/buy BTC $100")
    card = await run.until_said(user, "BTC", after=asked)
    path = GAPS[: GAPS.index(gap) + 1]
    async with contextlib.AsyncExitStack() as locks:
        held = await locks.enter_async_context(_locked(run, path[0].table))
        await run.press(user, "confirm:", card["message_id"])
        user_id = await _user_id(run, user)
        await _until_waiting(run, path[0], user_id)
        for here in path[1:]:
            next_lock = await locks.enter_async_context(_locked(run, here.table))
            await _let_go(held)
            held = next_lock
            await _until_waiting(run, here, user_id)
        names = [await _owner(run) if name == OWNER_OF_SHARD else name for name in victims]
        for name in names:
            run.kill(name)
        await _let_go(held)
    await _until_filled(run, user_id)
    await run.until_said(
        user, await _receipt(run, user_id), after=asked, timeout_seconds=END_SECONDS
    )
    # The next trade is to meet everybody alive.
    await asyncio.gather(*(run.until_serving_again(name) for name in names))
    async with _connected(run) as connection:
        await assert_reconciled(connection)


@contextlib.asynccontextmanager
async def _connected(run: LiveRun) -> AsyncIterator[Any]:
    connection = await run.database()
    try:
        yield connection
    finally:
        # It may be gone with a killed server.
        connection.terminate()


@contextlib.asynccontextmanager
async def _locked(run: LiveRun, table: str) -> AsyncIterator[Any]:
    """Writers of a table wait; readers do not."""
    async with _connected(run) as connection:
        await connection.execute("BEGIN")
        await connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        yield connection


async def _let_go(lock: Any) -> None:
    with contextlib.suppress(*DATABASE_GONE):
        await lock.execute("ROLLBACK")


async def _until_waiting(run: LiveRun, gap: Gap, user_id: Any) -> None:
    """Until the step before the gap is done and somebody waits to do the next one."""
    waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = $1::regclass AND NOT granted)"
    async with _connected(run) as connection, asyncio.timeout(STEP_SECONDS):
        while not (  # noqa: ASYNC110  # it is another process
            await connection.fetchval(gap.done, user_id)
            and await connection.fetchval(waiting.replace("$1", f"'{gap.table}'"))
        ):
            await asyncio.sleep(0.02)


async def _until_filled(run: LiveRun, user_id: Any) -> None:
    state = "SELECT state FROM worker.orders WHERE user_id = $1"
    seen = None
    try:
        async with asyncio.timeout(END_SECONDS):
            while seen != "filled":
                with contextlib.suppress(*DATABASE_GONE):
                    async with _connected(run) as connection:
                        seen = await connection.fetchval(state, user_id)
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"the order was last seen {seen}")


async def _user_id(run: LiveRun, telegram_id: int) -> Any:
    async with _connected(run) as connection:
        return await connection.fetchval(
            "SELECT user_id FROM gateway.users WHERE telegram_id = $1", telegram_id
        )


async def _receipt(run: LiveRun, user_id: Any) -> str:
    async with _connected(run) as connection:
        receipt: str = await connection.fetchval(
            "SELECT receipt FROM worker.drafts WHERE user_id = $1 AND state = 'confirmed'", user_id
        )
        return receipt


async def _owner(run: LiveRun) -> str:
    async with _connected(run) as connection:
        owner: str = await connection.fetchval("SELECT owner FROM placement.shards WHERE shard = 0")
        return owner
