"""Plans, copies and shares in memory, as the conversation meets them."""

# ruff: noqa: D101, D102 (user_worker.rule_ports says what each of these promises)

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from kernel.sharding import Claim
from user_worker.domain.orders import Coins, Refusal, Wish, receipt_of
from user_worker.domain.rules import (
    Copy,
    CopyProblem,
    CopyState,
    Plan,
    PlanState,
    Share,
    Stakes,
    TooMany,
)
from user_worker.domain.sizing import Terms
from user_worker.rule_ports import DuePlan, Held, LeaderTrade
from user_worker.trading_ports import Offer, Seen


@dataclass
class FakeResolver:
    """Gives 0.0005 of whatever is bought, for 50 USDT."""

    refusal: Refusal | None = None
    failure: Exception | None = None
    wishes: list[Wish] = field(default_factory=list)

    async def resolve(self, wish: Wish, slippage_basis_points: int) -> Offer | Refusal:
        self.wishes.append(wish)
        if self.failure is not None:
            raise self.failure
        if self.refusal is not None:
            return self.refusal
        base = f"paper:{wish.symbol}"
        terms = Terms(
            spend=Coins("paper:USDT", "USDT", Decimal(50)),
            receive=Coins(base, wish.symbol, Decimal("0.0005")),
            fee=Coins(base, wish.symbol, Decimal("0.0000005")),
            receive_min=Decimal("0.00049"),
            receive_max=None,
            price=Decimal(100_000),
        )
        return Offer(wish, terms, slippage_basis_points, is_simulated=True)

    async def spend_refused(self, spend: Decimal) -> Refusal | None:
        if self.failure is not None:
            raise self.failure
        return self.refusal


@dataclass
class FakePlans:
    now: datetime
    refusal: Refusal | None = None
    plans_max: int = 10
    plans: dict[UUID, Plan] = field(default_factory=dict)
    of_jobs: dict[UUID, UUID] = field(default_factory=dict)

    async def of_job(self, user_id: UUID, job_id: UUID) -> Plan | None:
        return self.plans.get(self.of_jobs.get(job_id, job_id))

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
        if self.refusal is not None:
            return self.refusal
        plan = Plan(
            plan_id=uuid4(),
            user_id=user_id,
            wish=wish,
            slippage_basis_points=slippage_basis_points,
            period_seconds=period_seconds,
            runs_max=runs_max,
            runs=0,
            state=PlanState.OFFERED,
            expires_at=self.now + timedelta(seconds=120),
            next_at=None,
        )
        self.plans[plan.plan_id], self.of_jobs[job_id] = plan, plan.plan_id
        return plan

    async def confirm(
        self, claim: Claim, user_id: UUID, plan_id: UUID, language: str
    ) -> Plan | TooMany | Refusal | None:
        if self.refusal is not None:
            return self.refusal
        if len(await self.of_user(user_id)) >= self.plans_max:
            return TooMany(self.plans_max)
        return self._change(user_id, plan_id, PlanState.OFFERED, PlanState.ACTIVE)

    async def pause(self, claim: Claim, user_id: UUID, plan_id: UUID) -> Plan | None:
        return self._change(user_id, plan_id, PlanState.ACTIVE, PlanState.PAUSED)

    async def resume(self, claim: Claim, user_id: UUID, plan_id: UUID) -> Plan | Refusal | None:
        return self.refusal or self._change(user_id, plan_id, PlanState.PAUSED, PlanState.ACTIVE)

    async def cancel(self, claim: Claim, user_id: UUID, plan_id: UUID) -> Plan | None:
        plan = self.plans.get(plan_id)
        return plan and self._change(user_id, plan_id, plan.state, PlanState.CANCELLED)

    async def of_user(self, user_id: UUID) -> Sequence[Plan]:
        shown = (PlanState.ACTIVE, PlanState.PAUSED)
        return [p for p in self.plans.values() if p.user_id == user_id and p.state in shown]

    async def due(self, claims: Sequence[Claim], count_max: int) -> Sequence[DuePlan]:
        raise NotImplementedError

    async def run(self, due: DuePlan, offer: Offer) -> Seen | Held:
        raise NotImplementedError

    async def skip(self, due: DuePlan, reason: object) -> bool:
        raise NotImplementedError

    def _change(
        self, user_id: UUID, plan_id: UUID, before: PlanState, after: PlanState
    ) -> Plan | None:
        plan = self.plans.get(plan_id)
        if plan is None or plan.user_id != user_id:
            return None
        if plan.state is before:
            plan = replace(plan, state=after, next_at=self.now + timedelta(days=1))
            self.plans[plan_id] = plan
        return plan


@dataclass
class FakeShares:
    now: datetime
    shares: dict[UUID, Share] = field(default_factory=dict)

    async def share(self, claim: Claim, user_id: UUID) -> Share:
        return self.shares.setdefault(user_id, Share(receipt_of(uuid4()), self.now, 3))

    async def stop(self, claim: Claim, user_id: UUID) -> bool:
        return self.shares.pop(user_id, None) is not None

    async def of_user(self, user_id: UUID) -> Share | None:
        return self.shares.get(user_id)


@dataclass
class FakeCopies:
    now: datetime
    answer: CopyProblem | TooMany | Refusal | None = None
    """What is said to every offer and confirmation."""
    copies: dict[UUID, Copy] = field(default_factory=dict)
    of_jobs: dict[UUID, UUID] = field(default_factory=dict)

    async def of_job(self, user_id: UUID, job_id: UUID) -> Copy | None:
        return self.copies.get(self.of_jobs.get(job_id, job_id))

    async def offer(
        self,
        claim: Claim,
        job_id: UUID,
        user_id: UUID,
        code: str,
        spend: Decimal,
        slippage_basis_points: int,
    ) -> Copy | CopyProblem | Refusal:
        if self.answer is not None and not isinstance(self.answer, TooMany):
            return self.answer
        expires_at = self.now + timedelta(seconds=120)
        state, slippage = CopyState.OFFERED, slippage_basis_points
        copy = Copy(uuid4(), user_id, uuid4(), code, spend, slippage, state, expires_at)
        self.copies[copy.copy_id], self.of_jobs[job_id] = copy, copy.copy_id
        return copy

    async def confirm(
        self, claim: Claim, user_id: UUID, copy_id: UUID, language: str
    ) -> Copy | CopyProblem | TooMany | Refusal | None:
        return self.answer or self._change(user_id, copy_id, CopyState.ACTIVE)

    async def end(self, claim: Claim, user_id: UUID, copy_id: UUID) -> Copy | None:
        return self._change(user_id, copy_id, CopyState.ENDED)

    async def of_user(self, user_id: UUID) -> Sequence[Copy]:
        mine = [c for c in self.copies.values() if c.user_id == user_id]
        return [copy for copy in mine if copy.state is CopyState.ACTIVE]

    async def to_take(
        self, claims: Sequence[Claim], back_seconds: float, count_max: int
    ) -> Sequence[LeaderTrade]:
        raise NotImplementedError

    async def stakes(self, trade: LeaderTrade) -> Stakes | None:
        raise NotImplementedError

    async def take(self, trade: LeaderTrade, offer: Offer) -> Seen | Held:
        raise NotImplementedError

    async def skip(self, trade: LeaderTrade, reason: object) -> None:
        raise NotImplementedError

    async def pass_over(self, claims: Sequence[Claim]) -> int:
        raise NotImplementedError

    def _change(self, user_id: UUID, copy_id: UUID, state: CopyState) -> Copy | None:
        copy = self.copies.get(copy_id)
        if copy is None or copy.user_id != user_id:
            return None
        if copy.state is not CopyState.ENDED:
            copy = self.copies[copy_id] = replace(copy, state=state)
        return copy
