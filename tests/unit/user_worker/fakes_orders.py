"""Trading as a conversation sees it, in memory, with drafts and orders at hand."""

# ruff: noqa: D102 (user_worker.ports says what each of these promises)

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from tests.unit.user_worker.fakes import ANN, NOW, Switch, numbers

from kernel.sharding import Claim
from user_worker.domain.orders import (
    Coins,
    Draft,
    DraftState,
    Order,
    OrderState,
    Refusal,
    Refused,
    Side,
    Units,
    Wish,
)


@dataclass
class FakeTrading(Switch):
    """Offers at a price of 100,000 with a fee of 0.1 %, and does what it is told with an order."""

    refusal: Refusal | None = None
    ends_as: OrderState = OrderState.FILLED
    refused: Refused | None = None
    drafts: dict[UUID, Draft] = field(default_factory=dict)
    drafts_of_jobs: dict[UUID, UUID] = field(default_factory=dict)
    confirmed: dict[UUID, Order] = field(default_factory=dict)
    slippages: list[int] = field(default_factory=list)
    told_of: list[tuple[UUID, UUID]] = field(default_factory=list)

    async def propose(
        self, claim: Claim, job_id: UUID, user_id: UUID, wish: Wish, slippage_basis_points: int
    ) -> Draft | Refusal:
        self.pass_or_raise()
        self.slippages.append(slippage_basis_points)
        if self.refusal is not None:
            return self.refusal
        if job_id not in self.drafts_of_jobs:
            draft = draft_of(wish, user_id=user_id)
            self.drafts[draft.draft_id] = draft
            self.drafts_of_jobs[job_id] = draft.draft_id
        return self.drafts[self.drafts_of_jobs[job_id]]

    async def confirm(
        self, claim: Claim, user_id: UUID, draft_id: UUID, language: str = ""
    ) -> Order | Draft | None:
        self.pass_or_raise()
        draft = await self.draft(user_id, draft_id)
        if draft is None:
            return None
        if draft.state is DraftState.OPEN:
            draft = replace(draft, state=DraftState.CONFIRMED)
            self.drafts[draft_id] = draft
            self.confirmed[draft_id] = order_of(draft, self.ends_as, self.refused)
        return self.confirmed.get(draft_id, draft)

    async def tell_of(self, claim: Claim, user_id: UUID, draft_id: UUID) -> None:
        self.pass_or_raise()
        self.told_of.append((user_id, draft_id))

    async def cancel(self, claim: Claim, user_id: UUID, draft_id: UUID) -> Draft | None:
        draft = await self.draft(user_id, draft_id)
        if draft is not None and draft.state is DraftState.OPEN:
            draft = self.drafts[draft_id] = replace(draft, state=DraftState.CANCELLED)
        return draft

    async def cancel_open(self, claim: Claim, user_id: UUID) -> int:
        is_open = [d for d in self.drafts.values() if d.state is DraftState.OPEN]
        for draft in is_open:
            await self.cancel(claim, user_id, draft.draft_id)
        return len(is_open)

    async def draft(self, user_id: UUID, draft_id: UUID) -> Draft | None:
        draft = self.drafts.get(draft_id)
        return draft if draft is not None and draft.user_id == user_id else None

    async def order(self, user_id: UUID, receipt: str) -> Order | None:
        return next((o for o in await self.orders(user_id, 99) if o.draft.receipt == receipt), None)

    async def orders(self, user_id: UUID, count_max: int) -> Sequence[Order]:
        mine = [o for o in self.confirmed.values() if o.draft.user_id == user_id]
        return mine[::-1][:count_max]

    def expire(self) -> None:
        for draft_id, draft in self.drafts.items():
            if draft.state is DraftState.OPEN:
                self.drafts[draft_id] = replace(draft, state=DraftState.EXPIRED)


def draft_of(wish: Wish, *, user_id: UUID = ANN) -> Draft:
    """Make a draft that spends 100 USDT, or 0.001 of what is sold."""
    base, currency = f"paper:{wish.symbol}", "paper:USDT"
    if wish.side is Side.BUY:
        spend = Coins(currency, "USDT", Decimal(100))
        receive = Coins(base, wish.symbol, Decimal("0.001"))
        fee = Coins(base, wish.symbol, Decimal("0.000001"))
        least = Decimal("0.00099")
    else:
        spend = Coins(base, wish.symbol, Decimal("0.001"))
        receive = Coins(currency, "USDT", Decimal(100))
        fee = Coins(currency, "USDT", Decimal("0.1"))
        least = Decimal(99)
    is_exact = wish.side is Side.BUY and isinstance(wish.size, Units)
    return Draft(
        draft_id=UUID(int=(7 << 76) | next(numbers) << 20 | 0xABCDE),
        user_id=user_id,
        wish=wish,
        spend=spend,
        receive=receive,
        fee=fee,
        receive_min=least,
        receive_max=receive.value if is_exact else None,
        price=Decimal(100_000),
        slippage_basis_points=100,
        is_simulated=True,
        made_at=NOW,
        expires_at=NOW + timedelta(seconds=120),
    )


def order_of(draft: Draft, state: OrderState, refused: Refused | None = None) -> Order:
    """Make the order of a draft as it stands in a state."""
    is_executed = state in (OrderState.EXECUTED, OrderState.FILLED)
    return Order(
        draft=draft,
        state=state,
        accepted_at=NOW,
        submit_before=NOW + timedelta(seconds=60),
        spent=draft.spend.value if is_executed else None,
        received=draft.receive.value if is_executed else None,
        fee=draft.fee.value if is_executed else None,
        refused=refused,
        ended_at=NOW if state.is_final else None,
    )
