"""Trading over a ledger, a venue and orders in memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import UUID, uuid4

from tests.unit.user_worker.fakes import ANN, CLAIM, NOW, FakeLedger, FakePricing
from tests.unit.user_worker.fakes_orders import draft_of
from tests.unit.user_worker.fakes_trading import (
    Fault,
    MemoryVenue,
    market_of,
)

from kernel.sharding import Claim
from user_worker.application.carrying_out import CarryingOut, CarryingPace
from user_worker.application.recurring import Rhythm
from user_worker.application.trading import Stores, Trading
from user_worker.domain.carrying_out import VenueSaid
from user_worker.domain.orders import (
    Draft,
    DraftState,
    Money,
    Order,
    Side,
    Wish,
)
from user_worker.domain.pauses import Pauses
from user_worker.trading_ports import Offer

SOON = Pauses(0.001, 0.002)
RHYTHM = Rhythm(60.0, SOON, SOON)
WISH = Wish(Side.BUY, "BTC", Money(Decimal(100)))


@dataclass
class MemoryDrafts:
    """Drafts by job."""

    kept: dict[UUID, Draft] = field(default_factory=dict)

    async def of_job(self, user_id: UUID, job_id: UUID) -> Draft | None:
        """Read the draft a job made."""
        return self.kept.get(job_id)

    async def keep(self, claim: Claim, job_id: UUID, user_id: UUID, offer: Offer) -> Draft:
        """Keep the job's draft."""
        terms = offer.terms
        draft = Draft(
            uuid4(),
            user_id,
            offer.wish,
            terms.spend,
            terms.receive,
            terms.fee,
            terms.receive_min,
            terms.receive_max,
            terms.price,
            offer.slippage_basis_points,
            offer.is_simulated,
            NOW,
            NOW,
        )
        return self.kept.setdefault(job_id, draft)

    async def cancel(self, claim: Claim, user_id: UUID, draft_id: UUID) -> Draft | None:
        """Nobody cancels here."""
        raise NotImplementedError

    async def cancel_open(self, claim: Claim, user_id: UUID) -> int:
        """Nobody cancels here."""
        raise NotImplementedError

    async def read(self, user_id: UUID, draft_id: UUID) -> Draft | None:
        """Read a draft."""
        raise NotImplementedError


@dataclass
class HeldUpVenue(MemoryVenue):
    """A venue that answers a submission when its gate is open."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    submissions: int = 0

    async def submit(self, claim: Claim, order: Order) -> VenueSaid:
        """Wait, then execute."""
        self.submissions += 1
        await self.gate.wait()
        return await super().submit(claim, order)


class House:
    """Trading wired as in main, on a market in memory."""

    def __init__(
        self,
        faults: Sequence[Fault | None] = (),
        *,
        wait_seconds: float = 5.0,
        pauses: Pauses = SOON,
        troubles: Pauses = SOON,
    ) -> None:
        self.market = market_of(faults)
        self.venue = HeldUpVenue(self.market.way)
        self.venue.gate.set()
        self.ledger, self.pricing, self.drafts = FakeLedger(), FakePricing(), MemoryDrafts()
        self.lost: list[Claim] = []
        self.carrying_out = CarryingOut(
            self.market.orders, self.market.books, self.venue, CarryingPace(4, pauses, troubles)
        )
        self.carrying_out.begin(CLAIM, lambda: self.lost.append(CLAIM))
        self.trading = Trading(
            Stores(self.drafts, self.market.orders),
            self.ledger,
            self.pricing,
            self.venue,
            self.carrying_out,
            wait_seconds,
        )

    def offer(self, *, state: DraftState = DraftState.OPEN) -> Draft:
        """Keep a draft of Ann's."""
        draft = replace(draft_of(WISH), state=state)
        self.market.orders.drafts[draft.draft_id] = draft
        return draft

    def row(self, draft: Draft) -> Order:
        """The order a draft became, as recorded."""
        return self.market.orders.rows[draft.draft_id].order

    async def confirm(self, draft: Draft) -> Order:
        """Confirm a draft of Ann's and expect an order."""
        order = await self.trading.confirm(CLAIM, ANN, draft.draft_id, "en")
        assert isinstance(order, Order)
        return order
