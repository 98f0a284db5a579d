"""What must hold of plans, copies and freezes; the witness of `checking` asks this one.

What a rule owes is remembered from what users did: the moments a plan runs at from its confirmation
and its period, a copy's trades from its leader's fills, a freeze from its commit or, whatever the
store says, from the answer that told of it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from tests.simulation.copies import CopyRow, CopyTables
from tests.simulation.freezes import FreezeTables
from tests.simulation.gateway import GatewayTables, JobRow
from tests.simulation.plans import PlanRow, PlanTables
from tests.simulation.seeding import at
from tests.simulation.trading import TradingTables
from tests.simulation.trading_rows import NoteRow, OrderRow

from kernel.money import exact
from user_worker.domain.jobs import Command, Press
from user_worker.domain.notes import CopiesMissed, CopySkipped, RunSkipped
from user_worker.domain.orders import DraftState, OrderState, Rule, Side
from user_worker.domain.resting import RestingState
from user_worker.domain.rules import CopyState, PlanState, cause_of_copy, cause_of_run
from user_worker.ports import Outcome

SERVED_SECONDS = 15.0
"""How long after the last fault every shard is served again, its watches read."""
RUN_SECONDS = 5.0
"""How long, in calm, a run may be due."""
COPY_SECONDS = 4.0
"""How long, in calm, a leader's trade may wait for its copy: it may come just after a look."""

FROZEN = "nothing is accepted while trading is frozen"
SURVIVES = "nothing that waits survives a freeze"
RUN_ONCE = "a plan buys once when it is due"
RUN_IN_TIME = "a plan buys when it is due"
COPIED_ONCE = "a leader's trade is dealt with once"
COPIED_IN_TIME = "a leader's fresh trade is copied"
DERIVED = "a copied order has the cause of what it copies"
TOLD = "what a rule does not order is told"

Trade = tuple[UUID, UUID]
"""A copy and an order of its leader."""


@dataclass(slots=True)
class _Plan:
    """A confirmed plan."""

    row: PlanRow
    began_at: float
    active_since: float
    is_active: bool = True
    runs: list[float] = field(default_factory=list)
    """When there were orders or skips."""

    def turn(self, now: float) -> int:
        """The number of the moment it was last due at."""
        period = timedelta(seconds=self.row.plan.period_seconds)
        return (at(now) - at(self.began_at)) // period


class RuleWitness:
    """Sees what plans, copies and freezes do."""

    def __init__(
        self,
        fail: Callable[[str, object], None],
        trading: TradingTables,
        gateway: GatewayTables,
        fresh_seconds: float,
    ) -> None:
        self.calm_since = float("inf")
        self.runs = self.copied = self.freezes = 0
        self._fail = fail
        self._trading = trading
        self._gateway = gateway
        self._fresh_seconds = fresh_seconds
        self._frozen: set[UUID] = set()
        self._thawed_at: dict[UUID, float] = {}
        self._asked_to_thaw: set[tuple[UUID, UUID]] = set()
        self._plans: dict[UUID, _Plan] = {}
        self._turns: set[tuple[UUID, int]] = set()
        self._copies: dict[UUID, tuple[CopyRow, float]] = {}
        """The active ones, each with when it began."""
        self._owed: dict[Trade, float] = {}
        """What is to be copied, and since when."""
        self._causes: dict[UUID, Trade] = {}
        self._ordered: set[Trade] = set()
        self._dealt_with: set[Trade] = set()
        self._missed: Counter[UUID] = Counter()
        self._held: defaultdict[tuple[UUID, str], Decimal] = defaultdict(Decimal)
        """What was bought less what was sold, by user or copy, and symbol."""
        self._measures: dict[UUID, tuple[Decimal, Decimal]] = {}
        """What each sale sold, and what was held before."""
        self._notes: dict[UUID, NoteRow] = {}
        self._to_tell: list[tuple[type, UUID]] = []
        trading.noticed = self.saw_note

    def watch(self, plans: PlanTables, copies: CopyTables, freezes: FreezeTables) -> None:
        """See these tables."""
        self._plan_tables, self._copy_tables = plans, copies
        plans.changed, plans.skipped = self.saw_plan, self.saw_skipped_run
        copies.changed, copies.marked = self.saw_copy, self.saw_mark
        freezes.froze, freezes.thawed = self.saw_freeze, self.saw_thaw

    def saw_job(self, row: JobRow) -> None:
        """A job was accepted."""
        what, user_id = row.job.input, row.job.user_id
        if isinstance(what, Press) and what.data.startswith("panic:resume:"):
            self._asked_to_thaw.add((user_id, UUID(what.data.rpartition(":")[2])))

    def saw_end(self, row: JobRow) -> None:
        """A job has ended: who was told that his trading is frozen is right to believe it."""
        is_panic = row.job.input == Command("panic")
        if is_panic and row.outcome is Outcome.DONE:
            self._frozen.add(row.job.user_id)

    def saw_note(self, event_id: UUID, row: NoteRow) -> None:
        """A note was written."""
        self._notes[event_id] = row

    # Orders

    def saw_order(self, row: OrderRow, before: OrderState | None) -> None:
        """An order's state has changed."""
        order = row.order
        user_id = order.draft.user_id
        match order.state:
            case OrderState.ACCEPTED if user_id in self._frozen:
                self._fail(FROZEN, order)
            case OrderState.SUBMITTED if user_id in self._frozen:
                self._fail(FROZEN, order)
            case OrderState.EXECUTED:
                self._count(row)
            case OrderState.FILLED:
                self._owe(row)
        if before is not None:
            return
        match order.draft.rule:
            case Rule.PLAN:
                self._saw_run(row)
            case Rule.COPY:
                self._saw_copied(row)

    def _count(self, row: OrderRow) -> None:
        order, draft = row.order, self._trading.drafts[row.order.order_id]
        spent, received, fee = (n or Decimal(0) for n in (order.spent, order.received, order.fee))
        holders = [order.draft.user_id]
        if order.draft.rule is Rule.COPY and draft.rule_id is not None:
            holders.append(draft.rule_id)
        symbol = order.draft.wish.symbol
        if order.draft.wish.side is Side.SELL:
            self._measures[order.order_id] = spent, self._held[holders[0], symbol]
        with exact():
            change = received - fee if order.draft.wish.side is Side.BUY else -spent
            for holder in holders:
                self._held[holder, symbol] += change

    # Plans

    def saw_plan(self, row: PlanRow, before: PlanState) -> None:
        """A plan's state has changed."""
        plan, now = row.plan, self._trading.now()
        if plan.state is not PlanState.ACTIVE:
            if plan.plan_id in self._plans:
                self._plans[plan.plan_id].is_active = False
            return
        if plan.user_id in self._frozen:
            self._fail(FROZEN, plan)
        if before is PlanState.OFFERED:
            self._plans[plan.plan_id] = _Plan(row, now, now)
        else:
            seen = self._plans[plan.plan_id]
            seen.is_active, seen.active_since = True, now

    def saw_skipped_run(self, row: PlanRow) -> None:
        """A run was counted without an order."""
        plan = self._plans[row.plan.plan_id]
        cause = cause_of_run(row.plan.plan_id, len(plan.runs) + 1)
        self._to_tell.append((RunSkipped, cause))
        self._saw_turn(plan)

    def _saw_run(self, row: OrderRow) -> None:
        draft = self._trading.drafts[row.order.order_id]
        plan = self._plans.get(draft.rule_id) if draft.rule_id is not None else None
        if plan is None or not plan.is_active:
            self._fail("only plans that run buy", row.order)
            return
        self.runs += 1
        self._saw_turn(plan)

    def _saw_turn(self, plan: _Plan) -> None:
        now = self._trading.now()
        plan.runs.append(now)
        turn = plan.row.plan.plan_id, plan.turn(now)
        if turn in self._turns:
            self._fail(RUN_ONCE, f"{plan.row.plan}: {plan.runs}")
        self._turns.add(turn)
        most = plan.row.plan.runs_max
        if most is not None and len(plan.runs) > most:
            self._fail("a plan buys as often as it was asked to", plan.row.plan)

    # Copies

    def saw_copy(self, row: CopyRow, _before: CopyState) -> None:
        """A copy's state has changed."""
        copy = row.copy
        if copy.state is CopyState.ACTIVE:
            if copy.user_id in self._frozen:
                self._fail(FROZEN, copy)
            self._copies[copy.copy_id] = row, self._trading.now()
        elif self._copies.pop(copy.copy_id, None) is not None:
            self._owed = {t: since for t, since in self._owed.items() if t[0] != copy.copy_id}

    def saw_mark(self, row: CopyRow, leader_order_id: UUID, outcome: str) -> None:
        """A copy has dealt with an order of its leader."""
        trade = row.copy.copy_id, leader_order_id
        since = self._owed.pop(trade, None)
        if trade in self._dealt_with or (trade in self._ordered) != (outcome == "ordered"):
            self._fail(COPIED_ONCE, f"{outcome} {trade}")
        elif since is None:
            self._fail("only what a leader trades from then on is copied", trade)
        elif outcome == "missed":
            self._saw_missed(row, since)
        elif outcome not in ("ordered", "nothing"):
            self._to_tell.append((CopySkipped, cause_of_copy(*trade)))
        self._dealt_with.add(trade)

    def _saw_missed(self, row: CopyRow, since: float) -> None:
        leader_id = row.copy.leader_id
        self._missed[row.copy.copy_id] += 1
        if leader_id in self._frozen:
            return
        possible = max(since, self.calm_since + SERVED_SECONDS, self._thawed_at.get(leader_id, 0.0))
        if since + self._fresh_seconds - possible > COPY_SECONDS:
            self._fail(COPIED_IN_TIME, f"{row.copy} since {since}")

    def _owe(self, row: OrderRow) -> None:
        draft = row.order.draft
        if draft.rule is Rule.COPY:
            return
        for copy_id, (copy, began_at) in self._copies.items():
            if copy.copy.leader_id == draft.user_id and row.order.accepted_at >= at(began_at):
                trade = copy_id, draft.draft_id
                self._owed[trade] = self._trading.now()
                self._causes[cause_of_copy(*trade)] = trade

    def _saw_copied(self, row: OrderRow) -> None:
        draft = self._trading.drafts[row.order.order_id]
        trade = self._causes.get(draft.job_id)
        if trade is None or trade[0] != draft.rule_id:
            self._fail(DERIVED, row.order)
            return
        self.copied += 1
        if trade in self._ordered or trade in self._dealt_with:
            self._fail(COPIED_ONCE, trade)
        self._ordered.add(trade)
        copy = self._copies.get(trade[0])
        if copy is None:
            self._fail("only copies that run order", row.order)
            return
        theirs, mine = self._trading.orders[trade[1]].order.draft, row.order.draft
        if (theirs.wish.side, theirs.wish.symbol) != (mine.wish.side, mine.wish.symbol):
            self._fail("a copy trades what its leader traded", f"{theirs.wish} {mine.wish}")
        elif mine.wish.side is Side.BUY and mine.spend.value > copy[0].copy.spend:
            self._fail("a copy spends what was agreed", mine)
        elif mine.wish.side is Side.SELL and not self._is_share(trade, mine.spend.value):
            self._fail("a copy sells the leader's share of what it bought", mine)

    def _is_share(self, trade: Trade, amount: Decimal) -> bool:
        """Whether a copied sale sells no larger a share of what was copied than the leader did."""
        symbol = self._trading.orders[trade[1]].order.draft.wish.symbol
        copied, (sold, before) = self._held[trade[0], symbol], self._measures[trade[1]]
        with exact():
            return amount <= copied and (sold >= before or amount * before <= copied * sold)

    # Freezes

    def saw_freeze(self, user_id: UUID) -> None:
        """A freeze is committed."""
        self.freezes += 1
        self._frozen.add(user_id)
        trading = self._trading
        left: list[object] = [
            row
            for row in trading.resting.values()
            if row.user_id == user_id and row.state is RestingState.WAITING
        ]
        left += [
            row
            for row in trading.drafts.values()
            if row.draft.user_id == user_id
            and row.draft.state is DraftState.OPEN
            and row.draft.expires_at > at(trading.now())
        ]
        left += [
            row
            for row in trading.under_way.values()
            if row.order.draft.user_id == user_id
            and row.order.state in (OrderState.ACCEPTED, OrderState.HELD)
            and row.submit_before > trading.now()
        ]
        running = (PlanState.ACTIVE, PlanState.PAUSED, PlanState.OFFERED)
        plans = self._plan_tables.all_of(user_id)
        left += [plan for plan in plans if plan.state in running]
        copies = self._copy_tables.all_of(user_id)
        left += [c for c in copies if c.state in (CopyState.ACTIVE, CopyState.OFFERED)]
        if left:
            self._fail(SURVIVES, left[0])

    def saw_thaw(self, user_id: UUID, freeze_id: UUID) -> None:
        """A freeze was ended."""
        self._frozen.discard(user_id)
        self._thawed_at[user_id] = self._trading.now()
        if (user_id, freeze_id) not in self._asked_to_thaw:
            self._fail("a freeze lasts until its user ends it", freeze_id)

    # In calm

    def check_runs(self) -> None:
        """What was due in calm has been run."""
        latest = self._trading.now() - RUN_SECONDS
        for plan in self._plans.values():
            if not plan.is_active:
                continue
            since = max(plan.active_since, self.calm_since + SERVED_SECONDS)
            period = plan.row.plan.period_seconds
            first = 0 if since <= plan.began_at else plan.turn(since) + 1
            for turn in range(first, plan.turn(latest) + 1 if latest >= plan.began_at else 0):
                due_at = plan.began_at + turn * period
                if not any(due_at <= ran_at + 1e-3 <= due_at + RUN_SECONDS for ran_at in plan.runs):
                    self._fail(RUN_IN_TIME, f"{plan.row.plan} at {due_at}: {plan.runs}")

    def unfinished(self) -> str | None:
        """What is not over yet; None when everything is."""
        now = self._trading.now()
        for trade, since in self._owed.items():
            if now - since > COPY_SECONDS:
                return f"{trade} is not dealt with"
        for plan in self._plans.values():
            next_at = plan.row.plan.next_at
            if plan.is_active and next_at and next_at < at(now - RUN_SECONDS):
                return f"a run of {plan.row.plan} is due"
        for row, _ in self._copies.values():
            if row.share.is_over:
                return f"{row.copy} is of somebody who shares no more"
        return None

    def check_end(self) -> None:
        """Everything that was not ordered is told."""
        told = {(type(row.note), row.subject_id) for row in self._notes.values()}
        for promised in self._to_tell:
            if promised not in told:
                self._fail(TOLD, promised)
        missed = Counter[tuple[UUID, str]]()
        for copy_id, count in self._missed.items():
            copy = self._copy_tables.rows[copy_id].copy
            missed[copy.user_id, copy.code] += count
        for row in self._notes.values():
            if isinstance(row.note, CopiesMissed):
                missed[row.user_id, row.note.code] -= row.note.count
        if any(missed.values()):
            self._fail("what was not copied in time is told", dict(missed))
        for event_id, row in self._notes.items():
            if event_id not in self._gateway.notices:
                self._fail("every note is told", row)
