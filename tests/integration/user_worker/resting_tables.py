"""The worker's tables of what waits for a price, and another worker's hands on them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar
from uuid import UUID, uuid4

import asyncpg
from tests.integration.stores import ClaimShard, make_claims, pool_of

from chassis.postgres import Connection, Pool
from devbox.database import Database
from kernel.sharding import Claim
from user_worker.domain.orders import (
    Coins,
    Money,
    Side,
    Wish,
)
from user_worker.domain.resting import (
    Condition,
    Direction,
    RestingKind,
    RestingOrder,
    RestingState,
)
from user_worker.domain.sizing import Terms
from user_worker.postgres import (
    OrderLimits,
    PostgresAlerts,
    PostgresDrafts,
    PostgresEvents,
    PostgresFreezes,
    PostgresOrders,
    PostgresPreferences,
    PostgresResting,
    PostgresWaiting,
)
from user_worker.trading_ports import Offer, StatedQuote

Result = TypeVar("Result")
PRICE = Decimal("12345678901.000000000000000001")
CONDITION = Condition(RestingKind.STOP, Direction.AT_OR_BELOW, PRICE, 3600)
OFFER = Offer(
    Wish(Side.SELL, "BTC", Money(Decimal(100))),
    Terms(
        spend=Coins("paper:BTC", "BTC", Decimal("0.001")),
        receive=Coins("paper:USDT", "USDT", Decimal(100)),
        fee=Coins("paper:USDT", "USDT", Decimal("0.1")),
        receive_min=Decimal(99),
        receive_max=None,
        price=PRICE,
    ),
    slippage_basis_points=100,
    is_simulated=True,
    condition=CONDITION,
)
LIMITS = OrderLimits(submit_within_seconds=60, user_under_way_max=2, shard_under_way_max=3)
WAITING_MAX = 3
QUOTE = StatedQuote("BTC", Decimal(70_001), "USDT", is_simulated=True, stated_at=0.0)


_WAITERS = "SELECT count(*) FROM pg_locks WHERE NOT granted"


@dataclass
class Room:
    """The worker's tables, as one worker uses them.

    `other` is another worker's connection, without the time limit of the worker's role: on a busy
    machine a transaction that is held open for others to wait for takes its time.
    """

    drafts: PostgresDrafts
    orders: PostgresOrders
    resting: PostgresResting
    alerts: PostgresAlerts
    waiting: PostgresWaiting
    events: PostgresEvents
    preferences: PostgresPreferences
    freezes: PostgresFreezes
    other: "asyncpg.Connection[asyncpg.Record]"
    owner: "asyncpg.Connection[asyncpg.Record]"
    claim_shard: ClaimShard

    async def offered(
        self, claim: Claim, user_id: UUID, condition: Condition = CONDITION
    ) -> RestingOrder:
        """An offer of a job of its own."""
        job_id = uuid4()
        await self.drafts.keep(claim, job_id, user_id, replace(OFFER, condition=condition))
        found = await self.resting.of_job(user_id, job_id)
        assert found is not None
        return found

    async def placed(
        self, claim: Claim, user_id: UUID, condition: Condition = CONDITION
    ) -> RestingOrder:
        """One that waits."""
        offered = await self.offered(claim, user_id, condition)
        placed = await self.resting.place(claim, user_id, offered.order_id, "de")
        assert isinstance(placed, RestingOrder)
        return placed

    async def state(self, resting: RestingOrder) -> RestingState:
        """How it stands."""
        found = await self.resting.read(resting.draft.user_id, resting.order_id)
        assert found is not None
        return found.state

    async def age(self, table: str) -> None:
        """Let the time of what waits in a table pass."""
        await self.owner.execute(
            f"UPDATE worker.{table} SET expires_at = clock_timestamp() - interval '1 second'"  # noqa: S608 (a table of ours)
            " WHERE state = 'waiting'"
        )

    async def count(self, table: str) -> int:
        """How many rows there are."""
        return len(await self.owner.fetch(f"TABLE worker.{table}"))

    async def behind(
        self,
        first: Callable[[Pool], Awaitable[object]],
        second: Callable[[], Awaitable[Result]],
    ) -> Result:
        """Do `first` in a transaction of another worker that is held open, have `second` wait for
        it, commit; gives what `second` gave.
        """
        held = self.other.transaction(isolation="read_committed")
        await held.start()
        await first(_OneConnection(self.other))  # type: ignore[arg-type]
        waiting = asyncio.ensure_future(second())
        async with asyncio.timeout(5):
            while not await self.owner.fetchval(_WAITERS):
                assert not waiting.done()
                await asyncio.sleep(0.005)
        await held.commit()
        return await waiting


class _OneConnection:
    """A pool of one connection, whose transaction goes on when it is given back."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def acquire(self) -> Connection:
        return self._connection

    async def release(self, connection: Connection) -> None:
        assert connection is self._connection


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[Room]:
    """The tables, as the worker's role may use them."""
    async with pool_of(database, "purser_worker") as connections:
        owner, other = [await asyncpg.connect(database.owner_url) for _ in range(2)]
        try:
            yield Room(
                PostgresDrafts(connections, lifetime_seconds=120, user_open_max=3),
                PostgresOrders(connections, LIMITS),
                PostgresResting(connections, WAITING_MAX),
                PostgresAlerts(connections, WAITING_MAX),
                PostgresWaiting(connections, LIMITS),
                PostgresEvents(connections),
                PostgresPreferences(connections),
                PostgresFreezes(connections),
                other,
                owner,
                make_claims(database),
            )
        finally:
            await owner.close()
            await other.close()
