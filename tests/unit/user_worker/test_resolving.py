"""Whether any purchase for so much can be made, by the venue's word."""

from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from tests.unit.user_worker.fakes import FakePricing, instrument_of

from user_worker.application.resolving import SYMBOLS_ASKED_MAX, VenueResolver
from user_worker.domain.orders import Refusal, Refused, Side
from user_worker.domain.sizing import Asset, Preview, Question

LEAST, MOST = Decimal(1), Decimal(1_000_000)
DUST = Decimal("0.0000001")
"""A digit more than the currency has."""


@dataclass
class BoundVenue:
    """Takes purchases between two bounds, of symbols that have a price."""

    stale: set[str] = field(default_factory=set)
    asked: list[tuple[str, Decimal | None]] = field(default_factory=list)

    async def preview(
        self, side: Side, symbol: str, question: Question, spent: Asset, received: Asset
    ) -> Preview | Refusal:
        """Answer."""
        assert (Side.BUY, "USDT", symbol) == (side, spent.symbol, received.symbol)
        spend = question.spend
        assert spend is not None
        assert spent.rounded_down(spend) == spend > 0
        self.asked.append((symbol, spend))
        if symbol in self.stale:
            return Refusal(Refused.STALE_PRICE)
        if spend < LEAST:
            return Refusal(Refused.TOO_SMALL, LEAST, "USDT")
        if spend > MOST:
            return Refusal(Refused.TOO_LARGE, MOST, "USDT")
        return Preview(spend, spend / 100, spend / 10_000, Decimal(100))


def resolver_of(venue: BoundVenue, *symbols: str) -> VenueResolver:
    """The resolver, over symbols that are traded."""
    pricing = FakePricing(traded={symbol: instrument_of(symbol) for symbol in symbols})
    return VenueResolver(pricing, venue)  # type: ignore[arg-type]  # it previews alone


@pytest.mark.parametrize(
    ("spend", "refusal"),
    [
        (Decimal(1), None),
        (Decimal("50.5"), None),
        (MOST, None),
        (DUST, Refusal(Refused.TOO_SMALL, LEAST, "USDT")),
        (Decimal("0.5"), Refusal(Refused.TOO_SMALL, LEAST, "USDT")),
        (MOST * 2, Refusal(Refused.TOO_LARGE, MOST, "USDT")),
        (50 + DUST, Refusal(Refused.TOO_PRECISE, Decimal(6), "USDT")),
    ],
)
async def test_an_amount_is_refused_that_no_purchase_can_be_made_for(
    spend: Decimal, refusal: Refusal | None
) -> None:
    """With the bound that was met: what is too little is not called too precise."""
    assert refusal == await resolver_of(BoundVenue(), "BTC").spend_refused(spend)


async def test_a_symbol_without_a_price_says_nothing_of_an_amount() -> None:
    """The next is asked, a bounded number of them."""
    venue = BoundVenue(stale={"ADA", "BTC"})
    assert None is await resolver_of(venue, "ETH", "BTC", "ADA").spend_refused(Decimal(50))
    assert ["ADA", "BTC", "ETH"] == [symbol for symbol, _ in venue.asked]

    symbols = [f"S{number}" for number in range(SYMBOLS_ASKED_MAX + 3)]
    venue = BoundVenue(stale=set(symbols))
    said = await resolver_of(venue, *symbols).spend_refused(Decimal(50))
    assert Refusal(Refused.STALE_PRICE) == said
    assert SYMBOLS_ASKED_MAX == len(venue.asked)
