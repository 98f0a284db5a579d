"""What the owner of a shard does for plans and copies, and how much a copied sale is."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.user_worker.fakes import ANN, CLAIM, NOW, FakeLedger, FakePricing
from tests.unit.user_worker.fakes_orders import draft_of, order_of
from tests.unit.user_worker.fakes_rules import FakeCopies, FakePlans, FakeResolver

from kernel.sharding import Claim
from user_worker.application.copying import NEW_SECONDS, CopyRunner
from user_worker.application.planning import PlanRunner
from user_worker.application.recurring import Rhythm, each_by_itself
from user_worker.domain.orders import (
    Money,
    OrderState,
    Refusal,
    Refused,
    Side,
    Units,
    Wish,
)
from user_worker.domain.pauses import Pauses
from user_worker.domain.rules import (
    Copy,
    CopyState,
    Plan,
    PlanState,
    Stakes,
    cause_of_copy,
    cause_of_run,
    copied_sale,
)
from user_worker.errors import ClaimLost, DependencyDown
from user_worker.rule_ports import DuePlan, Held, LeaderTrade
from user_worker.trading_ports import Offer, Seen

RHYTHM = Rhythm(60.0, Pauses(0.001, 0.002), Pauses(0.001, 0.002))
WISH = Wish(Side.BUY, "BTC", Money(Decimal(50)))
SEEN = Seen(order_of(draft_of(WISH), OrderState.ACCEPTED), is_late=False)
AWAY = DependencyDown("venue", "down")


class Carrying:
    """Stands for CarryingOut: what was started."""

    def __init__(self) -> None:
        self.started: list[Seen] = []
        self.wakes = 0
        self.ended_untold = self
        self.owned = [CLAIM]

    def claims(self) -> list[Claim]:
        """The shards; one to begin with."""
        return self.owned

    def start(self, claim: Claim, seen: Seen) -> None:
        """Carry out."""
        self.started.append(seen)

    def set(self) -> None:
        """Wake the teller."""
        self.wakes += 1


@dataclass
class DuePlans(FakePlans):
    """Plans that are due, and what is done with each."""

    waiting: list[DuePlan] = field(default_factory=list)
    came: Seen | Held = SEEN
    ran: list[DuePlan] = field(default_factory=list)
    skipped: list[tuple[DuePlan, object]] = field(default_factory=list)

    async def due(self, claims: Sequence[Claim], count_max: int) -> Sequence[DuePlan]:
        """Those."""
        return self.waiting

    async def run(self, due: DuePlan, offer: Offer) -> Seen | Held:
        """Run."""
        self.ran.append(due)
        return self.came

    async def skip(self, due: DuePlan, reason: object) -> bool:
        """Skip."""
        self.skipped.append((due, reason))
        return True


def due_plan(*, is_overdue: bool = False) -> DuePlan:
    """A daily plan."""
    plan = Plan(uuid4(), ANN, WISH, 100, 86_400, None, 0, PlanState.ACTIVE, NOW, NOW)
    return DuePlan(CLAIM, plan, "en", is_overdue)


def planner(plans: DuePlans, resolver: FakeResolver) -> tuple[PlanRunner, Carrying]:
    """The runner on its own."""
    carrying = Carrying()
    return PlanRunner(plans, resolver, carrying, RHYTHM), carrying  # type: ignore[arg-type]


async def test_a_run_that_is_due_is_ordered_and_carried_out() -> None:
    """Without anybody's job."""
    plans = DuePlans(NOW, waiting=[due_plan()])
    runner, carrying = planner(plans, FakeResolver())
    assert not await runner.look()

    assert ([SEEN], plans.waiting, []) == (carrying.started, plans.ran, plans.skipped)


@pytest.mark.parametrize("is_overdue", [False, True])
async def test_without_a_price_a_run_is_tried_again_until_it_is_overdue(is_overdue: bool) -> None:
    """Then it is skipped, and told."""
    due = due_plan(is_overdue=is_overdue)
    plans = DuePlans(NOW, waiting=[due])
    runner, carrying = planner(plans, FakeResolver(refusal=Refusal(Refused.STALE_PRICE)))
    await runner.look()
    assert ([(due, None)] if is_overdue else []) == plans.skipped

    runner, _ = planner(plans, FakeResolver(failure=AWAY))
    if is_overdue:
        await runner.look()
        assert [(due, None)] * 2 == plans.skipped
        assert 1 == carrying.wakes
    else:
        with pytest.raises(DependencyDown):
            await runner.look()
        assert [] == plans.skipped
    assert [] == plans.ran


async def test_what_the_venue_refuses_is_skipped_at_once_with_its_reason() -> None:
    """Trying again would not help."""
    due = due_plan()
    plans = DuePlans(NOW, waiting=[due])
    runner, _ = planner(plans, FakeResolver(refusal=Refusal(Refused.TOO_SMALL)))
    await runner.look()
    assert [(due, Refused.TOO_SMALL)] == plans.skipped


@pytest.mark.parametrize("held", Held)
async def test_a_run_that_orders_nothing_starts_nothing(held: Held) -> None:
    """No room, gone or paused; only a pause has something to tell."""
    plans = DuePlans(NOW, waiting=[due_plan()], came=held)
    runner, carrying = planner(plans, FakeResolver())
    await runner.look()
    assert ([], held is Held.PAUSED) == (carrying.started, bool(carrying.wakes))


async def test_each_is_done_whatever_becomes_of_the_others() -> None:
    """The gravest failure is raised at the end; a lost claim is none."""
    done: list[int] = []

    async def work(number: int) -> None:
        done.append(number)
        if number in failures:
            raise failures[number]

    failures: dict[int, Exception] = {0: ClaimLost("stale")}
    await each_by_itself(range(4), work, 2)
    failures = {0: AWAY, 1: ClaimLost("stale"), 2: ValueError("a bug")}
    with pytest.raises(ValueError, match="a bug"):
        await each_by_itself(range(4), work, 2)
    assert [0, 1, 2, 3] * 2 == done


@dataclass
class FoundTrades(FakeCopies):
    """Trades to copy, and what is done with each."""

    waiting: list[LeaderTrade] = field(default_factory=list)
    stake: Stakes | None = None
    came: Seen | Held = SEEN
    taken: list[Wish] = field(default_factory=list)
    skipped: list[object] = field(default_factory=list)
    passes: int = 0
    looks: list[float] = field(default_factory=list)
    looked_at: list[Claim] = field(default_factory=list)
    unreadable: set[Claim] = field(default_factory=set)
    """Shards that cannot be looked at as a whole, only for what is new."""

    async def to_take(
        self, claims: Sequence[Claim], back_seconds: float, count_max: int
    ) -> Sequence[LeaderTrade]:
        """Those."""
        self.looks.append(back_seconds)
        if back_seconds > NEW_SECONDS and self.unreadable & set(claims):
            raise DependencyDown("database", "the transaction took too long")
        self.looked_at.extend(claims)
        return self.waiting

    async def stakes(self, trade: LeaderTrade) -> Stakes | None:
        """One for all."""
        return self.stake

    async def take(self, trade: LeaderTrade, offer: Offer) -> Seen | Held:
        """Take."""
        self.taken.append(offer.wish)
        return self.came

    async def skip(self, trade: LeaderTrade, reason: object) -> None:
        """Skip."""
        self.skipped.append(reason)

    async def pass_over(self, claims: Sequence[Claim]) -> int:
        """Count."""
        self.passes += 1
        return 0


COPY = Copy(uuid4(), ANN, uuid4(), "7K3M-9Q2X", Decimal(50), 100, CopyState.ACTIVE, expires_at=NOW)


def trade_of(side: Side = Side.BUY, symbol: str = "BTC") -> LeaderTrade:
    """A leader's trade."""
    return LeaderTrade(CLAIM, COPY, "en", uuid4(), side, symbol)


async def copied(
    trades: FoundTrades, resolver: FakeResolver | None = None, available: int = 10_000
) -> Carrying:
    """Look once."""
    runner, carrying = copier(trades, resolver, available)
    assert not await runner.look()
    return carrying


def copier(
    trades: FoundTrades, resolver: FakeResolver | None = None, available: int = 10_000
) -> tuple[CopyRunner, Carrying]:
    """The runner on its own."""
    carrying, ledger = Carrying(), FakeLedger()
    ledger.posted = Decimal(available)
    runner = CopyRunner(
        trades,
        resolver or FakeResolver(),
        FakePricing(),
        ledger,
        carrying,  # type: ignore[arg-type]
        RHYTHM,
    )
    return runner, carrying


async def test_everything_fresh_is_looked_at_first_and_then_what_is_new() -> None:
    """What is too old is looked for once a minute."""
    trades = FoundTrades(NOW)
    runner, _ = copier(trades)
    for _ in range(3):
        await runner.look()
    assert ([float("inf"), NEW_SECONDS, NEW_SECONDS], 1) == (trades.looks, trades.passes)


async def test_shards_that_cannot_be_looked_at_keep_no_others_back_nor_what_is_new() -> None:
    """The rest is looked at in the same round, what is new in the next."""
    trades = FoundTrades(NOW, unreadable={CLAIM})
    runner, carrying = copier(trades)
    carrying.owned = [replace(CLAIM, shard=CLAIM.shard + number) for number in range(6)]
    with pytest.raises(DependencyDown):
        await runner.look()
    assert carrying.owned[1:] == trades.looked_at
    await runner.look()
    assert carrying.owned == trades.looked_at[-len(carrying.owned) :]
    assert 1 == trades.passes


async def test_a_purchase_is_copied_for_the_followers_own_amount() -> None:
    """And carried out; what is too old is looked for in the first look."""
    trades = FoundTrades(NOW, waiting=[trade_of()])
    carrying = await copied(trades)
    assert ([WISH], [SEEN], 1) == (trades.taken, carrying.started, trades.passes)


@pytest.mark.parametrize(
    ("available", "sold"), [(10, Decimal("0.5")), (0, None), (1, Decimal("0.5"))]
)
async def test_a_sale_is_copied_in_proportion_and_of_what_is_there(
    available: int, sold: Decimal | None
) -> None:
    """Of what is gone nothing is sold, and nothing is told."""
    stakes = Stakes(Decimal(1), Decimal(2), Decimal(1))
    trades = FoundTrades(NOW, waiting=[trade_of(Side.SELL)], stake=stakes)
    await copied(trades, available=available)
    wish = [] if sold is None else [Wish(Side.SELL, "BTC", Units(sold))]
    assert (wish, [] if sold else [None]) == (trades.taken, trades.skipped)


async def test_a_trade_that_waits_keeps_later_ones_of_its_symbol_waiting() -> None:
    """Nothing is sold before it was bought; other symbols go on."""
    trades = FoundTrades(
        NOW, waiting=[trade_of(Side.SELL), trade_of(), trade_of(symbol="ETH")], stake=None
    )
    await copied(trades)
    assert ["ETH"] == [wish.symbol for wish in trades.taken]
    trades = FoundTrades(NOW, waiting=[trade_of(), trade_of()], came=Held.NO_ROOM)
    await copied(trades)
    assert 1 == len(trades.taken)


async def test_without_a_price_a_trade_waits_and_what_is_refused_is_skipped() -> None:
    """The first by itself for ten minutes, which the database counts."""
    trades = FoundTrades(NOW, waiting=[trade_of(), trade_of()])
    resolver = FakeResolver(refusal=Refusal(Refused.STALE_PRICE))
    await copied(trades, resolver)
    assert ([], [], 1) == (trades.taken, trades.skipped, len(resolver.wishes))
    with pytest.raises(DependencyDown):
        await copied(trades, FakeResolver(failure=AWAY))
    await copied(trades, FakeResolver(refusal=Refusal(Refused.TOO_SMALL)))
    assert [Refused.TOO_SMALL] * 2 == trades.skipped


AMOUNTS = st.decimals(min_value=0, max_value=10**9, places=8)


@given(sold=AMOUNTS, held=AMOUNTS, mine=AMOUNTS, decimals=st.integers(0, 18))
def test_a_copied_sale_never_sells_more_than_was_copied(
    sold: Decimal, held: Decimal, mine: Decimal, decimals: int
) -> None:
    """Nor more than the leader's share; all of it when he sold all."""
    amount = copied_sale(Stakes(sold, held, mine), decimals)
    assert 0 <= amount <= mine
    if held and sold < held:
        assert amount * held <= mine * sold
    if sold >= held:
        assert mine - amount < Decimal(1).scaleb(-decimals)


def test_what_was_never_copied_is_not_sold() -> None:
    """Also when more was sold than is known to have been bought."""
    assert 0 == copied_sale(Stakes(Decimal(1), Decimal(2), Decimal(-1)), 8)


def test_causes_are_told_apart_and_found_again() -> None:
    """By the rule and by what they answer."""
    plan, order = uuid4(), uuid4()
    causes = {cause_of_run(plan, run) for run in (1, 2)} | {cause_of_run(uuid4(), 1)}
    assert 3 == len(causes)
    assert cause_of_run(plan, 1) in causes
    assert cause_of_copy(plan, order) == cause_of_copy(plan, order) != cause_of_copy(order, plan)
