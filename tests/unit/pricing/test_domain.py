"""Symbols, rounding of prices, minute candles."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import MalformedRequest
from pricing.domain import (
    SYMBOLS_PER_CALL_MAX,
    Candle,
    Candles,
    Quote,
    Source,
    check_symbols,
    round_price,
)

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def quote(price: str, seconds: float, symbol: str = "BTC") -> Quote:
    """A quote so many seconds after noon."""
    stated_at = NOON + timedelta(seconds=seconds)
    return Quote(symbol, "USDT", Decimal(price), stated_at, Source.SIMULATED)


def candle(minute: int, *prices: str) -> Candle:
    """A candle so many minutes after noon: open, high, low, close."""
    at = NOON + timedelta(minutes=minute)
    first, high, low, last = map(Decimal, prices)
    return Candle("BTC", "USDT", Source.SIMULATED, at, first, high, low, last)


@pytest.mark.parametrize(
    "hostile",
    ["", "btc", "BTC/USDT", "A" * 17, "\u202eCTB", "\u0412\u0422\u0421", "BTC\0", "BTC\n", " BTC"],
)
def test_a_malformed_symbol_is_named_by_its_place(hostile: str) -> None:
    """Lookalikes (Cyrillic letters), marks and lengths alike; the text itself is not repeated."""
    with pytest.raises(MalformedRequest) as refusal:
        check_symbols(["ETH", hostile])

    assert str(refusal.value) == ("symbols[1]: expected a symbol like BTC: 1 to 16 of A-Z and 0-9")


@pytest.mark.parametrize("count", [0, SYMBOLS_PER_CALL_MAX + 1])
def test_too_few_or_too_many_symbols_are_refused(count: int) -> None:
    """The contract's 1 to 200."""
    with pytest.raises(MalformedRequest, match=rf"^symbols: .* got {count}$"):
        check_symbols(["BTC"] * count)


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        ("1.005", 2, "1.00"),
        ("1.015", 2, "1.02"),
        ("1.0151", 2, "1.02"),
        ("0.0000001", 2, "0.01"),
        ("12345678901.000000000000000001", 18, "12345678901.000000000000000001"),
    ],
)
def test_prices_round_to_the_nearest_a_tie_to_the_even(
    value: str, digits: int, expected: str
) -> None:
    """And never to nothing, and never through 28 digits."""
    assert Decimal(expected) == round_price(Decimal(value), digits)


@given(st.decimals(min_value="1e-18", max_value="1e20", places=18), st.integers(0, 18))
def test_a_rounded_price_is_within_half_a_digit_and_above_zero(value: Decimal, digits: int) -> None:
    """Whatever the price; only the least price may move further, up to itself."""
    least = Decimal((0, (1,), -digits))

    rounded = round_price(value, digits)

    assert rounded > 0
    assert abs(rounded - value) <= least / 2 or rounded == least


def test_a_minute_seen_whole_becomes_a_candle_when_the_next_begins() -> None:
    """First, highest, lowest and last price of the minute; the first minute is passed over."""
    candles = Candles()
    finished = []
    for each in [
        quote("1", 59),
        quote("10", 60),
        quote("12", 70),
        quote("8", 80),
        quote("9", 119),
        quote("20", 120),
    ]:
        finished += candles.add([each])

    assert finished == [candle(1, "10", "12", "8", "9")]


def test_a_symbol_that_pauses_gives_no_empty_candles() -> None:
    """Minutes without a quote are absent rather than invented."""
    candles = Candles()
    finished = []
    for each in [quote("1", 0), quote("10", 60), quote("20", 300), quote("30", 360)]:
        finished += candles.add([each])

    assert finished == [candle(1, "10", "10", "10", "10"), candle(5, "20", "20", "20", "20")]


def test_a_late_quote_does_not_reopen_a_minute() -> None:
    """A candle once given out never changes, and the open one is not spoilt."""
    candles = Candles()
    for each in [quote("1", 0), quote("10", 60), quote("20", 120)]:
        candles.add([each])

    finished = candles.add([quote("999", 61), quote("21", 180)])

    assert finished == [candle(2, "20", "20", "20", "20")]
