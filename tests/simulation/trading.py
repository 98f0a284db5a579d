"""Schema `worker` in memory: drafts, orders, steps, events, attempts, preferences. Each method is
one transaction of `user_worker.postgres`, with the same conditions on the same columns; a test
compares the two.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import asyncpg
from tests.simulation.placement import PlacementTables
from tests.simulation.seeding import at
from tests.simulation.trading_rows import (
    DraftRow,
    FreezeRow,
    HoldingRow,
    NoteRow,
    OrderRow,
    RestingRow,
)

from kernel.identifiers import new_uuid7
from kernel.money import exact
from kernel.sharding import Claim, ShardKey
from user_worker.domain.carrying_out import Record
from user_worker.domain.notes import Note
from user_worker.domain.orders import (
    Draft,
    DraftState,
    Order,
    OrderState,
    Refusal,
    Refused,
    Rule,
    Side,
)
from user_worker.postgres import OrderLimits
from user_worker.trading_ports import EndEvent, Event, NoteEvent, Offer, Seen, Underway

DAY_SECONDS = 86_400.0


@dataclass
class TradingTables:
    """Schema `worker`."""

    placement: PlacementTables
    draft_lifetime_seconds: float
    user_open_drafts_max: int
    limits: OrderLimits
    drafts: dict[UUID, DraftRow] = field(default_factory=dict)
    of_jobs: dict[UUID, UUID] = field(default_factory=dict)
    orders: dict[UUID, OrderRow] = field(default_factory=dict)
    under_way: dict[UUID, OrderRow] = field(default_factory=dict)
    """The orders that have not ended: what the partial index is in the database."""
    filled: dict[UUID, list[OrderRow]] = field(default_factory=dict)
    """Each user's filled orders as they ended: another index."""
    by_rule: dict[UUID, list[OrderRow]] = field(default_factory=dict)
    """The orders of each plan and copy as they were accepted: another."""
    holdings: dict[tuple[UUID, str], HoldingRow] = field(default_factory=dict)
    """By user or copy, and symbol."""
    resting: dict[UUID, RestingRow] = field(default_factory=dict)
    frozen: dict[UUID, FreezeRow] = field(default_factory=dict)
    untold: dict[UUID, OrderRow | NoteRow] = field(default_factory=dict)
    noted: dict[tuple[type, UUID], UUID] = field(default_factory=dict)
    """What a note was ever made of, with its event: one of each kind about each subject."""
    attempts: dict[UUID, int] = field(default_factory=dict)
    languages: dict[UUID, str] = field(default_factory=dict)
    slippages: dict[UUID, int] = field(default_factory=dict)
    chosen_under: dict[UUID, ShardKey] = field(default_factory=dict)
    """The shard in each row of worker.preferences."""
    moved: Callable[[OrderRow, OrderState | None], None] = lambda *_: None
    """Called with an order's row after its state changed, and what it was before."""
    noticed: Callable[[UUID, NoteRow], None] = lambda *_: None
    """Called with a note that was just written, and its event."""

    def now(self) -> float:
        """Database time in seconds of the world."""
        return self.placement.now()

    # Drafts

    def draft_of_job(self, user_id: UUID, job_id: UUID) -> Draft | None:
        """The draft a job made."""
        draft_id = self.of_jobs.get(job_id)
        return None if draft_id is None else self.draft(user_id, draft_id)

    def draft(self, user_id: UUID, draft_id: UUID) -> Draft | None:
        """A user's draft as it stands now."""
        row = self.drafts.get(draft_id)
        if row is None or row.draft.user_id != user_id:
            return None
        return self._as_it_stands(row)

    def is_frozen(self, user_id: UUID) -> bool:
        """worker.is_frozen"""
        return user_id in self.frozen

    def keep(self, claim: Claim, job_id: UUID, user_id: UUID, offer: Offer) -> Draft | Refusal:
        """Keep the job's draft, or find the one it made before; none while trading is frozen."""
        self.placement.fence(claim)
        if self.is_frozen(user_id):
            return Refusal(Refused.FROZEN)
        key = claim.key
        mine = [
            row for row in self.drafts.values() if row.draft.user_id == user_id and row.key == key
        ]
        for row in mine:
            is_old = row.draft.made_at < at(self.now() - DAY_SECONDS)
            if is_old and row.draft.state is not DraftState.CONFIRMED:
                del self.drafts[row.draft.draft_id]
                del self.of_jobs[row.job_id]
        if job_id not in self.of_jobs:
            draft = self.insert_draft(claim, job_id, user_id, offer, self.draft_lifetime_seconds)
            mine.append(self.drafts[draft.draft_id])
            if offer.condition is not None:
                self.resting[draft.draft_id] = RestingRow(
                    draft.draft_id, user_id, claim.key, offer.wish.symbol, offer.condition
                )
        is_open = [row for row in mine if row.draft.state is DraftState.OPEN]
        is_open.sort(key=lambda row: (row.draft.made_at, row.draft.draft_id), reverse=True)
        for row in is_open[self.user_open_drafts_max :]:
            row.draft = replace(row.draft, state=DraftState.CANCELLED)
        kept = self.draft_of_job(user_id, job_id)
        if kept is None:
            raise ValueError(f"job {job_id} made a draft for somebody else")
        return kept

    def cancel(self, claim: Claim, user_id: UUID, draft_id: UUID) -> Draft | None:
        """Cancel a draft if it is open."""
        self.placement.fence(claim)
        self.cancel_open_drafts(claim, user_id, draft_id)
        return self.draft(user_id, draft_id)

    def cancel_open(self, claim: Claim, user_id: UUID) -> int:
        """Cancel the user's open drafts."""
        self.placement.fence(claim)
        return self.cancel_open_drafts(claim, user_id)

    # Orders

    def accept(
        self, claim: Claim, user_id: UUID, draft_id: UUID, language: str
    ) -> Seen | Draft | None:
        """Turn an open draft into an order, or find the order it became."""
        self.placement.fence(claim)
        row = self.drafts.get(draft_id)
        if row is None or row.draft.user_id != user_id or row.key != claim.key:
            return None
        if draft_id in self.resting:
            return None
        draft = self._as_it_stands(row)
        if draft.state is DraftState.EXPIRED:
            row.draft = draft
        if draft.state is DraftState.OPEN:
            refused = None
            if self.is_frozen(user_id):
                refused = Refused.FROZEN
            elif not self.has_room(claim.key, user_id):
                refused = Refused.LIMIT_EXCEEDED
            self.make_order(claim, row, language, refused=refused)
        elif draft.state is not DraftState.CONFIRMED:
            return draft
        return self.look(draft_id)

    def record(self, claim: Claim, order: Order, change: Record, *, nobody_waits: bool) -> Seen:
        """Record a step with the change of state it led to, if the order still stands as given."""
        self.placement.fence(claim)
        row = self.orders.get(order.order_id)
        if row is None:
            raise LookupError(f"there is no order {order.order_id}")
        is_too_late = change.state is OrderState.SUBMITTED and row.submit_before <= self.now()
        if row.key == claim.key and row.order.state is order.state and not is_too_late:
            before = row.order
            is_end = change.state.is_final
            row.order = replace(
                before,
                state=change.state,
                spent=before.spent if change.spent is None else change.spent,
                received=before.received if change.received is None else change.received,
                fee=before.fee if change.fee is None else change.fee,
                refused=change.refused or before.refused,
                ended_at=at(self.now()) if is_end else None,
            )
            row.steps.append((change.step, change.outcome, claim.epoch))
            if change.state is OrderState.EXECUTED:
                self._count_trade(row)
            if is_end:
                del self.under_way[order.order_id]
                if change.state is OrderState.FILLED:
                    self.filled.setdefault(before.draft.user_id, []).append(row)
                if row.tell_later or nobody_waits:
                    self._tell(row)
            self.moved(row, before.state)
        return self.look(order.order_id)

    def tell_later(self, claim: Claim, order_id: UUID) -> Seen:
        """Have the order's end, if it has not come, told by an event."""
        self.placement.fence(claim)
        row = self.orders.get(order_id)
        if row is not None and row.key == claim.key and not row.order.state.is_final:
            row.tell_later = True
        return self.look(order_id)

    def tell_of(self, claim: Claim, user_id: UUID, order_id: UUID) -> None:
        """Have the end of a user's order told by an event, come or not."""
        self.placement.fence(claim)
        row = self.orders.get(order_id)
        if row is None or row.key != claim.key or row.order.draft.user_id != user_id:
            return
        if not row.order.state.is_final:
            row.tell_later = True
        elif row.event_id is None:
            self._tell(row)

    def look(self, order_id: UUID) -> Seen:
        """Read an order."""
        row = self.orders.get(order_id)
        if row is None:
            raise LookupError(f"there is no order {order_id}")
        return Seen(row.order, row.submit_before <= self.now())

    def open_orders(self, claims: Sequence[Claim], count_max: int) -> list[Underway]:
        """The orders of some shards that have not ended, oldest first in each."""
        if not self.under_way:
            return []
        found = []
        for claim in claims:
            key = claim.key
            rows = [row for row in self.under_way.values() if row.key == key]
            rows.sort(key=lambda row: row.order.accepted_at)
            found += [Underway(claim, self.look(row.order.order_id)) for row in rows[:count_max]]
        return found

    def order_of_receipt(self, user_id: UUID, receipt: str) -> Order | None:
        """A user's order by its receipt id."""
        for row in self.orders.values():
            if row.order.draft.user_id == user_id and row.order.draft.receipt == receipt:
                return row.order
        return None

    def newest(self, user_id: UUID, count_max: int) -> list[Order]:
        """A user's newest orders, newest first."""
        mine = [row.order for row in self.orders.values() if row.order.draft.user_id == user_id]
        mine.sort(key=lambda order: (order.accepted_at, order.order_id), reverse=True)
        return mine[:count_max]

    # Events

    def unrelayed(self, claims: Sequence[Claim], count_max: int) -> list[Event]:
        """The events of some shards that were not relayed yet, oldest first."""
        if not self.untold:
            return []
        of = {claim.key: claim for claim in claims}
        found: list[Event] = []
        for event_id, row in self.untold.items():
            if row.key not in of:
                continue
            if isinstance(row, OrderRow):
                found.append(EndEvent(event_id, of[row.key], row.order, row.language))
            else:
                told = (row.user_id, row.language, row.note)
                found.append(NoteEvent(event_id, of[row.key], *told))
        return found[:count_max]

    def mark_relayed(self, claim: Claim, event_ids: Sequence[UUID]) -> None:
        """Mark events of one shard as relayed."""
        self.placement.fence(claim)
        for event_id in event_ids:
            row = self.untold.get(event_id)
            if row is not None and row.key == claim.key:
                del self.untold[event_id]

    def add_note(
        self, claim: Claim, subject_id: UUID, user_id: UUID, language: str, note: Note
    ) -> None:
        """Have a user told something, once of each kind about each subject."""
        if (type(note), subject_id) not in self.noted:
            event_id = new_uuid7()
            self.noted[type(note), subject_id] = event_id
            row = NoteRow(claim.key, user_id, language, subject_id, note)
            self.untold[event_id] = row
            self.noticed(event_id, row)

    # Attempts and preferences

    def begin_attempt(self, claim: Claim, job_id: UUID) -> int:
        """Count before running a job; gives how often it had been counted before."""
        self.placement.fence(claim)
        self.attempts[job_id] = self.attempts.get(job_id, 0) + 1
        return self.attempts[job_id] - 1

    def forgive(self, claim: Claim, job_id: UUID) -> None:
        """Take the count back."""
        self.placement.fence(claim)
        self.attempts.pop(job_id, None)

    def choose_language(self, claim: Claim, user_id: UUID, language: str) -> None:
        """Keep a choice."""
        self.placement.fence(claim)
        self.languages[user_id] = language
        self.chosen_under[user_id] = claim.key

    def choose_slippage(self, claim: Claim, user_id: UUID, basis_points: int) -> None:
        """Keep a choice."""
        self.placement.fence(claim)
        self.slippages[user_id] = basis_points
        self.chosen_under[user_id] = claim.key

    def forget(self, claim: Claim, user_id: UUID) -> None:
        """Erase the user's choices and the drafts that became no order."""
        self.placement.fence(claim)
        if self.chosen_under.get(user_id) == claim.key:
            self.languages.pop(user_id, None)
            self.slippages.pop(user_id, None)
        for draft_id, row in list(self.drafts.items()):
            is_mine = row.draft.user_id == user_id and row.key == claim.key
            if is_mine and row.draft.state is not DraftState.CONFIRMED:
                del self.drafts[draft_id]
                del self.of_jobs[row.job_id]

    def insert_draft(
        self,
        claim: Claim,
        cause: UUID,
        user_id: UUID,
        offer: Offer,
        lifetime_seconds: float,
        ordered_by: tuple[Rule, UUID] | None = None,
    ) -> Draft:
        """Insert a draft: an open one, or one that a rule ordered and that is confirmed by that."""
        rule, rule_id = ordered_by or (None, None)
        terms, made_at = offer.terms, at(self.now())
        draft = Draft(
            draft_id=new_uuid7(),
            user_id=user_id,
            wish=offer.wish,
            spend=terms.spend,
            receive=terms.receive,
            fee=terms.fee,
            receive_min=terms.receive_min,
            receive_max=terms.receive_max,
            price=terms.price,
            slippage_basis_points=offer.slippage_basis_points,
            is_simulated=offer.is_simulated,
            made_at=made_at,
            expires_at=made_at + timedelta(seconds=lifetime_seconds),
            state=DraftState.OPEN if rule is None else DraftState.CONFIRMED,
            rule=rule,
        )
        self.drafts[draft.draft_id] = DraftRow(draft, cause, claim.key, rule_id)
        self.of_jobs[cause] = draft.draft_id
        return draft

    def _as_it_stands(self, row: DraftRow) -> Draft:
        is_over = row.draft.expires_at <= at(self.now())
        if row.draft.state is DraftState.OPEN and is_over:
            return replace(row.draft, state=DraftState.EXPIRED)
        return row.draft

    def cancel_open_drafts(self, claim: Claim, user_id: UUID, draft_id: UUID | None = None) -> int:
        """Cancel the user's open drafts, or the one that is meant; gives how many."""
        cancelled = 0
        for row in self.drafts.values():
            is_meant = row.draft.user_id == user_id and row.key == claim.key
            is_meant &= draft_id in (None, row.draft.draft_id)
            if is_meant and self._as_it_stands(row).state is DraftState.OPEN:
                row.draft = replace(row.draft, state=DraftState.CANCELLED)
                cancelled += 1
        return cancelled

    def has_room(self, key: ShardKey, user_id: UUID) -> bool:
        """Whether one more order of a user may be under way."""
        mine = [row for row in self.under_way.values() if row.key == key]
        of_user = [row for row in mine if row.order.draft.user_id == user_id]
        return (
            len(of_user) < self.limits.user_under_way_max
            and len(mine) < self.limits.shard_under_way_max
        )

    def check_order_insert(self, user_id: UUID) -> None:
        """The trigger `orders_meet_freezes`, of an order that does not end at once."""
        if user_id in self.frozen:
            raise asyncpg.RestrictViolationError("the trading of this user is frozen")

    def make_order(
        self,
        claim: Claim,
        row: DraftRow,
        language: str,
        *,
        refused: Refused | None = None,
        tell_later: bool = False,
        step: str = "accepted",
    ) -> None:
        """Make a confirmed draft an order; one that is refused ends at once."""
        if refused is None:
            self.check_order_insert(row.draft.user_id)
        row.draft = replace(row.draft, state=DraftState.CONFIRMED)
        submit_before = self.now() + self.limits.submit_within_seconds
        order = Order(
            draft=row.draft,
            state=OrderState.ACCEPTED if refused is None else OrderState.REJECTED,
            accepted_at=at(self.now()),
            submit_before=at(submit_before),
            refused=refused,
            ended_at=None if refused is None else at(self.now()),
        )
        outcome = step if refused is None else refused.value
        kept = OrderRow(order, row.key, language, submit_before, tell_later)
        kept.steps.append(("accept", outcome, claim.epoch))
        self.orders[order.order_id] = kept
        if refused is None:
            self.under_way[order.order_id] = kept
        if row.rule_id is not None:
            self.by_rule.setdefault(row.rule_id, []).append(kept)
        self.moved(kept, None)

    def _count_trade(self, row: OrderRow) -> None:
        """The trigger `orders_of_holdings`."""
        order, draft = row.order, row.order.draft
        spent, received, fee = (n or Decimal(0) for n in (order.spent, order.received, order.fee))
        with exact():
            change = received - fee if draft.wish.side is Side.BUY else -spent
        holding = self._add_to_holding(draft.user_id, draft.wish.symbol, change)
        row.trade_number, row.held_before = holding.trades, holding.held - change
        if draft.rule is Rule.COPY and (copy_id := self.drafts[draft.draft_id].rule_id):
            self._add_to_holding(copy_id, draft.wish.symbol, change)

    def _add_to_holding(self, holder_id: UUID, symbol: str, change: Decimal) -> HoldingRow:
        holding = self.holdings.setdefault((holder_id, symbol), HoldingRow())
        holding.trades += 1
        with exact():
            holding.held += change
        return holding

    def _tell(self, row: OrderRow) -> None:
        row.event_id = new_uuid7()
        self.untold[row.event_id] = row
