"""Quotes as they travel: purser.pricing.v1.Quote and back. Used by the door and by the cache."""

from datetime import UTC

from kernel.malformed import Malformed
from kernel.money import format_amount, parse_amount
from pricing.domain import Quote, Source, is_symbol
from purser.pricing.v1 import pricing_pb2

_TO_WIRE = {
    Source.SIMULATED: pricing_pb2.QUOTE_SOURCE_SIMULATED,
    Source.EXCHANGES: pricing_pb2.QUOTE_SOURCE_EXCHANGES,
}
_FROM_WIRE = {number: source for source, number in _TO_WIRE.items()}


class MalformedQuote(Malformed):
    """A message that is no quote."""


def quote_to_message(quote: Quote) -> pricing_pb2.Quote:
    """Write a quote."""
    message = pricing_pb2.Quote(
        symbol=quote.symbol,
        currency=quote.currency,
        price=format_amount(quote.price),
        source=_TO_WIRE[quote.source],
    )
    message.stated_at.FromDatetime(quote.stated_at)
    return message


def quote_from_message(message: pricing_pb2.Quote) -> Quote:
    """Read a quote. Raises Malformed (a MalformedQuote or a MalformedAmount)."""
    price = parse_amount(message.price)
    source = _FROM_WIRE.get(message.source)
    if price <= 0 or source is None or not is_symbol(message.symbol):
        raise MalformedQuote("expected a symbol, a price above zero and a source")
    return Quote(
        symbol=message.symbol,
        currency=message.currency,
        price=price,
        stated_at=message.stated_at.ToDatetime(tzinfo=UTC),
        source=source,
    )
