"""The paper venue's use cases: preview, submit, inquire, tombstone.

A submission is decided here, from the quote in memory, before the database is asked; the decision
is a proposal, and the database keeps the first one for an order id. So a replay, however the market
moved meanwhile, is answered with what was kept, and two that race (a submission and a tombstone, on
any two replicas) end with one outcome that both are told.

Proposals that arrive together share a transaction (group commit); each is answered for itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from chassis.micro_batch import MicroBatcher
from kernel.sharding import Claim
from pricing import metrics
from pricing.domain import Quote
from pricing.paper_venue.domain import (
    Fill,
    Instrument,
    Kept,
    Order,
    Outcome,
    Preview,
    Proposal,
    Refusal,
    Refused,
    Side,
    Size,
    State,
    Terms,
    paper_asset_id,
)
from pricing.paper_venue.errors import NoPrice
from pricing.paper_venue.execution import execute, preview


class Quotes(Protocol):
    """All that the venue sees of the quote side."""

    def latest(self, symbols: Sequence[str]) -> list[Quote]:
        """Give the latest quotes, however old, without the unknown symbols. Raises TryAgain."""
        ...


class OrderStore(Protocol):
    """Where outcomes are kept, each under the claim it was proposed with."""

    async def keep(self, proposals: Sequence[Proposal]) -> Sequence[Kept | Exception]:
        """Keep the first outcome of every order id; answer each proposal with what is kept.

        One transaction that holds the fence of each claim. A proposal is answered StaleClaim,
        ShardMismatch or AnotherOrder for itself, and has then written nothing. Raises TryAgain:
        the outcome is unknown.
        """
        ...

    async def find(self, order_id: UUID) -> Outcome | None:
        """Read what is kept for an order id. Raises TryAgain."""
        ...


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How proposals share transactions; each documented in the settings."""

    entries_max: int
    queue_max: int


class Venue:
    """What callers may ask of the venue."""

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        terms: Terms,
        quotes: Quotes,
        store: OrderStore,
        batches: BatchLimits,
        now: Callable[[], datetime],
    ) -> None:
        self.instruments = instruments
        self._terms = terms
        self._quotes = quotes
        self._store = store
        self._now = now
        self.batcher: MicroBatcher[Proposal, Kept] = MicroBatcher(
            store.keep, batches.entries_max, wait_milliseconds=0, queue_max=batches.queue_max
        )

    def preview(self, side: Side, symbol: str, size: Size) -> Preview:
        """Say what an order would do now. Raises TryAgain when no price can be had."""
        instrument = self.instruments.get(symbol)
        quote = self._quote(instrument)
        if instrument is None or quote is None:
            return Preview(Refused(Refusal.UNKNOWN_SYMBOL), None)
        result = preview(side, size, instrument, quote, self._terms, self._now())
        return Preview(result, quote)

    async def submit(self, claim: Claim, order: Order) -> Outcome:
        """Execute an order once, and give its first outcome.

        Raises StaleClaim, ShardMismatch, AnotherOrder, LimitReached (nothing was tried); TryAgain:
        ask again, or inquire.
        """
        outcome, quote = self._decide(order)
        proposal = Proposal(claim, order.order_id, outcome, order, quote)
        return await self._keep(proposal)

    async def inquire(self, order_id: UUID) -> Outcome | None:
        """Give an order's outcome; None when it was never seen. Raises TryAgain."""
        return await self._store.find(order_id)

    async def tombstone(self, claim: Claim, order_id: UUID) -> Outcome:
        """Give an order up unless it has an outcome; give the one it has then. Raises as submit."""
        return await self._keep(Proposal(claim, order_id, Outcome(State.TOMBSTONED)))

    async def _keep(self, proposal: Proposal) -> Outcome:
        kept = await self.batcher.submit(proposal)
        metrics.VENUE_ORDERS.labels(_word(kept)).inc()
        return kept.outcome

    def _decide(self, order: Order) -> tuple[Outcome, Quote | None]:
        instrument = self.instruments.get(order.symbol)
        quote = self._quote(instrument)
        if instrument is None or quote is None:
            return Outcome(State.REFUSED, refusal=Refusal.UNKNOWN_SYMBOL), None
        result = execute(order, instrument, quote, self._terms, self._now())
        if isinstance(result, Fill):
            return Outcome(State.FILLED, fill=result), quote
        return Outcome(State.REFUSED, refusal=result.reason), quote

    def _quote(self, instrument: Instrument | None) -> Quote | None:
        """Give the latest quote, None when the symbol has no price here. Raises TryAgain."""
        if instrument is None:
            return None
        quotes = self._quotes.latest([instrument.symbol])
        if not quotes:
            return None
        if paper_asset_id(quotes[0].currency) != instrument.currency.asset_id:
            raise NoPrice
        return quotes[0]


def _word(kept: Kept) -> str:
    """Name what happened, for the metric."""
    if not kept.is_first:
        return "repeated"
    return (kept.outcome.refusal or kept.outcome.state).value
