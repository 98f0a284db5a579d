"""Drafts and orders for the conversation: see `ports.Trading`.

Nothing about money is remembered here: balances, previews and orders are read anew for every job.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from kernel.sharding import Claim
from user_worker.application.carrying_out import CarryingOut
from user_worker.domain.market import Instrument
from user_worker.domain.orders import Draft, Order, Refusal, Refused, Wish
from user_worker.domain.sizing import (
    Question,
    Terms,
    assets_of,
    first_question,
    terms_of,
)
from user_worker.ports import Pricing
from user_worker.trading_ports import Accounts, Drafts, Offer, Orders, Seen, Venue

HINDERED_SECONDS = 1.0
"""How long to go on waiting for an order somebody did not answer for. Short: a waiting job keeps
others from their turn, and most restarts are over by then."""
PREVIEWS_MAX = 2
"""Of one wish: the second when all of a holding is to be sold after all."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Where drafts and orders are kept."""

    drafts: Drafts
    orders: Orders


class Trading:
    """The real ports.Trading."""

    def __init__(
        self,
        stores: Stores,
        accounts: Accounts,
        pricing: Pricing,
        venue: Venue,
        carrying_out: CarryingOut,
        wait_seconds: float,
    ) -> None:
        self._stores = stores
        self._accounts = accounts
        self._pricing = pricing
        self._venue = venue
        self._carrying_out = carrying_out
        self._wait_seconds = wait_seconds

    async def propose(
        self, claim: Claim, job_id: UUID, user_id: UUID, wish: Wish, slippage_basis_points: int
    ) -> Draft | Refusal:
        """Resolve a wish into a draft; the same job again gives the same draft."""
        before = await self._stores.drafts.of_job(user_id, job_id)
        if before is not None:
            return before
        instrument = (await self._pricing.instruments()).get(wish.symbol)
        quote = None if instrument is None else await self._pricing.quote(wish.symbol)
        if instrument is None or quote is None:
            return Refusal(Refused.UNKNOWN_SYMBOL)
        terms = await self._resolve(claim, user_id, wish, instrument, slippage_basis_points)
        if isinstance(terms, Refusal):
            return terms
        offer = Offer(wish, terms, slippage_basis_points, quote.is_simulated)
        return await self._stores.drafts.keep(claim, job_id, user_id, offer)

    async def confirm(
        self, claim: Claim, user_id: UUID, draft_id: UUID, language: str = ""
    ) -> Order | Draft | None:
        """Turn a draft into an order and carry it out, waiting a few seconds for its end."""
        orders = self._stores.orders
        with self._carrying_out.waited_for(draft_id):
            accepted = await orders.accept(claim, user_id, draft_id, language)
            if not isinstance(accepted, Seen):
                return accepted
            order = await self._ended_in_time(claim, accepted)
            if order.state.is_final:
                return order
            return (await orders.tell_later(claim, draft_id)).order

    async def tell_of(self, claim: Claim, user_id: UUID, draft_id: UUID) -> None:
        """Have the end of the order a draft became told by a notice."""
        await self._stores.orders.tell_of(claim, user_id, draft_id)
        self._carrying_out.ended_untold.set()

    async def cancel(self, claim: Claim, user_id: UUID, draft_id: UUID) -> Draft | None:
        """Withdraw a draft; gives it as it then stands (CONFIRMED: too late)."""
        return await self._stores.drafts.cancel(claim, user_id, draft_id)

    async def cancel_open(self, claim: Claim, user_id: UUID) -> int:
        """Withdraw all open drafts of a user; gives how many there were."""
        return await self._stores.drafts.cancel_open(claim, user_id)

    async def draft(self, user_id: UUID, draft_id: UUID) -> Draft | None:
        """Read a user's draft, whatever became of it."""
        return await self._stores.drafts.read(user_id, draft_id)

    async def order(self, user_id: UUID, receipt: str) -> Order | None:
        """Read a user's order by its receipt id."""
        return await self._stores.orders.of_receipt(user_id, receipt)

    async def orders(self, user_id: UUID, count_max: int) -> Sequence[Order]:
        """Read a user's newest orders, newest first, the rejected ones included."""
        return await self._stores.orders.newest(user_id, count_max)

    async def _resolve(
        self, claim: Claim, user_id: UUID, wish: Wish, instrument: Instrument, slippage: int
    ) -> Terms | Refusal:
        spent, received = assets_of(wish.side, instrument)
        # Opens the accounts of somebody who never said /start, too.
        (balance,) = await self._accounts.ensure_accounts(claim, user_id, [spent.asset_id])
        question = first_question(wish, instrument, balance.available)
        for _ in range(PREVIEWS_MAX):
            if isinstance(question, Refusal):
                return question
            preview = await self._venue.preview(wish.side, wish.symbol, question, spent, received)
            if isinstance(preview, Refusal):
                return preview
            resolved = terms_of(wish, instrument, balance.available, question, preview, slippage)
            if not isinstance(resolved, Question):
                return resolved
            question = resolved
        raise AssertionError("unreachable")

    async def _ended_in_time(self, claim: Claim, accepted: Seen) -> Order:
        """Give the order at its end, or as last seen when that takes too long. Raises ClaimLost."""
        carried = self._carrying_out.start(claim, accepted)
        if carried is None:
            return accepted.order
        # Waiting for an event, not for the task itself: it is not cancelled with this job.
        hindered = asyncio.create_task(carried.hindered.wait())
        try:
            await asyncio.wait(
                {carried.task, hindered},
                timeout=self._wait_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            hindered.cancel()
        if carried.hindered.is_set():
            await asyncio.wait({carried.task}, timeout=min(HINDERED_SECONDS, self._wait_seconds))
        if not carried.task.done() or carried.task.cancelled():
            return accepted.order
        return carried.task.result()
