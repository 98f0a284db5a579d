"""Plans in memory, as `user_worker.postgres.plans` keeps them, and the worker's port in front."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from tests.simulation.network import Network
from tests.simulation.ruled_orders import order_by_rule
from tests.simulation.seeding import at
from tests.simulation.trading import DAY_SECONDS, TradingTables
from tests.simulation.trading_adapters import Port

from kernel.identifiers import new_uuid7
from kernel.sharding import Claim, ShardKey
from user_worker.domain.amounts import size_text
from user_worker.domain.notes import Note, PlanFinished, PlanPaused, RunSkipped
from user_worker.domain.orders import Refusal, Refused, Rule, Wish
from user_worker.domain.rules import (
    FUNDS_MISSING_IN_A_ROW_MAX,
    PATIENCE_SECONDS_MAX,
    Plan,
    PlanState,
    TooMany,
    cause_of_run,
)
from user_worker.rule_ports import DuePlan, Held, Ruled
from user_worker.trading_ports import Offer, Seen

USER_PLANS_MAX = 3
_LASTING = (PlanState.ACTIVE, PlanState.PAUSED)


@dataclass(slots=True)
class PlanRow:
    """worker.plans"""

    plan: Plan
    key: ShardKey
    job_id: UUID
    made_at: float
    language: str = ""
    counted_since: datetime | None = None


@dataclass
class PlanTables:
    """worker.plans, and the orders of their runs."""

    trading: TradingTables
    offer_lifetime_seconds: float
    rows: dict[UUID, PlanRow] = field(default_factory=dict)
    of_jobs: dict[UUID, UUID] = field(default_factory=dict)
    changed: Callable[[PlanRow, PlanState], None] = lambda *_: None
    """Called with a plan whose state has changed, and what it was before."""
    skipped: Callable[[PlanRow], None] = lambda _: None
    """Called with a plan of which a run was counted without an order."""

    def of_job(self, user_id: UUID, job_id: UUID) -> Plan | None:
        """The plan a job offered."""
        plan_id = self.of_jobs.get(job_id)
        return None if plan_id is None else self.read(user_id, plan_id)

    def read(self, user_id: UUID, plan_id: UUID) -> Plan | None:
        """A user's plan as it stands."""
        row = self.rows.get(plan_id)
        if row is None or row.plan.user_id != user_id:
            return None
        return self.as_it_stands(row)

    def offer(
        self,
        claim: Claim,
        job_id: UUID,
        user_id: UUID,
        wish: Wish,
        slippage_basis_points: int,
        period_seconds: int,
        runs_max: int | None,
    ) -> Plan | Refusal:
        """Keep the job's offered plan, or find it."""
        trading = self.trading
        trading.placement.fence(claim)
        if trading.is_frozen(user_id):
            return Refusal(Refused.FROZEN)
        self._forget_old(claim, user_id)
        if job_id not in self.of_jobs:
            now = trading.now()
            plan = Plan(
                plan_id=new_uuid7(),
                user_id=user_id,
                wish=wish,
                slippage_basis_points=slippage_basis_points,
                period_seconds=period_seconds,
                runs_max=runs_max,
                runs=0,
                state=PlanState.OFFERED,
                expires_at=at(now + self.offer_lifetime_seconds),
                next_at=None,
            )
            self.rows[plan.plan_id] = PlanRow(plan, claim.key, job_id, now)
            self.of_jobs[job_id] = plan.plan_id
        kept = self.of_job(user_id, job_id)
        if kept is None:
            raise ValueError(f"job {job_id} offered a plan to somebody else")
        return kept

    def confirm(
        self, claim: Claim, user_id: UUID, plan_id: UUID, language: str
    ) -> Plan | TooMany | Refusal | None:
        """Make an offered plan active; its first run is due at once."""
        self.trading.placement.fence(claim)
        row = self._taken(claim, user_id, plan_id)
        if row is None:
            return None
        if self.as_it_stands(row).state is not PlanState.OFFERED:
            return self.as_it_stands(row)
        if self.trading.is_frozen(user_id):
            return Refusal(Refused.FROZEN)
        if len(self.of_user(user_id)) >= USER_PLANS_MAX:
            return TooMany(USER_PLANS_MAX)
        now = at(self.trading.now())
        row.language, row.counted_since = language, now
        self.change(row, PlanState.ACTIVE, next_at=now)
        return row.plan

    def pause(self, claim: Claim, user_id: UUID, plan_id: UUID) -> Plan | None:
        """Pause an active plan."""
        self.trading.placement.fence(claim)
        row = self._taken(claim, user_id, plan_id)
        if row is not None and row.plan.state is PlanState.ACTIVE:
            self.change(row, PlanState.PAUSED)
        return None if row is None else self.as_it_stands(row)

    def resume(self, claim: Claim, user_id: UUID, plan_id: UUID) -> Plan | Refusal | None:
        """Make a paused plan active; what it missed is not made up."""
        self.trading.placement.fence(claim)
        row = self._taken(claim, user_id, plan_id)
        if row is not None and row.plan.state is PlanState.PAUSED:
            if self.trading.is_frozen(user_id):
                return Refusal(Refused.FROZEN)
            now = at(self.trading.now())
            row.counted_since, next_at = now, row.plan.next_at
            is_to_come = next_at is not None and next_at > now
            self.change(
                row, PlanState.ACTIVE, next_at=next_at if is_to_come else self._next_at(row.plan)
            )
        return None if row is None else self.as_it_stands(row)

    def cancel(self, claim: Claim, user_id: UUID, plan_id: UUID) -> Plan | None:
        """End a plan for good, whatever it does."""
        self.trading.placement.fence(claim)
        row = self._taken(claim, user_id, plan_id)
        if row is not None and row.plan.state not in (PlanState.FINISHED, PlanState.CANCELLED):
            self.change(row, PlanState.CANCELLED)
        return None if row is None else self.as_it_stands(row)

    def of_user(self, user_id: UUID) -> list[Plan]:
        """A user's active and paused plans, oldest first."""
        return [
            row.plan
            for row in self.rows.values()
            if row.plan.user_id == user_id and row.plan.state in _LASTING
        ]

    def all_of(self, user_id: UUID) -> list[Plan]:
        """All there are of a user, as they stand."""
        mine = [row for row in self.rows.values() if row.plan.user_id == user_id]
        return [self.as_it_stands(row) for row in mine]

    def due(self, claims: Sequence[Claim], count_max: int) -> list[DuePlan]:
        """The plans of some shards whose run is due, the longest due first."""
        now, found = at(self.trading.now()), list[DuePlan]()
        waiting = [row for row in self.rows.values() if row.plan.state is PlanState.ACTIVE]
        for claim in claims if waiting else ():
            key = claim.key
            due = [
                (row.plan.next_at, row)
                for row in waiting
                if row.key == key and row.plan.next_at and row.plan.next_at <= now
            ]
            for next_at, row in sorted(due, key=lambda one: one[0])[:count_max]:
                patience = min(row.plan.period_seconds / 2, PATIENCE_SECONDS_MAX)
                is_overdue = next_at + timedelta(seconds=patience) <= now
                found.append(DuePlan(claim, row.plan, row.language, is_overdue))
        return found

    def run(self, due: DuePlan, offer: Offer) -> Seen | Held:
        """Accept the run's order and count the run, once."""
        self.trading.placement.fence(due.claim)
        row = self._taken_run(due)
        if row is None:
            return Held.GONE
        if self._finds_no_money(row):
            self.change(row, PlanState.PAUSED)
            wish = row.plan.wish
            note = PlanPaused(wish.symbol, size_text(wish.size), FUNDS_MISSING_IN_A_ROW_MAX)
            self._tell(due, note)
            return Held.PAUSED
        plan = due.plan
        ruled = Ruled(plan.user_id, self.cause_of(due), due.language)
        seen = order_by_rule(self.trading, due.claim, ruled, (Rule.PLAN, plan.plan_id), offer)
        if seen is None:
            return Held.NO_ROOM
        self.advance(due, row)
        return seen

    def skip(self, due: DuePlan, reason: Refused | None) -> bool:
        """Count the run without an order and tell why."""
        self.trading.placement.fence(due.claim)
        row = self._taken_run(due)
        if row is None:
            return False
        said = None if reason is None else reason.value
        wish = due.plan.wish
        self._tell(due, RunSkipped(wish.symbol, size_text(wish.size), said))
        self.skipped(row)
        self.advance(due, row)
        return True

    def cause_of(self, due: DuePlan) -> UUID:
        """The cause of the order of a run."""
        return cause_of_run(due.plan.plan_id, due.plan.runs + 1)

    def advance(self, due: DuePlan, row: PlanRow) -> None:
        """Count a run."""
        plan = row.plan
        row.plan = replace(plan, runs=plan.runs + 1, next_at=self._next_at(plan))
        if plan.runs + 1 == plan.runs_max:
            self.change(row, PlanState.FINISHED)
            note = PlanFinished(plan.wish.symbol, size_text(plan.wish.size), plan.runs_max)
            self._tell(due, note)

    def change(self, row: PlanRow, state: PlanState, next_at: datetime | None = None) -> None:
        """Change a plan's state; `next_at` stays unless it is given."""
        before = row.plan.state
        row.plan = replace(row.plan, state=state, next_at=next_at or row.plan.next_at)
        self.changed(row, before)

    def as_it_stands(self, row: PlanRow) -> Plan:
        """A plan; one that was not confirmed in time is EXPIRED."""
        is_over = row.plan.expires_at <= at(self.trading.now())
        if row.plan.state is PlanState.OFFERED and is_over:
            return replace(row.plan, state=PlanState.EXPIRED)
        return row.plan

    def _taken(self, claim: Claim, user_id: UUID, plan_id: UUID) -> PlanRow | None:
        row = self.rows.get(plan_id)
        is_meant = row is not None and row.plan.user_id == user_id and row.key == claim.key
        return row if is_meant else None

    def _taken_run(self, due: DuePlan) -> PlanRow | None:
        row = self.rows.get(due.plan.plan_id)
        if row is None or row.key != due.claim.key or row.plan.state is not PlanState.ACTIVE:
            return None
        return row if row.plan.runs == due.plan.runs else None

    def _next_at(self, plan: Plan) -> datetime | None:
        """The first multiple of the period, counted from the first run, that is still to come."""
        if plan.next_at is None:
            return None
        late = max(0.0, (at(self.trading.now()) - plan.next_at).total_seconds())
        periods = 1 + math.floor(late / plan.period_seconds)
        return plan.next_at + timedelta(seconds=plan.period_seconds * periods)

    def _finds_no_money(self, row: PlanRow) -> bool:
        ends = [
            one.order
            for one in self.trading.by_rule.get(row.plan.plan_id, ())
            if row.counted_since is not None and one.order.accepted_at >= row.counted_since
        ][-FUNDS_MISSING_IN_A_ROW_MAX:]
        missing = [order.refused is Refused.INSUFFICIENT_FUNDS for order in ends]
        return len(missing) == FUNDS_MISSING_IN_A_ROW_MAX and all(missing)

    def _tell(self, due: DuePlan, note: Note) -> None:
        cause = cause_of_run(due.plan.plan_id, due.plan.runs + 1)
        self.trading.add_note(due.claim, cause, due.plan.user_id, due.language, note)

    def _forget_old(self, claim: Claim, user_id: UUID) -> None:
        oldest = self.trading.now() - DAY_SECONDS
        for plan_id, row in list(self.rows.items()):
            is_mine = row.plan.user_id == user_id and row.key == claim.key
            if is_mine and row.plan.next_at is None and row.made_at < oldest:
                del self.rows[plan_id]
                del self.of_jobs[row.job_id]


class SimulatedPlans(Port):
    """rule_ports.Plans"""

    def __init__(self, network: Network, plans: PlanTables) -> None:
        super().__init__(network, plans.trading)
        self._plans = plans

    async def of_job(self, user_id: UUID, job_id: UUID) -> Plan | None:
        """See rule_ports."""
        return await self._call("plan", lambda: self._plans.of_job(user_id, job_id))

    async def offer(
        self,
        claim: Claim,
        job_id: UUID,
        user_id: UUID,
        wish: Wish,
        slippage_basis_points: int,
        period_seconds: int,
        runs_max: int | None,
    ) -> Plan | Refusal:
        """See rule_ports."""
        terms = (wish, slippage_basis_points, period_seconds, runs_max)
        return await self._call(
            "offer a plan", lambda: self._plans.offer(claim, job_id, user_id, *terms)
        )

    async def confirm(
        self, claim: Claim, user_id: UUID, plan_id: UUID, language: str
    ) -> Plan | TooMany | Refusal | None:
        """See rule_ports."""
        return await self._call(
            f"accept plan {plan_id} under {claim}",
            lambda: self._plans.confirm(claim, user_id, plan_id, language),
        )

    async def pause(self, claim: Claim, user_id: UUID, plan_id: UUID) -> Plan | None:
        """See rule_ports."""
        return await self._call("pause", lambda: self._plans.pause(claim, user_id, plan_id))

    async def resume(self, claim: Claim, user_id: UUID, plan_id: UUID) -> Plan | Refusal | None:
        """See rule_ports."""
        return await self._call("resume", lambda: self._plans.resume(claim, user_id, plan_id))

    async def cancel(self, claim: Claim, user_id: UUID, plan_id: UUID) -> Plan | None:
        """See rule_ports."""
        return await self._call("cancel", lambda: self._plans.cancel(claim, user_id, plan_id))

    async def of_user(self, user_id: UUID) -> Sequence[Plan]:
        """See rule_ports."""
        return await self._call("plans", lambda: self._plans.of_user(user_id))

    async def due(self, claims: Sequence[Claim], count_max: int) -> Sequence[DuePlan]:
        """See rule_ports."""
        return await self._call("due plans", lambda: self._plans.due(claims, count_max))

    async def run(self, due: DuePlan, offer: Offer) -> Seen | Held:
        """See rule_ports."""
        return await self._call(
            f"record run {due.plan.runs + 1} of {due.plan.plan_id} under {due.claim}",
            lambda: self._plans.run(due, offer),
        )

    async def skip(self, due: DuePlan, reason: Refused | None) -> bool:
        """See rule_ports."""
        return await self._call("skip a run", lambda: self._plans.skip(due, reason))
