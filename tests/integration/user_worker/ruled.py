"""The worker's trading tables in a real PostgreSQL, and what the tests of freezes, plans and copies
do with them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar
from uuid import UUID, uuid4

import asyncpg
from tests.integration.stores import ClaimShard, make_claims, pool_of

from devbox.database import Database
from kernel.sharding import Claim
from user_worker.domain.carrying_out import Record
from user_worker.domain.notes import Note, UnknownNote
from user_worker.domain.orders import (
    Coins,
    Draft,
    Money,
    Order,
    OrderState,
    Refused,
    Side,
    Units,
    Wish,
)
from user_worker.domain.resting import Condition, Direction, RestingKind
from user_worker.domain.sizing import Terms
from user_worker.postgres import (
    OrderLimits,
    PostgresCopies,
    PostgresDrafts,
    PostgresEvents,
    PostgresFreezes,
    PostgresOrders,
    PostgresPlans,
    PostgresResting,
    PostgresShares,
    PostgresWaiting,
)
from user_worker.trading_ports import NoteEvent, Offer, Seen

Result = TypeVar("Result")
LIMITS = OrderLimits(submit_within_seconds=60, user_under_way_max=2, shard_under_way_max=4)
HELD = Record(OrderState.HELD, "hold", "applied")
SENDING = Record(OrderState.SUBMITTED, "submit", "sending")
FILLED = Record(OrderState.FILLED, "post", "applied")
PATIENCE_SECONDS = 5.0
"""Longer than a busy machine takes to come to a lock."""


def offer_of(
    symbol: str = "BTC", spend: int = 100, *, side: Side = Side.BUY, units: str = ""
) -> Offer:
    """A purchase for so many USDT, or a sale of so many units, at 100 USDT each."""
    base, currency = (f"paper:{symbol}", symbol), ("paper:USDT", "USDT")
    if side is Side.BUY:
        wish = Wish(side, symbol, Money(Decimal(spend)))
        given, got = Coins(*currency, Decimal(spend)), Coins(*base, Decimal(spend) / 100)
    else:
        wish = Wish(side, symbol, Units(Decimal(units)))
        given, got = Coins(*base, Decimal(units)), Coins(*currency, Decimal(units) * 100)
    return Offer(
        wish,
        Terms(
            spend=given,
            receive=got,
            fee=Coins(got.asset_id, got.symbol, got.value / 100),
            receive_min=got.value / 2,
            receive_max=None,
            price=Decimal(100),
        ),
        slippage_basis_points=100,
        is_simulated=True,
    )


def execution(order: Order, units: str) -> Record:
    """The venue's word that an order bought or sold so many units."""
    spent, received = order.draft.spend.value, Decimal(units)
    if order.draft.wish.side is Side.SELL:
        spent, received = received, received * 100
    return Record(OrderState.EXECUTED, "venue", "filled", spent, received, Decimal(0))


@dataclass
class Room:
    """The tables, as the worker's role may use them."""

    drafts: PostgresDrafts
    orders: PostgresOrders
    events: PostgresEvents
    freezes: PostgresFreezes
    plans: PostgresPlans
    copies: PostgresCopies
    shares: PostgresShares
    resting: PostgresResting
    waiting: PostgresWaiting
    owner: "asyncpg.Connection[asyncpg.Record]"
    """Sees and does everything; for the other side of a race, too."""
    connections: "asyncpg.Pool[asyncpg.Record]"
    claim_shard: ClaimShard

    async def offered(self, claim: Claim, user_id: UUID) -> Draft:
        """An open draft."""
        draft = await self.drafts.keep(claim, uuid4(), user_id, offer_of())
        assert isinstance(draft, Draft)
        return draft

    async def accepted(self, claim: Claim, user_id: UUID) -> Order:
        """An order accepted just now."""
        draft = await self.offered(claim, user_id)
        seen = await self.orders.accept(claim, user_id, draft.draft_id, "de")
        assert isinstance(seen, Seen)
        return seen.order

    async def rests(self, claim: Claim, user_id: UUID, *, placed: bool = True) -> UUID:
        """A stop order that waits, or is only offered."""
        condition = Condition(RestingKind.STOP, Direction.AT_OR_ABOVE, Decimal(200), 3600)
        offer = replace(offer_of(), condition=condition)
        draft = await self.drafts.keep(claim, uuid4(), user_id, offer)
        assert isinstance(draft, Draft)
        if placed:
            await self.resting.place(claim, user_id, draft.draft_id, "de")
        return draft.draft_id

    async def filled(self, order: Order, claim: Claim, units: str = "1") -> Order:
        """The order, carried to its end at once: it bought or sold so many units."""
        return await self.ended(await self.executed(order, claim, units), claim)

    async def executed(self, order: Order, claim: Claim, units: str = "1") -> Order:
        """The order, carried until the venue has executed it."""
        held = (await self.orders.record(claim, order, HELD, nobody_waits=True)).order
        return (
            await self.orders.record(claim, held, execution(held, units), nobody_waits=True)
        ).order

    async def ended(self, order: Order, claim: Claim) -> Order:
        """An executed order, carried to its end."""
        return (await self.orders.record(claim, order, FILLED, nobody_waits=True)).order

    async def refused(self, order: Order, claim: Claim) -> None:
        """The order ends for want of money."""
        refused = Refused.INSUFFICIENT_FUNDS
        change = Record(OrderState.REJECTED, "hold", "insufficient-funds", refused=refused)
        await self.orders.record(claim, order, change, nobody_waits=False)

    async def notes(self, claim: Claim) -> list[Note | UnknownNote]:
        """The notes to be told."""
        events = await self.events.unrelayed([claim], 100)
        return [event.note for event in events if isinstance(event, NoteEvent)]

    async def rows(self, table: str) -> list[asyncpg.Record]:
        """All there are."""
        return await self.owner.fetch(f"TABLE worker.{table}")


@asynccontextmanager
async def open_room(database: Database, limits: OrderLimits = LIMITS) -> AsyncIterator[Room]:
    """Open the tables."""
    async with pool_of(database, "purser_worker") as connections:
        owner = await asyncpg.connect(database.owner_url)
        try:
            yield Room(
                PostgresDrafts(connections, lifetime_seconds=120, user_open_max=3),
                PostgresOrders(connections, limits),
                PostgresEvents(connections),
                PostgresFreezes(connections),
                PostgresPlans(connections, limits, offer_lifetime_seconds=120, user_plans_max=2),
                PostgresCopies(
                    connections,
                    limits,
                    offer_lifetime_seconds=120,
                    user_copies_max=2,
                    followers_max=2,
                    fresh_seconds=500,
                ),
                PostgresShares(connections),
                PostgresResting(connections, user_waiting_max=5),
                PostgresWaiting(connections, limits),
                owner,
                connections,
                make_claims(database),
            )
        finally:
            await owner.close()


async def waiting(
    owner: "asyncpg.Connection[asyncpg.Record]", call: Awaitable[Result]
) -> "asyncio.Future[Result]":
    """Begin a call that has to wait for a lock, and see that it does."""
    before = await _waiters(owner)
    task = asyncio.ensure_future(call)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await _waiters(owner) <= before:
            assert not task.done(), "it waited for nobody"
            await asyncio.sleep(0.01)
    return task


async def _waiters(owner: "asyncpg.Connection[asyncpg.Record]") -> int:
    await owner.execute("SELECT pg_stat_clear_snapshot()")
    count: int = await owner.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return count
