"""Quotes and candles as they travel, purser.pricing.v1, and quotes back. Used by the door and by
the cache.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from kernel.malformed import Malformed
from kernel.money import format_amount, parse_amount
from pricing.domain import Quote, Source, Span, Traded, is_symbol
from purser.pricing.v1 import pricing_pb2

_TO_WIRE = {
    Source.SIMULATED: pricing_pb2.QUOTE_SOURCE_SIMULATED,
    Source.EXCHANGES: pricing_pb2.QUOTE_SOURCE_EXCHANGES,
}
_FROM_WIRE = {number: source for source, number in _TO_WIRE.items()}


class MalformedQuote(Malformed):
    """A message that is no quote."""


class MalformedTime(Malformed):
    """A time nobody can have meant."""


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
    """Read a quote. Raises Malformed (a MalformedQuote, a MalformedAmount or a MalformedTime)."""
    price = parse_amount(message.price)
    source = _FROM_WIRE.get(message.source)
    if price <= 0 or source is None or not is_symbol(message.symbol):
        raise MalformedQuote("expected a symbol, a price above zero and a source")
    return Quote(
        symbol=message.symbol,
        currency=message.currency,
        price=price,
        stated_at=time_of(message.stated_at),
        source=source,
    )


def instrument_to_message(traded: Traded) -> pricing_pb2.Instrument:
    """Write what has a price."""
    return pricing_pb2.Instrument(
        symbol=traded.symbol, currency=traded.currency, price_digits=traded.price_digits
    )


def candles_to_message(traded: Traded, candles: Sequence[Span]) -> pricing_pb2.GetCandlesResponse:
    """Write candles."""
    response = pricing_pb2.GetCandlesResponse(
        currency=traded.currency, source=_TO_WIRE[traded.source]
    )
    for candle in candles:
        message = response.candles.add(
            open=format_amount(candle.open),
            high=format_amount(candle.high),
            low=format_amount(candle.low),
            close=format_amount(candle.close),
        )
        message.begins_at.FromDatetime(candle.begins_at)
    return response


def time_of(message: Timestamp) -> datetime:
    """Read a time. Raises MalformedTime outside the years 1 to 9999."""
    try:
        return message.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise MalformedTime("expected a time of the years 1 to 9999") from error
