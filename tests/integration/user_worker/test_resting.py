"""Resting orders and alerts in a real PostgreSQL, under real claims, races stepped through."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar
from uuid import UUID, uuid4

import asyncpg
import pytest
from tests.integration.stores import ClaimShard, make_claims

from chassis.postgres import Connection, Pool, PostgresSettings, open_pool
from chassis.settings import Secret
from devbox.database import Database
from kernel.sharding import Claim
from user_worker.domain.carrying_out import Record
from user_worker.domain.notes import AlertExpired, AlertReached, RestingExpired, RestingPlaced
from user_worker.domain.orders import (
    Coins,
    DraftState,
    Money,
    OrderState,
    Refusal,
    Refused,
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
from user_worker.domain.triggers import Purpose, Watch
from user_worker.errors import ClaimLost
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
from user_worker.resting_ports import NewAlert, Reached
from user_worker.trading_ports import EndEvent, NoteEvent, Offer, Seen, StatedQuote

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
REJECTED = Record(
    OrderState.REJECTED, "hold", "insufficient-funds", refused=Refused.INSUFFICIENT_FUNDS
)
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


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    """The tables, as the worker's role may use them."""
    settings = PostgresSettings(database_url=Secret(database.url("purser_worker")))
    connections = await open_pool(settings, "test")
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
        await connections.close()


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
