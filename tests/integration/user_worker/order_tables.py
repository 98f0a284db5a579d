"""The worker's tables of drafts and orders, and what is beside them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
from tests.integration.stores import ClaimShard, make_claims, pool_of

from devbox.database import Database
from kernel.sharding import Claim
from user_worker.domain.carrying_out import Record
from user_worker.domain.orders import (
    Coins,
    Draft,
    Money,
    Order,
    OrderState,
    Refused,
    Side,
    Wish,
)
from user_worker.domain.sizing import Terms
from user_worker.postgres import OrderLimits, PostgresDrafts, PostgresEvents, PostgresOrders
from user_worker.trading_ports import Offer, Seen, Underway

OFFER = Offer(
    Wish(Side.BUY, "BTC", Money(Decimal(100))),
    Terms(
        spend=Coins("paper:USDT", "USDT", Decimal(100)),
        receive=Coins("paper:BTC", "BTC", Decimal(1)),
        fee=Coins("paper:BTC", "BTC", Decimal("0.01")),
        receive_min=Decimal("0.9"),
        receive_max=None,
        price=Decimal("12345678901.000000000000000001"),
    ),
    slippage_basis_points=100,
    is_simulated=True,
)
LIMITS = OrderLimits(submit_within_seconds=60, user_under_way_max=2, shard_under_way_max=4)
HELD = Record(OrderState.HELD, "hold", "applied")
NO_FUNDS = Record(
    OrderState.REJECTED, "hold", "insufficient-funds", refused=Refused.INSUFFICIENT_FUNDS
)


@dataclass
class Room:
    """The worker's tables and what is beside them."""

    drafts: PostgresDrafts
    orders: PostgresOrders
    events: PostgresEvents
    owner: "asyncpg.Connection[asyncpg.Record]"
    connections: "asyncpg.Pool[asyncpg.Record]"
    claim_shard: ClaimShard

    async def offered(self, claim: Claim, user_id: UUID) -> Draft:
        """An open draft of a job of its own."""
        return await self.kept(claim, uuid4(), user_id)

    async def kept(self, claim: Claim, job_id: UUID, user_id: UUID) -> Draft:
        """The draft of a job."""
        draft = await self.drafts.keep(claim, job_id, user_id, OFFER)
        assert isinstance(draft, Draft)
        return draft

    async def accepted(self, claim: Claim, user_id: UUID) -> Order:
        """An order accepted just now."""
        draft = await self.offered(claim, user_id)
        seen = await self.orders.accept(claim, user_id, draft.draft_id, "de")
        assert isinstance(seen, Seen)
        return seen.order

    async def count(self, table: str) -> int:
        """How many rows there are."""
        return len(await self.rows(table))

    async def rows(self, table: str) -> list[asyncpg.Record]:
        """All there are."""
        return await self.owner.fetch(f"TABLE worker.{table}")


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[Room]:
    """The tables, as the worker's role may use them."""
    async with pool_of(database, "purser_worker") as connections:
        owner = await asyncpg.connect(database.owner_url)
        try:
            yield Room(
                PostgresDrafts(connections, lifetime_seconds=120, user_open_max=3),
                PostgresOrders(connections, LIMITS),
                PostgresEvents(connections),
                owner,
                connections,
                make_claims(database),
            )
        finally:
            await owner.close()


async def under_way(room: Room, claim: Claim) -> list[Underway]:
    """The shard's orders that have not ended."""
    return list(await room.orders.under_way([claim], 100))
