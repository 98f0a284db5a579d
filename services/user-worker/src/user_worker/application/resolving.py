"""Exact amounts for orders by rule: see `rule_ports.Resolver`.

Whether there is enough to spend is not asked beforehand: the hold tells, and what it refuses is an
order that ended, with a receipt.
"""

from user_worker.domain.orders import Refusal, Refused, Wish
from user_worker.domain.sizing import Question, Terms, assets_of, first_question, terms_of
from user_worker.ports import Pricing
from user_worker.trading_ports import Offer, Venue


class VenueResolver:
    """The real rule_ports.Resolver."""

    def __init__(self, pricing: Pricing, venue: Venue) -> None:
        self._pricing = pricing
        self._venue = venue

    async def resolve(self, wish: Wish, slippage_basis_points: int) -> Offer | Refusal:
        """Resolve a wish by the venue's preview; whether there is enough, the hold will tell."""
        instrument = (await self._pricing.instruments()).get(wish.symbol)
        quote = None if instrument is None else await self._pricing.quote(wish.symbol)
        if instrument is None or quote is None:
            return Refusal(Refused.UNKNOWN_SYMBOL)
        question = first_question(wish, instrument, None)
        if isinstance(question, Refusal):
            return question
        assets = assets_of(wish.side, instrument)
        preview = await self._venue.preview(wish.side, wish.symbol, question, *assets)
        if isinstance(preview, Refusal):
            return preview
        match terms_of(wish, instrument, None, question, preview, slippage_basis_points):
            case Terms() as terms:
                return Offer(wish, terms, slippage_basis_points, quote.is_simulated)
            case Refusal() as refusal:
                return refusal
            case Question():
                raise AssertionError("nothing is known to be missing, so nothing else is asked")
