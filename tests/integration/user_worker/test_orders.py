"""Drafts, orders and events in a real PostgreSQL, under real claims."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar
from uuid import UUID, uuid4

import asyncpg
import pytest
from tests.integration.stores import ClaimShard, make_claims
from tests.unit.user_worker.fakes_trading import (
    FUNDS,
    Died,
    Fault,
    Market,
    MemoryBooks,
    MemoryVenue,
    Way,
)

from chassis.postgres import PostgresSettings, open_pool
from chassis.settings import Secret
from devbox.database import Database
from kernel.sharding import Claim
from user_worker.application.carrying_out import CarryingOut, CarryingPace
from user_worker.application.recurring import Rhythm
from user_worker.application.resuming import Resumer
from user_worker.domain.carrying_out import Record
from user_worker.domain.orders import (
    Coins,
    Draft,
    DraftState,
    Money,
    Order,
    OrderState,
    Refused,
    Side,
    Wish,
)
from user_worker.domain.pauses import Pauses
from user_worker.domain.sizing import Terms
from user_worker.errors import ClaimLost, DependencyDown
from user_worker.postgres import OrderLimits, PostgresDrafts, PostgresEvents, PostgresOrders
from user_worker.trading_ports import EndEvent, Offer, Orders, Seen, Underway

Result = TypeVar("Result")
SOON = Pauses(0.001, 0.002)
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


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    """The tables, as the worker's role may use them."""
    settings = PostgresSettings(database_url=Secret(database.url("purser_worker")))
    connections = await open_pool(settings, "test")
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
        await connections.close()


async def test_a_draft_is_read_as_it_was_kept_to_the_last_digit(room: Room) -> None:
    """And belongs to its user alone."""
    claim, user_id = await room.claim_shard(0), uuid4()
    draft = await room.offered(claim, user_id)

    assert OFFER.wish == draft.wish
    assert OFFER.terms == Terms(
        draft.spend, draft.receive, draft.fee, draft.receive_min, draft.receive_max, draft.price
    )
    assert (True, 100, DraftState.OPEN) == (
        draft.is_simulated,
        draft.slippage_basis_points,
        draft.state,
    )
    assert 120 == round((draft.expires_at - draft.made_at).total_seconds())
    assert draft == await room.drafts.read(user_id, draft.draft_id)
    assert None is await room.drafts.read(uuid4(), draft.draft_id)


async def test_a_job_that_runs_again_meets_its_draft(room: Room) -> None:
    """One draft per job, also when both runs come at the same time."""
    claim, user_id, job_id = await room.claim_shard(0), uuid4(), uuid4()
    keep = [room.kept(claim, job_id, user_id) for _ in range(4)]
    drafts = await asyncio.gather(*keep)

    assert 1 == len({draft.draft_id for draft in drafts}) == await room.count("drafts")
    assert drafts[0] == await room.drafts.of_job(user_id, job_id)
    assert None is await room.drafts.of_job(uuid4(), job_id)


async def test_the_oldest_open_drafts_give_way(room: Room) -> None:
    """Three may be open; confirmed ones do not count."""
    claim, user_id = await room.claim_shard(0), uuid4()
    await room.accepted(claim, user_id)
    drafts = [await room.offered(claim, user_id) for _ in range(5)]
    others = await room.offered(claim, uuid4())

    states = [await room.drafts.read(user_id, draft.draft_id) for draft in drafts]
    expected = [DraftState.CANCELLED] * 2 + [DraftState.OPEN] * 3
    assert expected == [draft.state for draft in states if draft is not None]
    assert others == await room.drafts.read(others.user_id, others.draft_id)
    assert 3 == await room.drafts.cancel_open(claim, user_id)
    assert 0 == await room.drafts.cancel_open(claim, user_id)


async def test_a_cancelled_draft_cannot_be_confirmed_and_a_confirmed_one_not_cancelled(
    room: Room,
) -> None:
    """Whichever comes first."""
    claim, user_id = await room.claim_shard(0), uuid4()
    cancelled = await room.offered(claim, user_id)
    order = await room.accepted(claim, user_id)
    stranger = await room.drafts.cancel(claim, uuid4(), cancelled.draft_id)
    assert stranger is None

    found = await room.drafts.cancel(claim, user_id, cancelled.draft_id)
    assert replace(cancelled, state=DraftState.CANCELLED) == found
    assert found == await room.orders.accept(claim, user_id, cancelled.draft_id, "")
    kept = await room.drafts.cancel(claim, user_id, order.order_id)
    assert kept is not None
    assert DraftState.CONFIRMED is kept.state


async def test_an_expired_draft_is_recorded_so_and_becomes_no_order(room: Room) -> None:
    """By the database's clock."""
    claim, user_id = await room.claim_shard(0), uuid4()
    drafts = PostgresDrafts(room.connections, lifetime_seconds=0.05, user_open_max=3)
    draft = await drafts.keep(claim, uuid4(), user_id, OFFER)
    assert isinstance(draft, Draft)
    await asyncio.sleep(0.1)

    expired = replace(draft, state=DraftState.EXPIRED)
    assert expired == await room.drafts.read(user_id, draft.draft_id)
    assert "open" == await room.owner.fetchval("SELECT state FROM worker.drafts")
    assert expired == await room.orders.accept(claim, user_id, draft.draft_id, "")
    assert "expired" == await room.owner.fetchval("SELECT state FROM worker.drafts")
    assert 0 == await room.count("orders")


async def test_a_draft_is_confirmed_once_however_often_it_is_pressed(room: Room) -> None:
    """Eight presses at the same moment are one order, under the draft's id."""
    claim, user_id = await room.claim_shard(0), uuid4()
    draft = await room.offered(claim, user_id)
    press = [room.orders.accept(claim, user_id, draft.draft_id, "de") for _ in range(8)]
    seen = await asyncio.gather(*press)

    orders = [s.order for s in seen if isinstance(s, Seen)]
    assert 8 == len(orders)
    assert {draft.draft_id} == {order.order_id for order in orders}
    assert {OrderState.ACCEPTED} == {order.state for order in orders}
    assert (1, 1) == (await room.count("orders"), await room.count("order_steps"))
    assert orders[0] == await room.orders.of_receipt(user_id, draft.receipt)


async def test_nobody_confirms_anothers_draft_nor_one_of_another_shard(room: Room) -> None:
    """Nothing is written."""
    claim, other_shard, user_id = await room.claim_shard(0), await room.claim_shard(1), uuid4()
    draft = await room.offered(claim, user_id)

    assert None is await room.orders.accept(claim, uuid4(), draft.draft_id, "")
    assert None is await room.orders.accept(other_shard, user_id, draft.draft_id, "")
    assert None is await room.orders.accept(claim, user_id, uuid4(), "")
    assert None is await room.orders.of_receipt(uuid4(), draft.receipt)
    assert draft == await room.drafts.read(user_id, draft.draft_id)
    assert 0 == await room.count("orders")


async def test_a_stale_claim_writes_nothing(room: Room) -> None:
    """Not a draft, not a confirmation, not a step, not a mark."""
    stale, user_id = await room.claim_shard(0), uuid4()
    draft, order = await room.offered(stale, user_id), await room.accepted(stale, user_id)
    await room.claim_shard(0)
    tables = ("drafts", "orders", "order_steps", "events")
    before = [await room.rows(table) for table in tables]

    for write in (
        room.drafts.keep(stale, uuid4(), user_id, OFFER),
        room.drafts.cancel(stale, user_id, draft.draft_id),
        room.drafts.cancel_open(stale, user_id),
        room.orders.accept(stale, user_id, draft.draft_id, ""),
        room.orders.record(stale, order, HELD, nobody_waits=True),
        room.orders.tell_later(stale, order.order_id),
        room.orders.tell_of(stale, user_id, order.order_id),
        room.events.mark_relayed(stale, [uuid4()]),
    ):
        with pytest.raises(ClaimLost):
            await write
    after = [await room.rows(table) for table in tables]
    assert before == after


async def test_a_valid_claim_of_another_shard_moves_no_order(room: Room) -> None:
    """The row's own shard is part of each statement."""
    mine, other, user_id = await room.claim_shard(0), await room.claim_shard(1), uuid4()
    order = await room.accepted(mine, user_id)

    seen = await room.orders.record(other, order, HELD, nobody_waits=True)
    assert OrderState.ACCEPTED is seen.order.state
    await room.orders.tell_later(other, order.order_id)
    assert False is await room.owner.fetchval("SELECT tell_later FROM worker.orders")
    assert [] == await room.orders.under_way([other], 10)


async def test_each_step_is_recorded_once_with_its_state(room: Room) -> None:
    """A second record of the same step finds the state changed and writes nothing."""
    claim, user_id = await room.claim_shard(0), uuid4()
    order = await room.accepted(claim, user_id)
    first = await room.orders.record(claim, order, HELD, nobody_waits=False)
    again = await room.orders.record(claim, order, HELD, nobody_waits=False)

    assert OrderState.HELD is first.order.state
    assert first == again
    steps = await room.owner.fetch("SELECT step, outcome, epoch FROM worker.order_steps ORDER BY 1")
    assert [("accept", "accepted", 1), ("hold", "applied", 1)] == [tuple(row) for row in steps]


async def test_nothing_is_sent_after_its_time(room: Room) -> None:
    """By the database's clock, in the very statement that would allow it."""
    claim, user_id = await room.claim_shard(0), uuid4()
    orders = PostgresOrders(room.connections, replace(LIMITS, submit_within_seconds=0.05))
    draft = await room.offered(claim, user_id)
    accepted = await orders.accept(claim, user_id, draft.draft_id, "")
    assert isinstance(accepted, Seen)
    held = await orders.record(claim, accepted.order, HELD, nobody_waits=False)
    await asyncio.sleep(0.1)

    sending = Record(OrderState.SUBMITTED, "submit", "sending")
    seen = await orders.record(claim, held.order, sending, nobody_waits=False)
    assert (OrderState.HELD, True) == (seen.order.state, seen.is_late)


@pytest.mark.parametrize(
    ("nobody_waits", "tells_later", "events"),
    [(False, False, 0), (True, False, 1), (False, True, 1), (True, True, 1)],
)
async def test_an_end_and_its_event_are_one_transaction(
    room: Room, nobody_waits: bool, tells_later: bool, events: int
) -> None:
    """When nobody waits, or the one who did has left."""
    claim, user_id = await room.claim_shard(0), uuid4()
    order = await room.accepted(claim, user_id)
    if tells_later:
        await room.orders.tell_later(claim, order.order_id)
    ended = await room.orders.record(claim, order, NO_FUNDS, nobody_waits=nobody_waits)
    after = await room.orders.tell_later(claim, order.order_id)

    assert ended == after
    assert (OrderState.REJECTED, Refused.INSUFFICIENT_FUNDS) == (
        ended.order.state,
        ended.order.refused,
    )
    assert events == await room.count("events")
    told = await room.events.unrelayed([claim], 10)
    assert [("de", ended.order, claim)] * events == [
        (e.language, e.order, e.claim) for e in told if isinstance(e, EndEvent)
    ]


async def test_what_became_of_an_order_is_told_of_on_demand(room: Room) -> None:
    """Before its end and after it, once; nobody else's, and not from another shard."""
    claim, other, user_id = await room.claim_shard(0), await room.claim_shard(1), uuid4()
    early, late = await room.accepted(claim, user_id), await room.accepted(claim, user_id)
    await room.orders.tell_of(claim, user_id, early.order_id)
    for order in (early, late):
        await room.orders.record(claim, order, NO_FUNDS, nobody_waits=False)
    assert [early.order_id] == [row["order_id"] for row in await room.rows("events")]

    await room.orders.tell_of(claim, uuid4(), late.order_id)
    await room.orders.tell_of(other, user_id, late.order_id)
    await room.orders.tell_of(claim, user_id, uuid4())
    assert 1 == await room.count("events")
    for _ in range(2):
        await room.orders.tell_of(claim, user_id, early.order_id)
        await room.orders.tell_of(claim, user_id, late.order_id)
    assert {early.order_id, late.order_id} == {e["order_id"] for e in await room.rows("events")}
    assert 2 == await room.count("events")


async def test_an_end_that_comes_while_it_is_asked_for_is_told_of(room: Room) -> None:
    """Whoever commits first: an event, and no order is forgotten."""
    claim, user_id = await room.claim_shard(0), uuid4()
    order = await room.accepted(claim, user_id)
    async with room.connections.acquire() as connection, connection.transaction():
        await connection.execute(
            "UPDATE worker.orders SET state = 'rejected', refused = 'too-late',"
            " ended_at = clock_timestamp() WHERE order_id = $1",
            order.order_id,
        )
        asking = asyncio.create_task(room.orders.tell_of(claim, user_id, order.order_id))
        await asyncio.sleep(0.2)
        assert not asking.done()
    await asking

    assert 1 == await room.count("events")


async def test_an_event_that_commits_late_is_not_passed_over(room: Room) -> None:
    """Each row has its own mark."""
    claim = await room.claim_shard(0)
    late, early = await room.accepted(claim, uuid4()), await room.accepted(claim, uuid4())
    await room.orders.record(claim, early, NO_FUNDS, nobody_waits=True)
    (seen,) = await room.events.unrelayed([claim], 10)
    await room.orders.record(claim, late, NO_FUNDS, nobody_waits=True)
    await room.owner.execute(
        "UPDATE worker.events SET made_at = made_at - interval '1 hour' WHERE order_id = $1",
        late.order_id,
    )
    await room.events.mark_relayed(claim, [seen.event_id])
    await room.events.mark_relayed(claim, [seen.event_id])

    (untold,) = await room.events.unrelayed([claim], 10)
    assert isinstance(untold, EndEvent)
    assert late.order_id == untold.order.order_id
    assert [] == await room.events.unrelayed([await room.claim_shard(1)], 10)


async def test_more_orders_than_may_be_under_way_end_at_once_and_say_why(room: Room) -> None:
    """Two of a user, four of the shard; those that ended make room."""
    claim, user_id = await room.claim_shard(0), uuid4()
    orders = [await room.accepted(claim, user_id) for _ in range(3)]
    assert [None, None, Refused.LIMIT_EXCEEDED] == [order.refused for order in orders]
    assert OrderState.REJECTED is orders[2].state

    await room.orders.record(claim, orders[0], NO_FUNDS, nobody_waits=False)
    assert OrderState.ACCEPTED is (await room.accepted(claim, user_id)).state
    others = [await room.accepted(claim, uuid4()) for _ in range(3)]
    assert [None, None, Refused.LIMIT_EXCEEDED] == [order.refused for order in others]
    assert orders[1].order_id in {u.seen.order.order_id for u in await _under_way(room, claim)}
    assert 4 == len(await _under_way(room, claim))


async def test_no_arrow_is_taken_backwards_whoever_asks(room: Room) -> None:
    """The database itself refuses it, of the owner too."""
    claim, user_id = await room.claim_shard(0), uuid4()
    order = await room.accepted(claim, user_id)
    with pytest.raises(asyncpg.RestrictViolationError):
        await room.owner.execute("UPDATE worker.orders SET state = 'submitted'")
    await room.orders.record(claim, order, NO_FUNDS, nobody_waits=False)
    with pytest.raises(asyncpg.RestrictViolationError):
        await room.owner.execute("UPDATE worker.orders SET tell_later = true")


async def test_a_users_orders_come_newest_first(room: Room) -> None:
    """His own, the rejected ones included."""
    claim, user_id = await room.claim_shard(0), uuid4()
    orders = [await room.accepted(claim, user_id) for _ in range(3)]
    await room.accepted(claim, uuid4())

    newest = await room.orders.newest(user_id, 2)
    assert [orders[2].order_id, orders[1].order_id] == [order.order_id for order in newest]


async def _under_way(room: Room, claim: Claim) -> list[Underway]:
    return list(await room.orders.under_way([claim], 100))


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
        for underway in await _under_way(room, claim):
            carried = carrying_out.start(claim, underway.seen)
            assert carried is not None
            await asyncio.wait({carried.task})
        if not await _under_way(room, claim):
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


MOVE = "SELECT worker.move_users($1, 'default.main', 0, 'default.main', 1)"


async def test_orders_go_on_in_the_shard_their_user_is_moved_to(room: Room) -> None:
    """From the very state they were in; the old shard has none of them any more."""
    claim, _ = await room.claim_shard(0), await room.claim_shard(1)
    user_id = uuid4()
    order = await room.accepted(claim, user_id)
    await room.orders.record(claim, order, HELD, nobody_waits=True)
    assert [order.order_id] == await room.owner.fetchval(MOVE, [user_id])
    old, new = await room.claim_shard(0), await room.claim_shard(1)

    with pytest.raises(ClaimLost):
        await room.orders.record(claim, order, NO_FUNDS, nobody_waits=True)
    assert [] == await room.orders.under_way([old], 10)
    (found,) = await room.orders.under_way([new], 10)
    assert OrderState.HELD is found.seen.order.state
    given_up = Record(OrderState.GIVEN_UP, "venue", "tombstoned", refused=Refused.TOO_LATE)
    stays = await room.orders.record(old, found.seen.order, given_up, nobody_waits=True)
    assert OrderState.HELD is stays.order.state
    goes = await room.orders.record(new, found.seen.order, given_up, nobody_waits=True)
    assert OrderState.GIVEN_UP is goes.order.state


async def test_history_is_its_users_wherever_he_is(room: Room) -> None:
    """A button pressed again, or an end that is still to be told, finds it from the new shard, and
    no longer from the old one.
    """
    claim, _ = await room.claim_shard(0), await room.claim_shard(1)
    user_id, neighbour = uuid4(), uuid4()
    order = await room.accepted(claim, user_id)
    others = await room.accepted(claim, neighbour)
    for each in (order, others):
        await room.orders.record(claim, each, NO_FUNDS, nobody_waits=False)
    await room.owner.execute(MOVE, [user_id])
    old, new = await room.claim_shard(0), await room.claim_shard(1)

    assert await room.orders.accept(old, user_id, order.order_id, "de") is None
    again = await room.orders.accept(new, user_id, order.order_id, "de")
    assert isinstance(again, Seen)
    assert OrderState.REJECTED is again.order.state
    await room.orders.tell_of(old, user_id, order.order_id)
    await room.orders.tell_of(new, neighbour, others.order_id)
    assert 0 == await room.count("events")
    await room.orders.tell_of(new, user_id, order.order_id)
    (event,) = await room.events.unrelayed([old, new], 10)
    assert new == event.claim
