"""Books, a venue and orders in memory, faithful in what orders rely on: keys and first answers, the
venue's tombstones, the fence, conditional records. What can go wrong on the way to them is `Way`'s.
"""

# ruff: noqa: D101, D102 (user_worker.trading_ports says what each of these promises)

import enum
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from tests.unit.user_worker.fakes import CLAIM, NOW

from kernel.money import divide_down, divide_up, multiply_down, multiply_up
from kernel.sharding import Claim
from user_worker.domain.carrying_out import BooksSaid, Record, VenueSaid, VenueState
from user_worker.domain.orders import (
    Draft,
    DraftState,
    Order,
    OrderState,
    Refusal,
    Refused,
    Side,
)
from user_worker.domain.sizing import Asset, Preview, Question
from user_worker.errors import ClaimLost, DependencyDown
from user_worker.trading_ports import Seen, Underway

Result = TypeVar("Result")
FUNDS = Decimal(1000)
FEE = Decimal("0.01")
SUBMIT_WITHIN_TICKS = 12
LATE_CALLS = 3
"""Long enough to miss the question that follows an unanswered call."""


class Fault(enum.Enum):
    """What may happen to one call."""

    NEVER_ARRIVED = "never-arrived"
    ANSWER_LOST = "answer-lost"
    ARRIVED_LATE = "arrived-late"
    """The caller hears nothing; the effect comes after LATE_CALLS more."""
    ARRIVED_LAST = "arrived-last"
    """The same when all is over."""
    DIED_BEFORE = "died-before"
    DIED_AFTER = "died-after"
    CLAIMED_ELSEWHERE = "claimed-elsewhere"
    """A newer claim exists before the call arrives."""
    TIME_PASSED = "time-passed"
    """It is too late to submit from now on; the call itself works."""


class Died(BaseException):
    """The worker's process is gone."""


@dataclass
class Way:
    """What lies between a worker and everybody it calls: one fault per call, in order, then none.

    Keeps the newest epoch and the time, as the database would.
    """

    faults: Iterator[Fault | None] = field(default_factory=lambda: iter(()))
    epoch: int = CLAIM.epoch
    ticks: int = 0
    calls: int = 0
    late: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    """What is under way, each with the call it arrives before."""
    is_dead: bool = False

    @property
    def claim(self) -> Claim:
        """The newest claim."""
        return Claim(CLAIM.pool, CLAIM.shard, self.epoch)

    def fence(self, claim: Claim) -> None:
        if claim != self.claim:
            raise ClaimLost(str(claim))

    def go(self, effect: Callable[[], Result]) -> Result:
        """Make a call, or have it meet its fault."""
        if self.is_dead:
            raise Died
        self.calls += 1
        self.ticks += 1
        self.deliver_late(self.calls)
        match next(self.faults, None):
            case Fault.NEVER_ARRIVED:
                raise DependencyDown("somebody", "never arrived")
            case Fault.ANSWER_LOST:
                effect()
                raise DependencyDown("somebody", "answer lost")
            case Fault.ARRIVED_LATE:
                self.late.append((self.calls + LATE_CALLS, effect))
                raise DependencyDown("somebody", "arrives late")
            case Fault.ARRIVED_LAST:
                self.late.append((float("inf"), effect))
                raise DependencyDown("somebody", "arrives last")
            case Fault.DIED_BEFORE:
                self.is_dead = True
                raise Died
            case Fault.DIED_AFTER:
                effect()
                self.is_dead = True
                raise Died
            case Fault.CLAIMED_ELSEWHERE:
                self.epoch += 1
            case Fault.TIME_PASSED:
                self.ticks += SUBMIT_WITHIN_TICKS
            case None:
                pass
        return effect()

    def deliver_late(self, call: float = float("inf")) -> None:
        """Let arrive what was under way and is due; without a call, everything."""
        due = [effect for at, effect in self.late if at <= call]
        self.late = [(at, effect) for at, effect in self.late if at > call]
        for effect in due:
            with suppress(ClaimLost):
                effect()


@dataclass
class Account:
    posted: Decimal = Decimal(0)
    held: Decimal = Decimal(0)


@dataclass
class Hold:
    asset_id: str
    amount: Decimal
    state: str = "pending"


@dataclass
class MemoryBooks:
    way: Way
    accounts: dict[str, Account] = field(default_factory=dict)
    venue: Counter[str] = field(default_factory=Counter)
    """What system accounts have, by asset: with the user's it sums to nothing new."""
    holds: dict[UUID, list[Hold]] = field(default_factory=dict)
    answers: dict[str, BooksSaid] = field(default_factory=dict)
    applied: Counter[str] = field(default_factory=Counter)
    forgets_keys: bool = False
    """A broken ledger: the same key again is worked again."""
    impossible: BooksSaid | None = None
    """What it says to every fill and release, whatever is true."""

    async def hold(self, claim: Claim, order: Order) -> BooksSaid:
        return self.way.go(lambda: self._once(claim, "hold", order, self._hold))

    async def fill(self, claim: Claim, order: Order) -> BooksSaid:
        return self.way.go(lambda: self._once(claim, "fill", order, self._fill))

    async def release(self, claim: Claim, order: Order) -> BooksSaid:
        return self.way.go(lambda: self._once(claim, "release", order, self._release))

    def account(self, asset_id: str) -> Account:
        return self.accounts.setdefault(asset_id, Account())

    def _once(
        self, claim: Claim, kind: str, order: Order, work: Callable[[Order], BooksSaid]
    ) -> BooksSaid:
        self.way.fence(claim)
        if self.impossible is not None and kind != "hold":
            return self.impossible
        key = f"order:{order.order_id}:{kind}"
        if key not in self.answers or self.forgets_keys:
            self.answers[key] = work(order)
            self.applied[kind] += self.answers[key] is BooksSaid.APPLIED
        return self.answers[key]

    def _hold(self, order: Order) -> BooksSaid:
        spend = order.draft.spend
        account = self.account(spend.asset_id)
        if account.posted - account.held < spend.value:
            return BooksSaid.INSUFFICIENT_FUNDS
        account.held += spend.value
        self.holds.setdefault(order.order_id, []).append(Hold(spend.asset_id, spend.value))
        return BooksSaid.APPLIED

    def _resolve(self, order: Order, state: str) -> BooksSaid:
        holds = self.holds.get(order.order_id)
        if not holds:
            return BooksSaid.NOT_FOUND
        hold = holds[0]
        if hold.state != "pending":
            is_posted = hold.state == "posted"
            return BooksSaid.ALREADY_POSTED if is_posted else BooksSaid.ALREADY_VOIDED
        hold.state = state
        self.account(hold.asset_id).held -= hold.amount
        return BooksSaid.APPLIED

    def _fill(self, order: Order) -> BooksSaid:
        said = self._resolve(order, "posted")
        if said is BooksSaid.APPLIED:
            assert order.spent is not None
            assert order.received is not None
            assert order.fee is not None
            spent, received = order.draft.spend.asset_id, order.draft.receive.asset_id
            self._move(spent, -order.spent)
            self._move(received, order.received - order.fee)
        return said

    def _release(self, order: Order) -> BooksSaid:
        return self._resolve(order, "voided")

    def _move(self, asset_id: str, amount: Decimal) -> None:
        self.account(asset_id).posted += amount
        self.venue[asset_id] -= amount  # type: ignore[assignment]  # a sum of Decimals


@dataclass
class MemoryVenue:
    """Executes at `price`, with a fee of one per cent."""

    way: Way
    outcomes: dict[UUID, VenueSaid] = field(default_factory=dict)
    executions: int = 0
    price: Decimal = Decimal(100)
    is_open_first: bool = False
    """Whether orders are accepted at first and executed only when asked about."""
    least: Decimal = Decimal(0)
    """What an order must be worth, in currency."""

    async def preview(
        self, side: Side, symbol: str, question: Question, spent: Asset, received: Asset
    ) -> Preview | Refusal:
        return self.way.go(lambda: self._preview(side, question, spent, received))

    async def submit(self, claim: Claim, order: Order) -> VenueSaid:
        return self.way.go(lambda: self._submit(claim, order))

    async def inquire(self, order: Order) -> VenueSaid:
        return self.way.go(lambda: self._inquire(order))

    async def tombstone(self, claim: Claim, order: Order) -> VenueSaid:
        return self.way.go(lambda: self._tombstone(claim, order))

    def _preview(
        self, side: Side, question: Question, spent: Asset, received: Asset
    ) -> Preview | Refusal:
        is_buy = side is Side.BUY
        assert 0 not in (question.spend, question.receive), "the venue takes this for malformed"
        if question.spend is not None:
            give, turn = question.spend, divide_down if is_buy else multiply_down
            get = turn(give, self.price, received.decimals)
        else:
            assert question.receive is not None
            get, turn = question.receive, multiply_up if is_buy else divide_up
            give = turn(get, self.price, spent.decimals)
        if (give if is_buy else get) < self.least:
            return Refusal(Refused.TOO_SMALL, self.least, (spent if is_buy else received).symbol)
        fee = multiply_down(get, FEE, received.decimals)
        return Preview(spent=give, received=get, fee=fee, price=self.price)

    def _submit(self, claim: Claim, order: Order) -> VenueSaid:
        self.way.fence(claim)
        if order.order_id not in self.outcomes:
            if self.is_open_first:
                self.outcomes[order.order_id] = VenueSaid(VenueState.OPEN)
            else:
                self._execute(order)
        return self.outcomes[order.order_id]

    def _inquire(self, order: Order) -> VenueSaid:
        said = self.outcomes.get(order.order_id, VenueSaid(VenueState.NOT_FOUND))
        if said.state is VenueState.OPEN:
            self._execute(order)
        return said

    def _tombstone(self, claim: Claim, order: Order) -> VenueSaid:
        self.way.fence(claim)
        return self.outcomes.setdefault(order.order_id, VenueSaid(VenueState.TOMBSTONED))

    def _execute(self, order: Order) -> None:
        spend = order.draft.spend.value
        is_buy = order.draft.wish.side is Side.BUY
        received = spend / self.price if is_buy else spend * self.price
        if received < order.draft.receive_min:
            said = VenueSaid(VenueState.REFUSED, Refused.PRICE_MOVED)
        else:
            self.executions += 1
            said = VenueSaid(VenueState.FILLED, None, spend, received, received / 100)
        self.outcomes[order.order_id] = said


@dataclass
class Row:
    order: Order
    tell_later: bool = False
    steps: list[tuple[str, str, int]] = field(default_factory=list)
    is_event: bool = False
    submit_before: int = 0


@dataclass
class MemoryOrders:
    way: Way
    drafts: dict[UUID, Draft] = field(default_factory=dict)
    rows: dict[UUID, Row] = field(default_factory=dict)
    is_deaf: bool = False
    """Whether records change nothing."""

    async def accept(
        self, claim: Claim, user_id: UUID, draft_id: UUID, language: str
    ) -> Seen | Draft | None:
        return self.way.go(lambda: self._accept(claim, user_id, draft_id))

    async def record(
        self, claim: Claim, order: Order, change: Record, *, nobody_waits: bool
    ) -> Seen:
        return self.way.go(lambda: self._record(claim, order, change, nobody_waits))

    async def tell_later(self, claim: Claim, order_id: UUID) -> Seen:
        return self.way.go(lambda: self._tell_later(claim, order_id))

    async def tell_of(self, claim: Claim, user_id: UUID, order_id: UUID) -> None:
        self.way.go(lambda: self._tell_of(claim, user_id, order_id))

    async def look(self, order_id: UUID) -> Seen:
        return self.way.go(lambda: self._seen(order_id))

    async def under_way(self, claims: Sequence[Claim], count_max: int) -> Sequence[Underway]:
        return self.way.go(
            lambda: [
                Underway(claims[0], self._seen(order_id))
                for order_id, row in self.rows.items()
                if not row.order.state.is_final
            ][:count_max]
        )

    async def of_receipt(self, user_id: UUID, receipt: str) -> Order | None:
        raise NotImplementedError

    async def newest(self, user_id: UUID, count_max: int) -> Sequence[Order]:
        raise NotImplementedError

    def _accept(self, claim: Claim, user_id: UUID, draft_id: UUID) -> Seen | Draft | None:
        self.way.fence(claim)
        draft = self.drafts.get(draft_id)
        if draft is None or draft.user_id != user_id:
            return None
        if draft_id not in self.rows:
            if draft.state is not DraftState.OPEN:
                return draft
            confirmed = replace(draft, state=DraftState.CONFIRMED)
            order = Order(confirmed, OrderState.ACCEPTED, NOW, NOW + timedelta(seconds=60))
            late_at = self.way.ticks + SUBMIT_WITHIN_TICKS
            self.rows[draft_id] = Row(order, submit_before=late_at)
            self.rows[draft_id].steps.append(("accept", "accepted", claim.epoch))
        return self._seen(draft_id)

    def _record(self, claim: Claim, order: Order, change: Record, nobody_waits: bool) -> Seen:
        self.way.fence(claim)
        row = self.rows[order.order_id]
        seen = self._seen(order.order_id)
        is_sending = change.state is OrderState.SUBMITTED
        is_too_late = is_sending and seen.is_late
        if row.order.state is order.state and not is_too_late and not self.is_deaf:
            row.order = replace(
                row.order,
                state=change.state,
                spent=change.spent or row.order.spent,
                received=change.received or row.order.received,
                fee=row.order.fee if change.fee is None else change.fee,
                refused=change.refused or row.order.refused,
                ended_at=NOW if change.state.is_final else None,
            )
            row.steps.append((change.step, change.outcome, claim.epoch))
            row.is_event |= change.state.is_final and (nobody_waits or row.tell_later)
        return self._seen(order.order_id)

    def _tell_of(self, claim: Claim, user_id: UUID, order_id: UUID) -> None:
        self.way.fence(claim)
        row = self.rows.get(order_id)
        if row is not None and row.order.draft.user_id == user_id:
            row.tell_later |= not row.order.state.is_final
            row.is_event |= row.order.state.is_final

    def _tell_later(self, claim: Claim, order_id: UUID) -> Seen:
        self.way.fence(claim)
        row = self.rows[order_id]
        if not row.order.state.is_final:
            row.tell_later = True
        return self._seen(order_id)

    def _seen(self, order_id: UUID) -> Seen:
        row = self.rows[order_id]
        return Seen(row.order, self.way.ticks >= row.submit_before)


@dataclass
class Market:
    """All three, on one way."""

    way: Way
    books: MemoryBooks
    venue: MemoryVenue
    orders: MemoryOrders


def market_of(faults: Iterable[Fault | None] = (), **funds: Any) -> Market:
    """Make a market whose user has 1,000 USDT, and whatever else is said: `BTC=5`."""
    way = Way(iter(faults))
    books = MemoryBooks(way)
    for symbol, value in {"USDT": FUNDS, **funds}.items():
        books.account(f"paper:{symbol}").posted = Decimal(value)
    return Market(way, books, MemoryVenue(way), MemoryOrders(way))
