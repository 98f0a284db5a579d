"""Freezes in memory, as `user_worker.postgres.freezes` keeps them, and the worker's port in front.
What a freeze refuses stands where it is refused.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from tests.simulation.copies import CopyTables
from tests.simulation.network import Network
from tests.simulation.plans import PlanTables
from tests.simulation.seeding import at
from tests.simulation.trading_adapters import Port
from tests.simulation.trading_rows import FreezeRow

from kernel.sharding import Claim
from user_worker.domain.freezing import Frozen, Stopped
from user_worker.domain.orders import OrderState
from user_worker.domain.resting import RestingState
from user_worker.domain.rules import CopyState, PlanState

_NOT_SENT = (OrderState.ACCEPTED, OrderState.HELD)
_AT_THE_VENUE = (OrderState.SUBMITTED, OrderState.EXECUTED)


@dataclass
class FreezeTables:
    """worker.freezes, whose rows stand in `trading.frozen`."""

    plans: PlanTables
    copies: CopyTables
    froze: Callable[[UUID], None] = lambda _: None
    """Called with a user whose trading was just frozen."""
    thawed: Callable[[UUID, UUID], None] = lambda *_: None
    """Called with a user who may trade again, and the freeze that is over."""

    def __post_init__(self) -> None:
        self.trading = self.plans.trading

    def freeze(self, claim: Claim, job_id: UUID, user_id: UUID) -> Frozen:
        """Stop all of a user's trading; the same job again gives the same answer."""
        trading = self.trading
        trading.placement.fence(claim)
        row = trading.frozen.get(user_id)
        if row is not None and row.job_id == job_id:
            return Frozen(at(row.frozen_at), row.stopped)
        stopped = self.sweep(claim, user_id)
        frozen_at = trading.now() if row is None else row.frozen_at
        trading.frozen[user_id] = FreezeRow(job_id, claim.key, stopped, frozen_at)
        self.froze(user_id)
        return Frozen(at(frozen_at), stopped)

    def frozen_since(self, user_id: UUID) -> datetime | None:
        """Since when a user's trading is frozen, if it is."""
        row = self.trading.frozen.get(user_id)
        return None if row is None else at(row.frozen_at)

    def standing(self, user_id: UUID) -> UUID | None:
        """The freeze that stands."""
        row = self.trading.frozen.get(user_id)
        return None if row is None else row.job_id

    def thaw(self, claim: Claim, user_id: UUID, freeze_id: UUID) -> bool:
        """End a freeze, unless another one stands by now; says whether the user may trade."""
        self.trading.placement.fence(claim)
        row = self.trading.frozen.get(user_id)
        if row is not None and (row.key, row.job_id) == (claim.key, freeze_id):
            del self.trading.frozen[user_id]
            self.thawed(user_id, freeze_id)
        return user_id not in self.trading.frozen

    def sweep(self, claim: Claim, user_id: UUID) -> Stopped:
        """Stop what is to be stopped."""
        counts = Counter[str]()
        self._cancel_plans(claim, user_id, counts)
        self._end_copies(claim, user_id, counts)
        self.cancel_resting(claim, user_id, counts)
        counts["offers"] += self.trading.cancel_open_drafts(claim, user_id)
        self._give_up(claim, user_id, counts)
        return Stopped(**counts)

    def _cancel_plans(self, claim: Claim, user_id: UUID, counts: Counter[str]) -> None:
        for row in self.plans.rows.values():
            if row.plan.user_id != user_id or row.key != claim.key:
                continue
            if row.plan.state in (PlanState.ACTIVE, PlanState.PAUSED):
                counts["plans"] += 1
            elif self.plans.as_it_stands(row).state is PlanState.OFFERED:
                counts["offers"] += 1
            else:
                continue
            self.plans.change(row, PlanState.CANCELLED)

    def _end_copies(self, claim: Claim, user_id: UUID, counts: Counter[str]) -> None:
        for row in self.copies.rows.values():
            if row.copy.user_id != user_id or row.key != claim.key:
                continue
            if row.copy.state is CopyState.ACTIVE:
                counts["copies"] += 1
            elif self.copies.as_it_stands(row).state is CopyState.OFFERED:
                counts["offers"] += 1
            else:
                continue
            self.copies.change(row, CopyState.ENDED)

    def cancel_resting(self, claim: Claim, user_id: UUID, counts: Counter[str]) -> None:
        """Cancel what waits for a price."""
        for row in self.trading.resting.values():
            is_mine = row.user_id == user_id and row.key == claim.key
            if is_mine and row.state is RestingState.WAITING:
                row.state, row.ended_at = RestingState.CANCELLED, self.trading.now()
                counts["resting"] += 1

    def _give_up(self, claim: Claim, user_id: UUID, counts: Counter[str]) -> None:
        now = self.trading.now()
        for row in self.trading.under_way.values():
            if row.order.draft.user_id != user_id or row.key != claim.key:
                continue
            if row.order.state in _AT_THE_VENUE:
                counts["submitted"] += 1
            elif row.order.state in _NOT_SENT and not row.order.is_frozen:
                counts["orders"] += 1
                row.submit_before = min(row.submit_before, now)
                row.order = replace(row.order, is_frozen=True, submit_before=at(row.submit_before))


class SimulatedFreezes(Port):
    """rule_ports.Freezes"""

    def __init__(self, network: Network, freezes: FreezeTables) -> None:
        super().__init__(network, freezes.trading)
        self._freezes = freezes

    async def freeze(self, claim: Claim, job_id: UUID, user_id: UUID) -> Frozen:
        """See rule_ports."""
        return await self._call(
            f"record freeze of {user_id} under {claim}",
            lambda: self._freezes.freeze(claim, job_id, user_id),
        )

    async def frozen_since(self, user_id: UUID) -> datetime | None:
        """See rule_ports."""
        return await self._call("frozen", lambda: self._freezes.frozen_since(user_id))

    async def standing(self, user_id: UUID) -> UUID | None:
        """See rule_ports."""
        return await self._call("frozen", lambda: self._freezes.standing(user_id))

    async def thaw(self, claim: Claim, user_id: UUID, freeze_id: UUID) -> bool:
        """See rule_ports."""
        return await self._call(
            f"record thaw of {user_id} under {claim}",
            lambda: self._freezes.thaw(claim, user_id, freeze_id),
        )
