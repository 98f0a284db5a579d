"""Prices, candles and what is traded, as the conversation and the orders see them. No I/O."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from kernel.money import FRACTION_DIGITS_MAX, divide_down, exact


@dataclass(frozen=True, slots=True)
class Quote:
    """A price and how old it is."""

    symbol: str
    price: Decimal
    currency: str
    is_simulated: bool
    age_seconds: float
    """Since its source stated it, when this quote was read; never negative."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """Something that is traded."""

    symbol: str
    currency: str
    price_digits: int
    """Fractional digits its price is shown with."""
    base_asset_id: str
    """What the books call the symbol, for example "paper:BTC"."""
    base_decimals: int
    """Fractional digits of its smallest unit."""
    currency_asset_id: str
    currency_decimals: int


@dataclass(frozen=True, slots=True)
class Candle:
    """What a price did during an interval."""

    begins_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


@dataclass(frozen=True, slots=True)
class Candles:
    """Candles of one symbol, oldest first. Gaps stay gaps."""

    symbol: str
    currency: str
    interval_minutes: int
    is_simulated: bool
    candles: tuple[Candle, ...]


def ratio_of_change(now: Decimal, then: Decimal) -> Decimal:
    """Say by which part of itself a price changed: from 100 to 101 is 0.01. `then` is above 0."""
    with exact():
        difference = now - then
    return divide_down(difference, then, FRACTION_DIGITS_MAX)
