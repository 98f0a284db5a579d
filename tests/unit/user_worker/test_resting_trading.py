"""Resting orders for the conversation: resolved once, watched as the database says they wait."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from tests.unit.user_worker.fakes import ANN, CLAIM, NOW, FakeLedger, FakePricing
from tests.unit.user_worker.fakes_orders import draft_of
from tests.unit.user_worker.fakes_trading import market_of

from kernel.sharding import Claim
from user_worker.application.resting import RestingStores, RestingTrading
from user_worker.domain.market import Quote
from user_worker.domain.orders import (
    Draft,
    DraftState,
    Money,
    Refusal,
    Refused,
    Share,
    Side,
    Units,
    Wish,
)
from user_worker.domain.resting import (
    Alert,
    Condition,
    Direction,
    RestingKind,
    RestingOrder,
    RestingState,
    direction_of,
)
from user_worker.domain.triggers import Purpose, Watch
from user_worker.errors import DependencyDown
from user_worker.resting_ports import NewAlert
from user_worker.trading_ports import Offer

WISH = Wish(Side.BUY, "BTC", Money(Decimal(100)))
LIMIT = Condition(RestingKind.LIMIT, Direction.AT_OR_BELOW, Decimal(50), 600)
STOP = Condition(RestingKind.STOP, Direction.AT_OR_BELOW, Decimal(50), 600)
SALE = Wish(Side.SELL, "BTC", Share(Decimal("0.5")))


@dataclass
class MemoryStore:
    """Drafts and resting orders of one user; the next answers may be lost."""

    kept: dict[UUID, RestingOrder] = field(default_factory=dict)
    offers: list[Offer] = field(default_factory=list)
    frozen: bool = False
    lost: list[Exception] = field(default_factory=list)

    async def keep(
        self, claim: Claim, job_id: UUID, user_id: UUID, offer: Offer
    ) -> Draft | Refusal:
        """Keep the job's draft."""
        if self.frozen:
            return Refusal(Refused.FROZEN)
        self.offers.append(offer)
        draft = draft_of(offer.wish, user_id=user_id)
        assert offer.condition is not None
        self.kept[job_id] = RestingOrder(draft, offer.condition, RestingState.OFFERED)
        return draft

    async def of_job(self, user_id: UUID, job_id: UUID) -> RestingOrder | None:
        """Read what a job offered."""
        return self.kept.get(job_id)

    async def place(
        self, claim: Claim, user_id: UUID, order_id: UUID, language: str
    ) -> RestingOrder | Refusal | None:
        """Let it wait."""
        return self._become(order_id, RestingState.WAITING)

    async def cancel(self, claim: Claim, user_id: UUID, order_id: UUID) -> RestingOrder | None:
        """Cancel it."""
        return self._become(order_id, RestingState.CANCELLED)

    async def tell_of(self, claim: Claim, user_id: UUID, order_id: UUID) -> None:
        """Tell of it."""

    def _become(self, order_id: UUID, state: RestingState) -> RestingOrder | None:
        for job_id, one in self.kept.items():
            if one.order_id == order_id:
                draft = replace(one.draft, state=DraftState.CONFIRMED)
                self.kept[job_id] = replace(one, draft=draft, state=state)
                if self.lost:
                    raise self.lost.pop()
                return self.kept[job_id]
        return None


@dataclass
class MemoryAlerts:
    """Alerts; the next answers may be lost."""

    alerts: dict[UUID, Alert] = field(default_factory=dict)
    refusal: Refusal | None = None
    lost: list[Exception] = field(default_factory=list)

    async def set(self, claim: Claim, user_id: UUID, new: NewAlert) -> Alert | Refusal:
        """Set one."""
        if self.refusal is not None:
            return self.refusal
        alert = Alert(new.alert_id, new.symbol, new.direction, new.price, NOW)
        self.alerts.setdefault(new.alert_id, alert)
        if self.lost:
            raise self.lost.pop()
        return alert

    async def remove(self, claim: Claim, user_id: UUID, alert_id: UUID) -> bool:
        """Remove one."""
        return self.alerts.pop(alert_id, None) is not None

    async def waiting(self, user_id: UUID) -> Sequence[Alert]:
        """Read them."""
        return list(self.alerts.values())


@dataclass
class MemoryWatching:
    """What is watched, and how often a shard was to be read again."""

    watched: dict[UUID, Watch] = field(default_factory=dict)
    read_again_count: int = 0

    def add(self, claim: Claim, watch: Watch) -> None:
        """Watch it."""
        self.watched[watch.watch_id] = watch

    def remove(self, claim: Claim, watch_id: UUID) -> None:
        """Watch it no longer."""
        self.watched.pop(watch_id, None)

    def read_again(self, claim: Claim) -> None:
        """Count it."""
        self.read_again_count += 1


class House:
    """RestingTrading wired as in main, on memory. A bitcoin costs 100."""

    def __init__(self) -> None:
        self.store, self.alerts, self.watching = MemoryStore(), MemoryAlerts(), MemoryWatching()
        self.ledger, self.pricing, self.venue = FakeLedger(), FakePricing(), market_of(()).venue
        self.pricing.quotes["BTC"] = Quote("BTC", Decimal(100), "USDT", True, 0.5)
        self.resting = RestingTrading(
            RestingStores(self.store, self.store, self.alerts),  # type: ignore[arg-type]
            self.ledger,
            self.pricing,
            self.venue,
            self.watching,
        )

    async def propose(
        self, wish: Wish = WISH, condition: Condition = LIMIT, job_id: UUID | None = None
    ) -> RestingOrder | Refusal:
        """Offer it to Ann."""
        return await self.resting.propose(CLAIM, job_id or uuid4(), ANN, wish, condition, 100)

    async def offered(self, wish: Wish = WISH, condition: Condition = LIMIT) -> RestingOrder:
        """Offer it to Ann, who may have it."""
        offered = await self.propose(wish, condition)
        assert isinstance(offered, RestingOrder)
        return offered


async def test_a_wish_is_resolved_once_and_the_job_that_runs_again_meets_the_offer() -> None:
    """Though the price has moved meanwhile, and the money is gone."""
    house, job_id = House(), uuid4()
    first = await house.propose(job_id=job_id)
    house.ledger.posted = Decimal(0)
    house.pricing.quotes["BTC"] = Quote("BTC", Decimal(1), "USDT", True, 0.5)

    assert first == await house.propose(job_id=job_id)
    (offer,) = house.store.offers
    assert (WISH, LIMIT, 100) == (offer.wish, offer.condition, offer.slippage_basis_points)
    # Two bitcoins for 100 at 50, one per cent of which is the fee.
    terms = offer.terms
    assert (Decimal(100), Decimal(2), Decimal("0.02")) == (
        terms.spend.value,
        terms.receive_min,
        terms.fee.value,
    )


@pytest.mark.parametrize(
    ("wish", "condition", "reason"),
    [
        (SALE, replace(STOP, price=Decimal(100)), Refused.ALREADY_PAST),
        (SALE, replace(STOP, price=Decimal("0.09")), Refused.OUT_OF_REACH),
        (WISH, replace(LIMIT, price=Decimal(100_001)), Refused.OUT_OF_REACH),
        (replace(WISH, symbol="NONE"), LIMIT, Refused.UNKNOWN_SYMBOL),
        (replace(WISH, size=Money(Decimal(10_001))), LIMIT, Refused.INSUFFICIENT_FUNDS),
    ],
)
async def test_what_cannot_wait_is_refused(
    wish: Wish, condition: Condition, reason: Refused
) -> None:
    """Nothing is kept."""
    house = House()
    refusal = await house.propose(wish, condition)
    assert isinstance(refusal, Refusal)
    assert reason is refusal.reason
    assert {} == house.store.kept


UP, DOWN = Decimal(200), Decimal(50)


@pytest.mark.parametrize(
    ("side", "kind", "price", "units", "is_offered"),
    [
        (Side.BUY, RestingKind.LIMIT, DOWN, "0.015", False),
        (Side.BUY, RestingKind.LIMIT, DOWN, "0.02", True),
        (Side.BUY, RestingKind.LIMIT, UP, "0.008", False),
        (Side.BUY, RestingKind.STOP, UP, "0.008", True),
        (Side.SELL, RestingKind.STOP, DOWN, "0.015", False),
        (Side.SELL, RestingKind.STOP, DOWN, "0.00000001", False),
        (Side.SELL, RestingKind.TAKE_PROFIT, UP, "0.008", True),
        (Side.SELL, RestingKind.LIMIT, UP, "0.004", False),
    ],
)
async def test_what_will_be_too_little_when_it_triggers_is_refused_with_the_least(
    side: Side, kind: RestingKind, price: Decimal, units: str, *, is_offered: bool
) -> None:
    """By the price that is waited for, not by the present one; one that is met triggers now."""
    house = House()
    house.venue.least = Decimal(1)
    wish = Wish(side, "BTC", Units(Decimal(units)))
    came = await house.propose(wish, Condition(kind, direction_of(kind, side), price, 600))
    if is_offered:
        assert isinstance(came, RestingOrder)
    else:
        assert Refusal(Refused.TOO_SMALL, Decimal(1), "USDT") == came


async def test_a_limit_order_may_be_met_already() -> None:
    """It is carried out at once, at its price or a better one."""
    offered = await House().offered(condition=replace(LIMIT, price=Decimal(200)))
    assert offered.is_open


async def test_nothing_is_offered_while_trading_is_frozen() -> None:
    """The store says so."""
    house = House()
    house.store.frozen = True
    assert Refusal(Refused.FROZEN) == await house.propose()


@pytest.mark.parametrize(
    ("wish", "condition", "purpose"),
    [(WISH, LIMIT, Purpose.LIMIT), (SALE, STOP, Purpose.MARKET)],
)
async def test_what_is_placed_is_watched_until_it_is_cancelled(
    wish: Wish, condition: Condition, purpose: Purpose
) -> None:
    """An offer is not."""
    house = House()
    offered = await house.offered(wish, condition)
    assert {} == house.watching.watched
    await house.resting.place(CLAIM, ANN, offered.order_id, "en")
    expected = Watch(offered.order_id, purpose, "BTC", Direction.AT_OR_BELOW, Decimal(50))
    assert [expected] == list(house.watching.watched.values())
    await house.resting.cancel(CLAIM, ANN, offered.order_id)
    assert {} == house.watching.watched
    assert 0 == house.watching.read_again_count


async def test_a_confirmation_that_is_not_answered_has_the_shard_read_again() -> None:
    """It may wait, and the job may never run again."""
    house = House()
    offered = await house.offered()
    house.store.lost = [DependencyDown("database", "answer lost")]
    with pytest.raises(DependencyDown):
        await house.resting.place(CLAIM, ANN, offered.order_id, "en")
    assert 1 == house.watching.read_again_count
    await house.resting.tell_of(CLAIM, ANN, offered.order_id)
    assert 2 == house.watching.read_again_count


async def test_an_alert_is_watched_until_it_is_removed() -> None:
    """One that is refused is not; an unknown outcome has the shard read again."""
    house = House()
    new = NewAlert(uuid4(), "BTC", Direction.AT_OR_ABOVE, Decimal(120), "en")
    house.alerts.lost = [DependencyDown("database", "answer lost")]
    with pytest.raises(DependencyDown):
        await house.resting.set_alert(CLAIM, ANN, new)
    assert 1 == house.watching.read_again_count
    await house.resting.set_alert(CLAIM, ANN, new)
    expected = Watch(new.alert_id, Purpose.ALERT, "BTC", Direction.AT_OR_ABOVE, Decimal(120))
    assert [expected] == list(house.watching.watched.values())
    assert await house.resting.remove_alert(CLAIM, ANN, new.alert_id)
    assert not await house.resting.remove_alert(CLAIM, ANN, new.alert_id)
    house.alerts.refusal = Refusal(Refused.TOO_MANY_ALERTS)
    await house.resting.set_alert(CLAIM, ANN, new)
    assert {} == house.watching.watched
