"""Resting orders and alerts in memory, for conversations: nobody watches, the tests say when."""

# ruff: noqa: D102 (user_worker.resting_ports says what each of these promises)

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from tests.unit.user_worker.fakes import NOW, Switch
from tests.unit.user_worker.fakes_orders import FakeTrading, draft_of, order_of

from kernel.sharding import Claim
from user_worker.domain.orders import DraftState, OrderState, Refusal, Refused, Wish
from user_worker.domain.resting import (
    ALERT_SECONDS,
    Alert,
    Condition,
    RestingOrder,
    RestingState,
)
from user_worker.resting_ports import NewAlert


@dataclass
class FakeResting(Switch):
    """Keeps what it is told; `trading` gets the orders of those that `trigger`."""

    trading: FakeTrading = field(default_factory=FakeTrading)
    refusal: Refusal | None = None
    waiting_max: int = 50
    orders: dict[UUID, RestingOrder] = field(default_factory=dict)
    of_jobs: dict[UUID, UUID] = field(default_factory=dict)
    set_alerts: dict[UUID, tuple[UUID, Alert]] = field(default_factory=dict)
    removed: set[UUID] = field(default_factory=set)
    told_of: list[tuple[UUID, UUID]] = field(default_factory=list)
    looked_again: list[Claim] = field(default_factory=list)

    async def propose(
        self,
        claim: Claim,
        job_id: UUID,
        user_id: UUID,
        wish: Wish,
        condition: Condition,
        slippage_basis_points: int,
    ) -> RestingOrder | Refusal:
        self.pass_or_raise()
        if self.refusal is not None:
            return self.refusal
        if job_id not in self.of_jobs:
            draft = draft_of(wish, user_id=user_id)
            self.trading.drafts[draft.draft_id] = draft
            self.orders[draft.draft_id] = RestingOrder(draft, condition, RestingState.OFFERED)
            self.of_jobs[job_id] = draft.draft_id
        return self._seen(self.of_jobs[job_id])

    async def place(
        self, claim: Claim, user_id: UUID, order_id: UUID, language: str
    ) -> RestingOrder | Refusal | None:
        self.pass_or_raise()
        found = await self.read(user_id, order_id)
        if found is None or not found.is_open:
            return found
        if len(await self.waiting(user_id)) >= self.waiting_max:
            return Refusal(Refused.TOO_MANY_RESTING, Decimal(self.waiting_max))
        until = NOW + timedelta(seconds=found.condition.lasts_seconds)
        self.trading.drafts[order_id] = replace(found.draft, state=DraftState.CONFIRMED)
        self.orders[order_id] = replace(
            found, state=RestingState.WAITING, placed_at=NOW, expires_at=until
        )
        return self._seen(order_id)

    async def cancel(self, claim: Claim, user_id: UUID, order_id: UUID) -> RestingOrder | None:
        self.pass_or_raise()
        found = await self.read(user_id, order_id)
        if found is not None and found.is_open:
            await self.trading.cancel(claim, user_id, order_id)
        elif found is not None and found.state is RestingState.WAITING:
            self.end(order_id, RestingState.CANCELLED)
        return await self.read(user_id, order_id)

    async def read(self, user_id: UUID, order_id: UUID) -> RestingOrder | None:
        if order_id not in self.orders or self.orders[order_id].draft.user_id != user_id:
            return None
        return self._seen(order_id)

    async def of_receipt(self, user_id: UUID, receipt: str) -> RestingOrder | None:
        found = (await self.read(user_id, order_id) for order_id in list(self.orders))
        return next(
            (one for one in [one async for one in found] if one and one.draft.receipt == receipt),
            None,
        )

    async def waiting(self, user_id: UUID) -> Sequence[RestingOrder]:
        self.pass_or_raise()
        mine = [await self.read(user_id, order_id) for order_id in self.orders]
        return [one for one in mine if one and one.state is RestingState.WAITING][::-1]

    async def tell_of(self, claim: Claim, user_id: UUID, order_id: UUID) -> None:
        self.pass_or_raise()
        self.told_of.append((user_id, order_id))

    def look_again(self, claim: Claim) -> None:
        self.looked_again.append(claim)

    async def set_alert(self, claim: Claim, user_id: UUID, new: NewAlert) -> Alert | Refusal:
        self.pass_or_raise()
        if self.refusal is not None:
            return self.refusal
        until = NOW + timedelta(seconds=ALERT_SECONDS)
        alert = Alert(new.alert_id, new.symbol, new.direction, new.price, until)
        return self.set_alerts.setdefault(new.alert_id, (user_id, alert))[1]

    async def remove_alert(self, claim: Claim, user_id: UUID, alert_id: UUID) -> bool:
        self.pass_or_raise()
        was_waiting = alert_id in {alert.alert_id for alert in await self.alerts(user_id)}
        self.removed.add(alert_id)
        return was_waiting

    async def alerts(self, user_id: UUID) -> Sequence[Alert]:
        self.pass_or_raise()
        return [
            alert
            for owner, alert in self.set_alerts.values()
            if owner == user_id and alert.alert_id not in self.removed
        ]

    def end(self, order_id: UUID, state: RestingState) -> None:
        """End what waits."""
        self.orders[order_id] = replace(self.orders[order_id], state=state, ended_at=NOW)

    def trigger(self, order_id: UUID, ends_as: OrderState = OrderState.SUBMITTED) -> None:
        """Make what waits an order."""
        self.end(order_id, RestingState.TRIGGERED)
        refused = Refused.INSUFFICIENT_FUNDS if ends_as is OrderState.REJECTED else None
        order = order_of(self._seen(order_id).draft, ends_as, refused)
        self.trading.confirmed[order_id] = order

    def _seen(self, order_id: UUID) -> RestingOrder:
        return replace(self.orders[order_id], draft=self.trading.drafts[order_id])
