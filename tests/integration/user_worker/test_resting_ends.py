"""What waits for a price ends: it triggers once, runs out, is cancelled, frozen or forgotten."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from tests.integration.user_worker.resting_tables import (
    LIMITS,
    OFFER,
    PRICE,
    WAITING_MAX,
    Room,
    opened,
)

from chassis.postgres import Pool
from devbox.database import Database
from user_worker.domain.carrying_out import Record
from user_worker.domain.notes import RestingExpired
from user_worker.domain.orders import (
    DraftState,
    OrderState,
    Refusal,
    Refused,
)
from user_worker.domain.resting import (
    Direction,
    RestingOrder,
    RestingState,
)
from user_worker.errors import ClaimLost
from user_worker.postgres import (
    PostgresFreezes,
    PostgresResting,
    PostgresWaiting,
)
from user_worker.resting_ports import NewAlert
from user_worker.trading_ports import EndEvent, NoteEvent, Seen

REJECTED = Record(
    OrderState.REJECTED, "hold", "insufficient-funds", refused=Refused.INSUFFICIENT_FUNDS
)


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    """The tables, as the worker's role may use them."""
    async with opened(database) as tables:
        yield tables


async def test_a_trigger_makes_one_order_however_often_it_is_tried(room: Room) -> None:
    """At the same time, again after a lost answer, and by the next owner."""
    claim, user_id = await room.claim_shard(0), uuid4()
    placed = await room.placed(claim, user_id)
    tries = await asyncio.gather(
        *(room.waiting.trigger(claim, [placed.order_id]) for _ in range(4))
    )
    again = await room.waiting.trigger(await room.claim_shard(0), [placed.order_id])

    for found in (*tries, again):
        (seen,) = found.values()
        assert isinstance(seen, Seen)
        assert OrderState.ACCEPTED is seen.order.state
        assert placed.order_id == seen.order.order_id
        assert not seen.is_late
    assert 1 == await room.count("orders") == await room.count("order_steps")
    assert RestingState.TRIGGERED is await room.state(placed)
    with pytest.raises(ClaimLost):
        await room.waiting.trigger(claim, [placed.order_id])


async def test_the_end_of_a_triggered_order_is_told(room: Room) -> None:
    """No job waits for it; in the language of the confirmation."""
    claim, user_id = await room.claim_shard(0), uuid4()
    placed = await room.placed(claim, user_id)
    seen = (await room.waiting.trigger(claim, [placed.order_id]))[placed.order_id]
    assert seen is not None
    await room.orders.record(claim, seen.order, REJECTED, nobody_waits=False)

    (event,) = await room.events.unrelayed([claim], 10)
    assert isinstance(event, EndEvent)
    assert (placed.order_id, "de") == (event.order.order_id, event.language)


async def test_what_finds_no_room_waits_and_is_never_refused(room: Room) -> None:
    """Two of a user and three of a shard may be under way; the oldest go first."""
    claim, ann, ben = await room.claim_shard(0), uuid4(), uuid4()
    mine = [await room.placed(claim, ann) for _ in range(3)]
    his = [await room.placed(claim, ben) for _ in range(2)]
    ids = [one.order_id for one in (*his, *mine)]

    found = await room.waiting.trigger(claim, ids)
    assert set(ids) == found.keys()
    expected = [True, True, False, True, False]
    assert expected == [found[one.order_id] is not None for one in (*mine, *his)]
    assert RestingState.WAITING is await room.state(mine[2])

    first = found[mine[0].order_id]
    assert first is not None
    await room.orders.record(claim, first.order, REJECTED, nobody_waits=True)
    again = await room.waiting.trigger(claim, [mine[2].order_id])
    assert again[mine[2].order_id] is not None


@pytest.mark.parametrize("is_cancelled_first", [True, False])
async def test_a_cancellation_and_a_trigger_at_the_same_time(
    room: Room, is_cancelled_first: bool
) -> None:
    """Whoever comes first decides, and the other one sees it."""
    claim, user_id = await room.claim_shard(0), uuid4()
    order_id = (await room.placed(claim, user_id)).order_id
    if is_cancelled_first:
        found = await room.behind(
            lambda held: PostgresResting(held, WAITING_MAX).cancel(claim, user_id, order_id),
            lambda: room.waiting.trigger(claim, [order_id]),
        )
        assert {} == found
        assert 0 == await room.count("orders")
    else:
        cancelled = await room.behind(
            lambda held: PostgresWaiting(held, LIMITS).trigger(claim, [order_id]),
            lambda: room.resting.cancel(claim, user_id, order_id),
        )
        assert cancelled is not None
        assert RestingState.TRIGGERED is cancelled.state
        assert 1 == await room.count("orders")


async def test_an_expiry_waits_for_a_trigger_that_began_in_time(room: Room) -> None:
    """It then finds an order where something had waited in vain."""
    claim, user_id = await room.claim_shard(0), uuid4()
    placed = await room.placed(claim, user_id)
    await room.owner.execute(
        "UPDATE worker.resting_orders SET expires_at = clock_timestamp() + interval '2 seconds'"
    )

    async def trigger_and_dawdle(held: Pool) -> None:
        await PostgresWaiting(held, LIMITS).trigger(claim, [placed.order_id])
        await asyncio.sleep(2.1)

    assert [] == await room.behind(trigger_and_dawdle, lambda: room.waiting.expire(claim, 10))
    assert RestingState.TRIGGERED is await room.state(placed)
    assert 1 == await room.count("orders")


async def test_what_is_past_its_time_never_triggers(room: Room) -> None:
    """Also before anybody has recorded that it ran out."""
    claim, user_id = await room.claim_shard(0), uuid4()
    placed = await room.placed(claim, user_id)
    await room.age("resting_orders")

    assert {placed.order_id: None} == await room.waiting.trigger(claim, [placed.order_id])
    assert 0 == await room.count("orders")
    assert [claim] == await room.waiting.expired([claim])
    assert [placed.order_id] == await room.waiting.expire(claim, 10)
    assert [] == await room.waiting.expired([claim])
    assert {} == await room.waiting.trigger(claim, [placed.order_id])


async def test_two_owners_trigger_once(room: Room) -> None:
    """The old one's transaction is under way when the new one claims: the claim waits for it, and
    what the old one begins later is refused.
    """
    claim, user_id = await room.claim_shard(0), uuid4()
    first, second = [await room.placed(claim, user_id) for _ in range(2)]
    newer = await room.behind(
        lambda held: PostgresWaiting(held, LIMITS).trigger(claim, [first.order_id]),
        lambda: room.claim_shard(0),
    )
    with pytest.raises(ClaimLost):
        await room.waiting.trigger(claim, [second.order_id])
    found = await room.waiting.trigger(newer, [first.order_id, second.order_id])

    assert {first.order_id, second.order_id} == found.keys()
    assert 2 == await room.count("orders") == await room.count("order_steps")


async def test_an_order_that_waited_in_vain_is_told_of_with_its_end(room: Room) -> None:
    """Once."""
    claim, user_id = await room.claim_shard(0), uuid4()
    placed = await room.placed(claim, user_id)
    await room.age("resting_orders")
    await room.waiting.expire(claim, 10)
    await room.waiting.expire(claim, 10)

    (event,) = await room.events.unrelayed([claim], 10)
    expected = RestingExpired(
        resting="stop",
        side="sell",
        symbol="BTC",
        currency="USDT",
        trigger_price=PRICE,
        receipt=placed.draft.receipt,
    )
    assert NoteEvent(event.event_id, claim, user_id, "de", expected) == event
    assert RestingState.EXPIRED is await room.state(placed)


async def test_a_freeze_cancels_what_waits_and_lets_nothing_wait(room: Room) -> None:
    """An offer from before it is refused; one cannot be made."""
    claim, user_id = await room.claim_shard(0), uuid4()
    offered, placed = await room.offered(claim, user_id), await room.placed(claim, user_id)
    await room.freezes.freeze(claim, uuid4(), user_id)
    assert RestingState.CANCELLED is await room.state(placed)
    assert {} == await room.waiting.trigger(claim, [placed.order_id])
    withdrawn = await room.resting.place(claim, user_id, offered.order_id, "de")
    assert isinstance(withdrawn, RestingOrder)
    assert DraftState.CANCELLED is withdrawn.draft.state
    frozen = Refusal(Refused.FROZEN)
    assert frozen == await room.drafts.keep(claim, uuid4(), user_id, OFFER)


async def test_an_offer_a_freeze_did_not_see_is_refused_all_the_same(room: Room) -> None:
    """However it came to stand open."""
    claim, user_id = await room.claim_shard(0), uuid4()
    offered = await room.offered(claim, user_id)
    await room.owner.execute(
        "INSERT INTO worker.freezes (user_id, pool, shard, job_id, stopped)"
        " VALUES ($1, $2, $3, $1, '{}')",
        *(user_id, claim.pool, claim.shard),
    )
    frozen = Refusal(Refused.FROZEN)
    assert frozen == await room.resting.place(claim, user_id, offered.order_id, "de")
    assert RestingState.OFFERED is await room.state(offered)


@pytest.mark.parametrize("is_frozen_first", [True, False])
async def test_a_freeze_and_a_confirmation_at_the_same_time(
    room: Room, is_frozen_first: bool
) -> None:
    """Nothing waits afterwards, whoever came first."""
    claim, user_id = await room.claim_shard(0), uuid4()
    offered = await room.offered(claim, user_id)
    freeze, place = (claim, uuid4(), user_id), (claim, user_id, offered.order_id, "de")
    if is_frozen_first:
        await room.behind(
            lambda held: PostgresFreezes(held).freeze(*freeze),
            lambda: room.resting.place(*place),
        )
    else:
        await room.behind(
            lambda held: PostgresResting(held, WAITING_MAX).place(*place),
            lambda: room.freezes.freeze(*freeze),
        )
    assert [] == await room.resting.waiting(user_id)


@pytest.mark.parametrize("is_frozen_first", [True, False])
async def test_a_freeze_and_a_trigger_at_the_same_time(room: Room, is_frozen_first: bool) -> None:
    """Nothing is ordered, or what was is given up."""
    claim, user_id = await room.claim_shard(0), uuid4()
    order_id = (await room.placed(claim, user_id)).order_id
    freeze = (claim, uuid4(), user_id)
    if is_frozen_first:
        found = await room.behind(
            lambda held: PostgresFreezes(held).freeze(*freeze),
            lambda: room.waiting.trigger(claim, [order_id]),
        )
        assert {} == found
        assert 0 == await room.count("orders")
    else:
        frozen = await room.behind(
            lambda held: PostgresWaiting(held, LIMITS).trigger(claim, [order_id]),
            lambda: room.freezes.freeze(*freeze),
        )
        assert 1 == frozen.stopped.orders
        assert (await room.orders.look(order_id)).order.is_frozen


async def test_forgetting_ends_what_waits(room: Room) -> None:
    """Alerts are erased and resting orders cancelled; the confirmed draft stays a receipt."""
    claim, user_id = await room.claim_shard(0), uuid4()
    offered, placed = await room.offered(claim, user_id), await room.placed(claim, user_id)
    await room.alerts.set(
        claim, user_id, NewAlert(uuid4(), "BTC", Direction.AT_OR_ABOVE, PRICE, "")
    )
    other = await room.placed(claim, uuid4())
    for _ in range(2):
        await room.preferences.forget(claim, user_id)

    assert None is await room.resting.read(user_id, offered.order_id)
    assert RestingState.CANCELLED is await room.state(placed)
    assert RestingState.WAITING is await room.state(other)
    assert 0 == await room.count("alerts")


async def test_an_end_stays_an_end(room: Room) -> None:
    """Whoever asks: the table refuses."""
    claim = await room.claim_shard(0)
    placed = await room.placed(claim, uuid4())
    await room.waiting.trigger(claim, [placed.order_id])
    with pytest.raises(asyncpg.RestrictViolationError, match="never goes from triggered"):
        await room.owner.execute(
            "UPDATE worker.resting_orders SET state = 'waiting', ended_at = NULL"
        )
