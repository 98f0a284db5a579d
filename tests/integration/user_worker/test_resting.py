"""Resting orders and alerts in a real PostgreSQL, under real claims, races stepped through."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from tests.integration.user_worker.resting_tables import (
    CONDITION,
    OFFER,
    PRICE,
    QUOTE,
    WAITING_MAX,
    Room,
    opened,
)

from devbox.database import Database
from user_worker.domain.notes import AlertExpired, AlertReached, RestingPlaced
from user_worker.domain.orders import (
    DraftState,
    Refusal,
    Refused,
)
from user_worker.domain.resting import (
    Direction,
    RestingKind,
    RestingOrder,
    RestingState,
)
from user_worker.domain.triggers import Purpose, Watch
from user_worker.postgres import (
    PostgresResting,
)
from user_worker.resting_ports import NewAlert, Reached
from user_worker.trading_ports import NoteEvent


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    """The tables, as the worker's role may use them."""
    async with opened(database) as tables:
        yield tables


async def test_an_offer_is_read_as_it_was_kept_to_the_last_digit(room: Room) -> None:
    """And belongs to its user alone."""
    claim, user_id = await room.claim_shard(0), uuid4()
    offered = await room.offered(claim, user_id)

    assert (CONDITION, RestingState.OFFERED) == (offered.condition, offered.state)
    assert OFFER.wish == offered.draft.wish
    assert offered == await room.resting.of_receipt(user_id, offered.draft.receipt)
    assert None is await room.resting.read(uuid4(), offered.order_id)
    assert [] == await room.resting.waiting(user_id)


async def test_an_offer_that_is_to_wait_never_becomes_an_order_at_once(room: Room) -> None:
    """Whichever button was made up for it; also once it waits."""
    claim, user_id = await room.claim_shard(0), uuid4()
    offered = await room.offered(claim, user_id)
    assert None is await room.orders.accept(claim, user_id, offered.order_id, "de")
    await room.resting.place(claim, user_id, offered.order_id, "de")
    assert None is await room.orders.accept(claim, user_id, offered.order_id, "de")

    assert 0 == await room.count("orders")
    assert RestingState.WAITING is await room.state(offered)


async def test_confirming_twice_meets_what_waits(room: Room) -> None:
    """It lasts from its confirmation on; both presses at the same time, too."""
    claim, user_id = await room.claim_shard(0), uuid4()
    offered = await room.offered(claim, user_id)
    placed = await asyncio.gather(
        *(room.resting.place(claim, user_id, offered.order_id, "de") for _ in range(4))
    )

    (first,) = {one for one in placed if isinstance(one, RestingOrder)}
    assert (RestingState.WAITING, DraftState.CONFIRMED) == (first.state, first.draft.state)
    assert first.placed_at is not None
    assert first.expires_at is not None
    assert 3600 == (first.expires_at - first.placed_at).total_seconds()
    assert [first] == await room.resting.waiting(user_id)


async def test_confirming_behind_a_confirmation_sees_what_it_did(room: Room) -> None:
    """The second waits for the row and finds it waiting, its draft confirmed."""
    claim, user_id = await room.claim_shard(0), uuid4()
    offered = await room.offered(claim, user_id)
    place = (claim, user_id, offered.order_id, "de")
    placed = await room.behind(
        lambda held: PostgresResting(held, WAITING_MAX).place(*place),
        lambda: room.resting.place(*place),
    )

    assert isinstance(placed, RestingOrder)
    assert (RestingState.WAITING, DraftState.CONFIRMED) == (placed.state, placed.draft.state)


async def test_an_offer_that_has_run_out_does_not_wait(room: Room) -> None:
    """It is recorded as expired, and stays so."""
    claim, user_id = await room.claim_shard(0), uuid4()
    offered = await room.offered(claim, user_id)
    await room.owner.execute("UPDATE worker.drafts SET expires_at = made_at")
    for _ in range(2):
        placed = await room.resting.place(claim, user_id, offered.order_id, "de")
        assert isinstance(placed, RestingOrder)
        assert (RestingState.OFFERED, DraftState.EXPIRED) == (placed.state, placed.draft.state)
    assert "expired" == await room.owner.fetchval("SELECT state FROM worker.drafts")


async def test_a_user_may_have_so_many_waiting(room: Room) -> None:
    """One more is refused and stays an offer; others are not hindered."""
    claim, user_id = await room.claim_shard(0), uuid4()
    for _ in range(WAITING_MAX):
        await room.placed(claim, user_id)
    more = await room.offered(claim, user_id)
    refusal = Refusal(Refused.TOO_MANY_RESTING, Decimal(WAITING_MAX))

    assert refusal == await room.resting.place(claim, user_id, more.order_id, "de")
    assert RestingState.OFFERED is await room.state(more)
    await room.placed(claim, uuid4())


async def test_cancelling_ends_what_is_offered_or_waits_once(room: Room) -> None:
    """Somebody else's is none of his."""
    claim, user_id = await room.claim_shard(0), uuid4()
    offered, waiting = await room.offered(claim, user_id), await room.placed(claim, user_id)
    for _ in range(2):
        withdrawn = await room.resting.cancel(claim, user_id, offered.order_id)
        cancelled = await room.resting.cancel(claim, user_id, waiting.order_id)
    assert withdrawn is not None
    assert cancelled is not None
    assert (RestingState.OFFERED, DraftState.CANCELLED) == (withdrawn.state, withdrawn.draft.state)
    assert RestingState.CANCELLED is cancelled.state
    assert None is await room.resting.cancel(claim, uuid4(), waiting.order_id)
    assert {} == await room.waiting.trigger(claim, [offered.order_id, waiting.order_id])


async def test_a_claim_of_another_shard_touches_nothing(room: Room) -> None:
    """Valid as it is."""
    claim, user_id = await room.claim_shard(0), uuid4()
    offered, placed = await room.offered(claim, user_id), await room.placed(claim, user_id)
    other = await room.claim_shard(1)

    assert None is await room.resting.place(other, user_id, offered.order_id, "de")
    assert None is await room.resting.cancel(other, user_id, placed.order_id)
    assert {} == await room.waiting.trigger(other, [placed.order_id])
    await room.age("resting_orders")
    assert [] == await room.waiting.expired([other])
    assert [] == await room.waiting.expire(other, 10)
    assert RestingState.WAITING is await room.state(placed)


async def test_one_that_waits_is_told_of_when_its_job_could_not(room: Room) -> None:
    """What does not wait is not."""
    claim, user_id = await room.claim_shard(0), uuid4()
    offered, placed = await room.offered(claim, user_id), await room.placed(claim, user_id)
    for _ in range(2):
        await room.resting.tell_of(claim, user_id, offered.order_id)
        await room.resting.tell_of(claim, user_id, placed.order_id)

    (event,) = await room.events.unrelayed([claim], 10)
    assert isinstance(event, NoteEvent)
    assert RestingPlaced("stop", "sell", "BTC", placed.draft.receipt) == event.note


async def test_the_watches_of_a_shard_are_read_in_pages(room: Room) -> None:
    """Orders and alerts, each once, and nothing that does not wait."""
    claim, limit = await room.claim_shard(0), replace(CONDITION, kind=RestingKind.LIMIT)
    placed = [await room.placed(claim, uuid4()) for _ in range(3)]
    limited = await room.placed(claim, uuid4(), limit)
    await room.offered(claim, uuid4())
    alert_ids = [uuid4() for _ in range(3)]
    for alert_id in alert_ids:
        new = NewAlert(alert_id, "BTC", Direction.AT_OR_ABOVE, PRICE, "de")
        await room.alerts.set(claim, uuid4(), new)
    await room.placed(await room.claim_shard(1), uuid4())

    read: list[Watch] = []
    after, pages = None, 0
    while pages == 0 or after is not None:
        watches, after = await room.waiting.page(claim, after, 2)
        read += watches
        pages += 1
    assert 4 == pages
    market = [(one.order_id, Purpose.MARKET, Direction.AT_OR_BELOW) for one in placed]
    alerts = [(alert_id, Purpose.ALERT, Direction.AT_OR_ABOVE) for alert_id in alert_ids]
    limits = [(limited.order_id, Purpose.LIMIT, Direction.AT_OR_BELOW)]
    assert {*market, *alerts, *limits} == {(w.watch_id, w.purpose, w.direction) for w in read}
    assert len(read) == 7
    assert {("BTC", PRICE)} == {(watch.symbol, watch.price) for watch in read}


async def test_an_alert_is_set_once_reached_once_and_told_with_it(room: Room) -> None:
    """By whom it belongs to, in the language it was set in."""
    claim, user_id = await room.claim_shard(0), uuid4()
    new = NewAlert(uuid4(), "BTC", Direction.AT_OR_ABOVE, PRICE, "de")
    alerts = [await room.alerts.set(claim, user_id, new) for _ in range(2)]
    assert alerts[0] == alerts[1]
    assert [alerts[0]] == await room.alerts.waiting(user_id)
    for _ in range(2):
        await room.waiting.reach(claim, [Reached(new.alert_id, QUOTE)])

    (event,) = await room.events.unrelayed([claim], 10)
    expected = AlertReached(
        symbol="BTC",
        currency="USDT",
        direction="at-or-above",
        price=PRICE,
        quoted=Decimal(70_001),
        is_simulated=True,
    )
    assert NoteEvent(event.event_id, claim, user_id, "de", expected) == event
    assert [] == await room.alerts.waiting(user_id)
    assert not await room.alerts.remove(claim, user_id, new.alert_id)


async def test_alerts_are_bounded_removed_and_run_out(room: Room) -> None:
    """Each user has his own."""
    claim, user_id = await room.claim_shard(0), uuid4()
    ids = [uuid4() for _ in range(WAITING_MAX)]

    def new(alert_id: UUID) -> NewAlert:
        return NewAlert(alert_id, "BTC", Direction.AT_OR_BELOW, PRICE, "")

    for alert_id in ids:
        await room.alerts.set(claim, user_id, new(alert_id))
    refusal = Refusal(Refused.TOO_MANY_ALERTS, Decimal(WAITING_MAX))
    assert refusal == await room.alerts.set(claim, user_id, new(uuid4()))
    assert not isinstance(await room.alerts.set(claim, user_id, new(ids[0])), Refusal)
    assert not await room.alerts.remove(claim, uuid4(), ids[0])
    assert await room.alerts.remove(claim, user_id, ids[0])

    await room.age("alerts")
    assert [claim] == await room.waiting.expired([claim])
    await room.waiting.reach(claim, [Reached(ids[1], QUOTE)])
    assert set(ids[1:]) == set(await room.waiting.expire(claim, 10))
    events = await room.events.unrelayed([claim], 10)
    assert [AlertExpired("BTC", "at-or-below", PRICE)] * 2 == [
        event.note for event in events if isinstance(event, NoteEvent)
    ]
