"""Exact amounts for orders by rule: see `rule_ports.Resolver`.

Whether there is enough to spend is not asked beforehand: the hold tells, and what it refuses is an
order that ended, with a receipt.
"""

from decimal import Decimal

from kernel.money import round_up
from user_worker.domain.orders import Refusal, Refused, Side, Wish
from user_worker.domain.sizing import Question, Terms, assets_of, first_question, terms_of
from user_worker.ports import Pricing
from user_worker.trading_ports import Offer, Venue

SYMBOLS_ASKED_MAX = 5
"""How many symbols are asked about an amount, one after another, while there is no price of the
first: the venue's bounds are in its currency and the same for all."""
_BOUNDS = frozenset({Refused.TOO_SMALL, Refused.TOO_LARGE})


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

    async def spend_refused(self, spend: Decimal) -> Refusal | None:
        """Say why no purchase for so much is ever taken, whatever is bought; None: some may be."""
        instruments = sorted((await self._pricing.instruments()).items())
        for symbol, instrument in instruments[:SYMBOLS_ASKED_MAX]:
            currency, base = assets_of(Side.BUY, instrument)
            # Too little and too precise: the least there can be is what helps.
            asked = round_up(spend, currency.decimals)
            said = await self._venue.preview(
                Side.BUY, symbol, Question(spend=asked), currency, base
            )
            if isinstance(said, Refusal):
                if said.reason in _BOUNDS:
                    return said
            elif asked != spend:
                return Refusal(Refused.TOO_PRECISE, Decimal(currency.decimals), currency.symbol)
            else:
                return None
        return Refusal(Refused.STALE_PRICE)
