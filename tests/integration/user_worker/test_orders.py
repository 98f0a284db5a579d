"""Orders and events in a real PostgreSQL, under real claims."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import asyncpg
import pytest
from tests.integration.user_worker.order_tables import (
    HELD,
    LIMITS,
    NO_FUNDS,
    OFFER,
    Room,
    opened,
    under_way,
)

from devbox.database import Database
from user_worker.domain.carrying_out import Record
from user_worker.domain.orders import (
    OrderState,
    Refused,
)
from user_worker.errors import ClaimLost
from user_worker.postgres import PostgresOrders
from user_worker.trading_ports import EndEvent, Seen


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    """The tables, as the worker's role may use them."""
    async with opened(database) as tables:
        yield tables


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
    assert orders[1].order_id in {u.seen.order.order_id for u in await under_way(room, claim)}
    assert 4 == len(await under_way(room, claim))


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
