"""A worker dies between any two steps of an order, and another one goes on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar
from uuid import UUID, uuid4

import pytest
from tests.integration.user_worker.order_tables import LIMITS, Room, opened, under_way
from tests.unit.user_worker.fakes_trading import (
    FUNDS,
    Died,
    Fault,
    Market,
    MemoryBooks,
    MemoryVenue,
    Way,
)

from devbox.database import Database
from kernel.sharding import Claim
from user_worker.application.carrying_out import CarryingOut, CarryingPace
from user_worker.application.recurring import Rhythm
from user_worker.application.resuming import Resumer
from user_worker.domain.carrying_out import Record
from user_worker.domain.orders import (
    Order,
    OrderState,
    Refused,
)
from user_worker.domain.pauses import Pauses
from user_worker.errors import DependencyDown
from user_worker.postgres import PostgresOrders
from user_worker.trading_ports import Orders, Seen

Result = TypeVar("Result")
SOON = Pauses(0.001, 0.002)


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    """The tables, as the worker's role may use them."""
    async with opened(database) as tables:
        yield tables


class OnTheWay:
    """The real orders behind a way on which calls meet faults."""

    def __init__(self, inner: Orders, way: Way) -> None:
        self._inner = inner
        self._way = way

    async def record(
        self, claim: Claim, order: Order, change: Record, *, nobody_waits: bool
    ) -> Seen:
        """Record a step."""
        return await self._go(
            lambda: self._inner.record(claim, order, change, nobody_waits=nobody_waits)
        )

    async def look(self, order_id: UUID) -> Seen:
        """Read an order."""
        return await self._go(lambda: self._inner.look(order_id))

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def _go(self, call: Callable[[], Awaitable[Result]]) -> Result:
        happened: list[Fault] = []

        def effect() -> None:
            happened.append(Fault.DIED_AFTER)

        try:
            self._way.go(effect)
        except (Died, DependencyDown):
            if happened:
                await call()
            raise
        return await call()


@pytest.mark.parametrize(
    "fault",
    [
        Fault.DIED_BEFORE,
        Fault.DIED_AFTER,
        Fault.ANSWER_LOST,
        Fault.NEVER_ARRIVED,
        Fault.TIME_PASSED,
    ],
)
async def test_a_worker_that_dies_at_any_gap_loses_and_doubles_nothing(
    room: Room, fault: Fault
) -> None:
    """At each of an order's calls in turn; the next owner has the record alone."""
    gap, met = 0, True
    while met:
        claim, user_id = await room.claim_shard(0), uuid4()
        way = Way(iter([*[None] * gap, fault]), claim.epoch)
        books, venue = MemoryBooks(way), MemoryVenue(way)
        books.account("paper:USDT").posted = FUNDS
        seconds = 0.03 if fault is Fault.TIME_PASSED else 60
        real = PostgresOrders(room.connections, replace(LIMITS, submit_within_seconds=seconds))
        draft = await room.offered(claim, user_id)
        await real.accept(claim, user_id, draft.draft_id, "")
        if fault is Fault.TIME_PASSED:
            way.faults = iter(())
            await asyncio.sleep(0.01 * gap)
        market = Market(way, books, venue, OnTheWay(real, way))  # type: ignore[arg-type]
        epochs = await _carried_out(room, market, claim)

        (order,) = await room.orders.newest(user_id, 1)
        await _assert_agrees(room, market, order, epochs)
        gap += 1
        met = gap <= way.calls if fault is not Fault.TIME_PASSED else gap < 5
    assert gap >= 5


async def _carried_out(room: Room, market: Market, claim: Claim) -> int:
    """Let one owner after the other take the shard over until nothing is under way."""
    for life in range(5):
        market.way.is_dead, market.way.epoch = False, claim.epoch
        pace = CarryingPace(4, SOON, SOON)
        carrying_out = CarryingOut(market.orders, market.books, market.venue, pace)
        carrying_out.begin(claim, lambda: None)
        await Resumer(market.orders, carrying_out, 10, Rhythm(1.0, SOON, SOON)).look()
        for underway in await under_way(room, claim):
            carried = carrying_out.start(claim, underway.seen)
            assert carried is not None
            await asyncio.wait({carried.task})
        if not await under_way(room, claim):
            return life + 1
        carrying_out.stop(claim)
        claim = await room.claim_shard(0)
    raise AssertionError("it never ended")


async def _assert_agrees(room: Room, market: Market, order: Order, lives: int) -> None:
    usdt, btc = market.books.account("paper:USDT"), market.books.account("paper:BTC")
    (hold,) = market.books.holds[order.order_id]
    assert 0 == usdt.held
    if order.state is OrderState.FILLED:
        assert (1, "posted") == (market.venue.executions, hold.state)
        assert (FUNDS - 100, Decimal("0.99")) == (usdt.posted, btc.posted)
        assert [100, 1, Decimal("0.01")] == [order.spent, order.received, order.fee]
        expected = {"accept", "hold", "submit", "venue", "post"}
    else:
        assert (OrderState.REJECTED, Refused.TOO_LATE) == (order.state, order.refused)
        assert (0, "voided") == (market.venue.executions, hold.state)
        assert (FUNDS, Decimal(0)) == (usdt.posted, btc.posted)
        expected = {"accept", "hold", "venue", "void"}
    steps = await room.owner.fetch(
        "SELECT step, epoch FROM worker.order_steps WHERE order_id = $1 ORDER BY step_id",
        order.order_id,
    )
    assert expected <= {row["step"] for row in steps}
    assert lives >= len({row["epoch"] for row in steps})
    assert 1 == await room.owner.fetchval(
        "SELECT count(*) FROM worker.events WHERE order_id = $1", order.order_id
    )
