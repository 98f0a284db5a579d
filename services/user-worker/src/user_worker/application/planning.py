"""Plans run by the owner of the shard: whatever is due by the database's clock, every second.

A run that finds no price is tried again for half the period, an hour at most, and is skipped then.
Runs nobody was there for are not made up: one is run, and the next one is due at its regular time.
One plan's trouble keeps no other from its run.
"""

import asyncio

from user_worker import metrics
from user_worker.application.carrying_out import CarryingOut
from user_worker.application.recurring import Rhythm, again_and_again, each_by_itself
from user_worker.domain.orders import Refusal, Refused
from user_worker.errors import DependencyDown
from user_worker.rule_ports import DuePlan, Held, Plans, Resolver

AT_ONCE_MAX = 8
"""Runs being resolved and accepted at the same moment."""
PER_SHARD_MAX = 500
"""Due plans read of one shard at a time: ten of each of fifty users."""


class PlanRunner:
    """Runs what is due."""

    def __init__(
        self, plans: Plans, resolver: Resolver, carrying_out: CarryingOut, rhythm: Rhythm
    ) -> None:
        self._plans = plans
        self._resolver = resolver
        self._carrying_out = carrying_out
        self._rhythm = rhythm

    async def run(self) -> None:
        """Run plans until cancelled."""
        await again_and_again(self.look, "plans", asyncio.Event(), self._rhythm)

    async def look(self) -> bool:
        """Run what is due now. There is never more to do at once."""
        claims = self._carrying_out.claims()
        if claims:
            due = await self._plans.due(claims, PER_SHARD_MAX)
            await each_by_itself(due, self._run, AT_ONCE_MAX)
        return False

    async def _run(self, due: DuePlan) -> None:
        plan = due.plan
        try:
            offer = await self._resolver.resolve(plan.wish, plan.slippage_basis_points)
        except DependencyDown:
            if not due.is_overdue:
                raise
            await self._skip(due, None)
            return
        if isinstance(offer, Refusal):
            is_passing = offer.reason is Refused.STALE_PRICE
            if due.is_overdue or not is_passing:
                await self._skip(due, None if is_passing else offer.reason)
            return
        came = await self._plans.run(due, offer)
        if isinstance(came, Held):
            metrics.RULE_RUNS.labels("plan", came.value).inc()
            if came is Held.PAUSED:
                self._carrying_out.ended_untold.set()
            return
        metrics.RULE_RUNS.labels("plan", "ordered").inc()
        self._carrying_out.start(due.claim, came)

    async def _skip(self, due: DuePlan, reason: Refused | None) -> None:
        if await self._plans.skip(due, reason):
            metrics.RULE_RUNS.labels("plan", "skipped").inc()
            self._carrying_out.ended_untold.set()
