"""Quotes, the symbols they are for, and minute candles made of them. No I/O.

A price is the money of one unit: a Decimal above zero with at most 18 digits after the point,
rounded once, where it is stated (`round_price`).
"""

import decimal
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from chassis.errors import MalformedRequest

SYMBOLS_PER_CALL_MAX = 200
"""The contract's limit."""
SYMBOL_CHARACTERS_MAX = 16
INTERVALS_MINUTES = (1, 5, 15, 60, 240, 1440)
"""The contract's lengths of a candle."""
CANDLES_PER_CALL_MAX = 500
"""The contract's limit."""
CANDLE_MINUTES_PER_CALL_MAX = 30 * 1440
"""How far back one call looks, in minutes: 30 candles of a day. It reads as many rows at most."""

_SYMBOL = re.compile(rf"[A-Z0-9]{{1,{SYMBOL_CHARACTERS_MAX}}}")
_EXPECTED_SYMBOL = f"expected a symbol like BTC: 1 to {SYMBOL_CHARACTERS_MAX} of A-Z and 0-9"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROUNDING = decimal.Context(prec=60, rounding=decimal.ROUND_HALF_EVEN)


class Source(StrEnum):
    """Where a quote comes from; the words of `pricing.candles`."""

    SIMULATED = "simulated"
    EXCHANGES = "exchanges"


@dataclass(frozen=True, slots=True)
class Quote:
    """What one unit of `symbol` costs in `currency`, as its source stated it at `stated_at`."""

    symbol: str
    currency: str
    price: Decimal
    stated_at: datetime
    source: Source


@dataclass(frozen=True, slots=True)
class Traded:
    """Something that has a price here."""

    symbol: str
    currency: str
    price_digits: int
    """Digits after the point that its price is usually shown with."""
    source: Source


@dataclass(frozen=True, slots=True)
class Candle:
    """The prices of one minute: the first, the highest, the lowest and the last."""

    symbol: str
    currency: str
    source: Source
    minute: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


@dataclass(frozen=True, slots=True)
class Span:
    """The prices of an interval of some minutes."""

    begins_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


def is_symbol(text: str) -> bool:
    """Say whether a symbol may be written so: 1 to 16 of A-Z and 0-9."""
    return _SYMBOL.fullmatch(text) is not None


def check_symbol(text: str) -> str:
    """Return the symbol of a request. Raises MalformedRequest."""
    if not is_symbol(text):
        raise MalformedRequest("symbol", _EXPECTED_SYMBOL)
    return text


def check_interval(minutes: int) -> timedelta:
    """Return the length of a candle of a request. Raises MalformedRequest."""
    if minutes not in INTERVALS_MINUTES:
        choices = ", ".join(map(str, INTERVALS_MINUTES))
        raise MalformedRequest("interval_minutes", f"expected one of {choices}")
    return timedelta(minutes=minutes)


def check_count(count: int) -> int:
    """Return how many candles a request may be answered with. Raises MalformedRequest."""
    if not 1 <= count <= CANDLES_PER_CALL_MAX:
        raise MalformedRequest("count_max", f"expected 1 to {CANDLES_PER_CALL_MAX}")
    return count


def beginning(at: datetime, interval: timedelta) -> datetime:
    """Find when the interval that `at` lies in begins: a whole multiple of it since 1970 in UTC."""
    return at - (at - _EPOCH) % interval


def check_symbols(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the symbols of a request, in its order. Raises MalformedRequest naming the field."""
    if not 1 <= len(texts) <= SYMBOLS_PER_CALL_MAX:
        raise MalformedRequest(
            "symbols", f"expected 1 to {SYMBOLS_PER_CALL_MAX} symbols, got {len(texts)}"
        )
    for place, text in enumerate(texts):
        if not is_symbol(text):
            raise MalformedRequest(f"symbols[{place}]", _EXPECTED_SYMBOL)
    return tuple(texts)


def round_price(value: Decimal, digits: int) -> Decimal:
    """Round to the nearest price of `digits` after the point, a tie to the even one.

    To the nearest, because a quote favours neither buyer nor seller; to even, so that many
    roundings do not drift. A price is never rounded to nothing: the least is one unit of the last
    digit.
    """
    least = Decimal((0, (1,), -digits))
    return max(value.quantize(least, context=_ROUNDING), least)


class Candles:
    """Collects quotes into minute candles.

    A minute is finished when a quote of a later minute arrives. The first minute seen of a symbol
    is not given out: it may have begun before its first quote, and a candle once kept never
    changes.
    """

    def __init__(self) -> None:
        self._open: dict[str, Candle] = {}
        self._whole: set[str] = set()

    def under_way(self, symbol: str) -> Candle | None:
        """Give the minute that is not finished, as far as it was seen."""
        return self._open.get(symbol)

    def add(self, quotes: Iterable[Quote]) -> list[Candle]:
        """Take the quotes in; return the candles that they finish."""
        finished = []
        for quote in quotes:
            minute = quote.stated_at.astimezone(UTC).replace(second=0, microsecond=0)
            candle = self._open.get(quote.symbol)
            if candle is None or candle.minute < minute or candle.source is not quote.source:
                if candle is not None and quote.symbol in self._whole:
                    finished.append(candle)
                if candle is not None and candle.source is quote.source:
                    self._whole.add(quote.symbol)
                else:
                    self._whole.discard(quote.symbol)
                self._open[quote.symbol] = _first(quote, minute)
            elif candle.minute == minute:
                self._open[quote.symbol] = _extended(candle, quote.price)
        return finished


def spans(
    kept: Sequence[Span], later: Iterable[Candle], interval: timedelta, count_max: int
) -> list[Span]:
    """Add later minutes to the intervals that are kept; the newest `count_max`, oldest first.

    `later` is in order. A minute that the kept ones already hold changes nothing but what it would
    add: high, low and close of the same minute are the same or what came after.
    """
    found = {span.begins_at: span for span in kept}
    for candle in later:
        begins_at = beginning(candle.minute, interval)
        span = found.get(begins_at)
        found[begins_at] = (
            Span(begins_at, candle.open, candle.high, candle.low, candle.close)
            if span is None
            else Span(
                begins_at,
                span.open,
                max(span.high, candle.high),
                min(span.low, candle.low),
                candle.close,
            )
        )
    return [found[begins_at] for begins_at in sorted(found)][-count_max:]


def _first(quote: Quote, minute: datetime) -> Candle:
    price = quote.price
    return Candle(quote.symbol, quote.currency, quote.source, minute, price, price, price, price)


def _extended(candle: Candle, price: Decimal) -> Candle:
    return replace(candle, high=max(candle.high, price), low=min(candle.low, price), close=price)
