"""Freezes in a real PostgreSQL: what they stop, and who wins when something comes meanwhile."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg
import pytest
from tests.integration.user_worker.ruled import (
    HELD,
    SENDING,
    Room,
    offer_of,
    open_room,
    waiting,
)
from tests.unit.user_worker.fakes_trading import FUNDS, MemoryBooks, MemoryVenue, Way

from devbox.database import Database
from kernel.sharding import Claim
from user_worker.application.carrying_out import CarryingOut, CarryingPace
from user_worker.domain.carrying_out import Record
from user_worker.domain.freezing import Stopped
from user_worker.domain.orders import DraftState, Order, OrderState, Refusal, Refused
from user_worker.domain.pauses import Pauses
from user_worker.domain.resting import RestingOrder, RestingState
from user_worker.errors import ClaimLost
from user_worker.postgres import PostgresOrders
from user_worker.trading_ports import Seen

SOON = Pauses(0.001, 0.002)
FROZEN = Refusal(Refused.FROZEN)


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    """The tables."""
    async with open_room(database) as opened:
        yield opened


async def test_a_freeze_stops_what_was_not_sent_and_counts_what_was(room: Room) -> None:
    """One offer, one order accepted, one at the venue; another user's go on."""
    claim, ann, ben = await room.claim_shard(0), uuid4(), uuid4()
    sent, accepted = await room.accepted(claim, ann), await room.accepted(claim, ann)
    await room.orders.record(claim, sent, HELD, nobody_waits=True)
    held = (await room.orders.look(sent.order_id)).order
    await room.orders.record(claim, held, SENDING, nobody_waits=True)
    offer, bens, bens_order = (
        await room.offered(claim, ann),
        await room.offered(claim, ben),
        await room.accepted(claim, ben),
    )
    frozen = await room.freezes.freeze(claim, uuid4(), ann)

    assert Stopped(offers=1, orders=1, submitted=1) == frozen.stopped
    assert frozen.since == await room.freezes.frozen_since(ann)
    assert None is await room.freezes.frozen_since(ben)
    draft = await room.drafts.read(ann, offer.draft_id)
    assert draft is not None
    assert DraftState.CANCELLED is draft.state
    seen = await room.orders.look(accepted.order_id)
    assert (True, True) == (seen.order.is_frozen, seen.is_late)
    assert not (await room.orders.look(sent.order_id)).order.is_frozen
    assert not (await room.orders.look(bens_order.order_id)).order.is_frozen
    assert bens == await room.drafts.read(ben, bens.draft_id)


async def test_a_job_that_runs_again_says_the_same_and_another_finds_nothing_left(
    room: Room,
) -> None:
    """The freeze keeps its beginning."""
    claim, ann, job_id = await room.claim_shard(0), uuid4(), uuid4()
    await room.offered(claim, ann)
    first = await room.freezes.freeze(claim, job_id, ann)
    again = await room.freezes.freeze(claim, job_id, ann)
    other = await room.freezes.freeze(claim, uuid4(), ann)

    assert 1 == first.stopped.offers
    assert first == again
    assert (first.since, Stopped()) == (other.since, other.stopped)


async def test_nothing_is_accepted_while_frozen_and_everything_after(room: Room) -> None:
    """A new draft is refused; what was stopped stays stopped."""
    claim, ann = await room.claim_shard(0), uuid4()
    accepted = await room.accepted(claim, ann)
    freeze = uuid4()
    await room.freezes.freeze(claim, freeze, ann)
    assert FROZEN == await room.drafts.keep(claim, uuid4(), ann, offer_of())
    assert freeze == await room.freezes.standing(ann)
    for _ in range(2):
        assert await room.freezes.thaw(claim, ann, freeze)

    assert None is await room.freezes.frozen_since(ann)
    assert OrderState.ACCEPTED is (await room.accepted(claim, ann)).state
    assert (await room.orders.look(accepted.order_id)).order.is_frozen


async def test_a_stale_claim_freezes_and_thaws_nobody(room: Room) -> None:
    """Nor does a claim of another shard stop anything or end the freeze."""
    stale, ann = await room.claim_shard(0), uuid4()
    order = await room.accepted(stale, ann)
    claim, other = await room.claim_shard(0), await room.claim_shard(1)
    with pytest.raises(ClaimLost):
        await room.freezes.freeze(stale, uuid4(), ann)
    assert [] == await room.rows("freezes")
    assert Stopped() == (await room.freezes.freeze(other, uuid4(), ann)).stopped
    assert not (await room.orders.look(order.order_id)).order.is_frozen

    freeze = uuid4()
    await room.freezes.freeze(claim, freeze, ann)
    with pytest.raises(ClaimLost):
        await room.freezes.thaw(stale, ann, freeze)
    assert not await room.freezes.thaw(other, ann, freeze)
    assert None is not await room.freezes.frozen_since(ann)


async def test_a_freeze_is_ended_by_its_own_name_only(room: Room) -> None:
    """What was meant for an earlier one ends none."""
    claim, ann, first, later = await room.claim_shard(0), uuid4(), uuid4(), uuid4()
    await room.freezes.freeze(claim, first, ann)
    await room.freezes.freeze(claim, later, ann)
    assert not await room.freezes.thaw(claim, ann, first)
    assert later == await room.freezes.standing(ann)
    assert await room.freezes.thaw(claim, ann, later)
    assert None is await room.freezes.standing(ann)


async def test_the_database_takes_no_order_of_a_frozen_user_whoever_forgets_to_ask(
    room: Room,
) -> None:
    """Not even of its owner; one that ends at once is a receipt and no more."""
    claim, ann = await room.claim_shard(0), uuid4()
    draft = await room.offered(claim, ann)
    await room.freezes.freeze(claim, uuid4(), ann)
    with pytest.raises(asyncpg.RestrictViolationError):
        await room.owner.execute(
            "INSERT INTO worker.orders (order_id, user_id, pool, shard, state, submit_before)"
            " VALUES ($1, $2, $3, $4, 'accepted', clock_timestamp())",
            *(draft.draft_id, ann, claim.pool, claim.shard),
        )


async def test_a_freeze_that_comes_first_refuses_the_confirmation_that_waited(room: Room) -> None:
    """The press waits for the freeze to commit and then sees it."""
    claim, ann = await room.claim_shard(0), uuid4()
    draft = await room.offered(claim, ann)
    async with room.owner.transaction():
        await room.owner.execute("SELECT pg_advisory_xact_lock(worker.freeze_key($1))", ann)
        await _insert_freeze(room, claim, ann)
        pressed = await waiting(room.owner, room.orders.accept(claim, ann, draft.draft_id, ""))
        offered = await waiting(room.owner, room.drafts.keep(claim, uuid4(), ann, offer_of()))
    seen = await pressed

    assert isinstance(seen, Seen)
    assert (OrderState.REJECTED, Refused.FROZEN) == (seen.order.state, seen.order.refused)
    assert FROZEN == await offered


async def test_a_confirmation_that_comes_first_is_found_by_the_freeze_that_waited(
    room: Room,
) -> None:
    """Between its look at the freezes and its commit, nobody can freeze."""
    claim, ann = await room.claim_shard(0), uuid4()
    draft = await room.offered(claim, ann)
    async with room.owner.transaction():
        await room.owner.execute(
            "SELECT FROM worker.drafts WHERE draft_id = $1 FOR UPDATE", draft.draft_id
        )
        pressed = await waiting(room.owner, room.orders.accept(claim, ann, draft.draft_id, ""))
        freezing = await waiting(room.owner, room.freezes.freeze(claim, uuid4(), ann))
    seen, frozen = await pressed, await freezing

    assert isinstance(seen, Seen)
    assert OrderState.ACCEPTED is seen.order.state
    assert Stopped(orders=1) == frozen.stopped
    assert (await room.orders.look(draft.draft_id)).order.is_frozen


async def test_an_order_that_is_being_sent_when_a_freeze_comes_is_asked_about(room: Room) -> None:
    """The freeze waits for the record and finds the order at the venue."""
    claim, ann = await room.claim_shard(0), uuid4()
    order = await _held(room, claim, ann)
    async with room.owner.transaction():
        await room.owner.execute(
            "UPDATE worker.orders SET state = 'submitted' WHERE order_id = $1", order.order_id
        )
        freezing = await waiting(room.owner, room.freezes.freeze(claim, uuid4(), ann))
    frozen = await freezing

    assert Stopped(submitted=1) == frozen.stopped
    assert not (await room.orders.look(order.order_id)).order.is_frozen


async def test_an_order_a_freeze_met_is_never_recorded_as_sent(room: Room) -> None:
    """The record waits for the freeze and changes nothing."""
    claim, ann = await room.claim_shard(0), uuid4()
    order = await _held(room, claim, ann)
    async with room.owner.transaction():
        await room.owner.execute(
            "UPDATE worker.orders SET is_frozen = true, submit_before = clock_timestamp()"
            " WHERE order_id = $1",
            order.order_id,
        )
        recording = await waiting(
            room.owner, room.orders.record(claim, order, SENDING, nobody_waits=True)
        )
    seen = await recording

    assert (OrderState.HELD, True, True) == (seen.order.state, seen.is_late, seen.order.is_frozen)


async def test_a_freeze_cancels_what_waits_for_a_price_and_lets_nothing_begin_to(
    room: Room,
) -> None:
    """An offer is withdrawn like any other."""
    claim, ann = await room.claim_shard(0), uuid4()
    waits, offered = await room.rests(claim, ann), await room.rests(claim, ann, placed=False)
    frozen = await room.freezes.freeze(claim, uuid4(), ann)

    assert Stopped(resting=1, offers=1) == frozen.stopped
    assert {} == await room.waiting.trigger(claim, [waits])
    placed = await room.resting.place(claim, ann, offered, "")
    assert isinstance(placed, RestingOrder)
    assert DraftState.CANCELLED is placed.draft.state
    cancelled = await room.resting.read(ann, waits)
    assert cancelled is not None
    assert RestingState.CANCELLED is cancelled.state
    assert [] == await room.rows("orders")


async def test_placing_and_freezing_wait_for_one_another(room: Room) -> None:
    """Whichever is first: what was placed is found, what comes later is refused."""
    claim, ann = await room.claim_shard(0), uuid4()
    offered = await room.rests(claim, ann, placed=False)
    async with room.owner.transaction():
        await room.owner.execute(
            "SELECT FROM worker.resting_orders WHERE order_id = $1 FOR UPDATE", offered
        )
        placing = await waiting(room.owner, room.resting.place(claim, ann, offered, ""))
        freezing = await waiting(room.owner, room.freezes.freeze(claim, uuid4(), ann))
    placed, frozen = await placing, await freezing
    assert isinstance(placed, RestingOrder)
    assert (RestingState.WAITING, Stopped(resting=1)) == (placed.state, frozen.stopped)

    ben = uuid4()
    offered = await room.rests(claim, ben, placed=False)
    async with room.owner.transaction():
        await room.owner.execute("SELECT pg_advisory_xact_lock(worker.freeze_key($1))", ben)
        await _insert_freeze(room, claim, ben)
        placing = await waiting(room.owner, room.resting.place(claim, ben, offered, ""))
    assert FROZEN == await placing


async def test_a_trigger_that_comes_first_is_found_by_the_freeze_that_waited(room: Room) -> None:
    """The order it led to is given up."""
    claim, ann = await room.claim_shard(0), uuid4()
    waits = await room.rests(claim, ann)
    async with room.owner.transaction():
        # It has marked what waited and stops where the order is to refer to its draft.
        await room.owner.execute("SELECT FROM worker.drafts WHERE draft_id = $1 FOR UPDATE", waits)
        triggering = await waiting(room.owner, room.waiting.trigger(claim, [waits]))
        freezing = await waiting(room.owner, room.freezes.freeze(claim, uuid4(), ann))
    found, frozen = await triggering, await freezing

    assert Stopped(orders=1) == frozen.stopped
    assert waits in found
    assert (await room.orders.look(waits)).order.is_frozen


async def test_a_freeze_and_a_trigger_lock_what_waits_in_one_order(room: Room) -> None:
    """Who waits for the first row holds no later one, so neither waits for the other for ever."""
    claim, ann = await room.claim_shard(0), uuid4()
    ids = sorted([await room.rests(claim, ann, placed=False) for _ in range(2)])
    for order_id in ids[::-1]:
        # The row of the later one is met first by whoever reads the table as it lies there.
        await room.resting.place(claim, ann, order_id, "")
    lock = "SELECT FROM worker.resting_orders WHERE order_id = $1 FOR UPDATE NOWAIT"
    async with room.owner.transaction():
        await room.owner.execute(lock, ids[0])
        triggering = await waiting(room.owner, room.waiting.trigger(claim, ids[::-1]))
        freezing = await waiting(room.owner, room.freezes.freeze(claim, uuid4(), ann))
        await room.owner.execute(lock, ids[1])
    found, frozen = await triggering, await freezing

    assert Stopped(orders=2) == frozen.stopped
    assert set(ids) == set(found)


async def test_a_trigger_that_comes_after_a_freeze_finds_nothing_waiting(room: Room) -> None:
    """It waited for the row that the freeze cancelled."""
    claim, ann = await room.claim_shard(0), uuid4()
    waits = await room.rests(claim, ann)
    async with room.owner.transaction():
        await room.owner.execute(
            "UPDATE worker.resting_orders SET state = 'cancelled', ended_at = clock_timestamp()"
        )
        await _insert_freeze(room, claim, ann)
        triggering = await waiting(room.owner, room.waiting.trigger(claim, [waits]))
    assert {} == await triggering
    assert [] == await room.rows("orders")


@dataclass
class FreezingOrders:
    """The real orders; before one of its calls the user freezes his trading."""

    inner: PostgresOrders
    freeze: Callable[[], Awaitable[object]]
    calls_before: int

    async def record(
        self, claim: Claim, order: Order, change: Record, *, nobody_waits: bool
    ) -> Seen:
        """Record a step."""
        await self._perhaps()
        return await self.inner.record(claim, order, change, nobody_waits=nobody_waits)

    async def look(self, order_id: UUID) -> Seen:
        """Read an order."""
        await self._perhaps()
        return await self.inner.look(order_id)

    async def _perhaps(self) -> None:
        self.calls_before -= 1
        if self.calls_before == -1:
            await self.freeze()


@pytest.mark.parametrize("calls_before", range(5))
async def test_whenever_a_freeze_comes_the_books_agree_with_the_order(
    room: Room, calls_before: int
) -> None:
    """Filled, when it was at the venue already; else given back, and the reason is the freeze."""
    claim, ann, way = await room.claim_shard(0), uuid4(), Way()
    way.epoch = claim.epoch
    books, venue = MemoryBooks(way), MemoryVenue(way)
    books.account("paper:USDT").posted = FUNDS
    order = await room.accepted(claim, ann)
    orders = FreezingOrders(
        room.orders, lambda: room.freezes.freeze(claim, uuid4(), ann), calls_before
    )
    carrying_out = CarryingOut(orders, books, venue, CarryingPace(4, SOON, SOON))  # type: ignore[arg-type]
    carrying_out.begin(claim, lambda: None)
    carried = carrying_out.start(claim, await room.orders.look(order.order_id))
    assert carried is not None
    ended = await carried.task

    usdt = books.account("paper:USDT")
    assert 0 == usdt.held
    if ended.state is OrderState.FILLED:
        assert (1, FUNDS - 100) == (venue.executions, usdt.posted)
    else:
        assert (OrderState.REJECTED, Refused.FROZEN) == (ended.state, ended.refused)
        assert (0, FUNDS) == (venue.executions, usdt.posted)
    # Recorded are: the hold, the submission, the venue's answer, the end.
    assert (calls_before < 2) is (ended.refused is Refused.FROZEN)


async def _held(room: Room, claim: Claim, user_id: UUID) -> Order:
    order = await room.accepted(claim, user_id)
    return (await room.orders.record(claim, order, HELD, nobody_waits=True)).order


async def _insert_freeze(room: Room, claim: Claim, user_id: UUID) -> None:
    await room.owner.execute(
        "INSERT INTO worker.freezes (user_id, pool, shard, job_id, stopped)"
        " VALUES ($1, $2, $3, $4, '{}')",
        *(user_id, claim.pool, claim.shard, uuid4()),
    )
