"""Past prices from candles, and what was gained since."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from tests.unit.user_worker.fakes import NOTHING, NOW, candles_of

from user_worker.domain.marking import CANDLES_MAX, Span, gain_ever, gain_since, marked_times
from user_worker.domain.performance import EquityPoint

HOUR = timedelta(hours=1)


def test_a_span_is_cut_evenly_and_ends_before_the_present() -> None:
    """Oldest first; its candles reach back to the first time."""
    span = Span(timedelta(days=1), 15, 4)

    assert [NOW - 24 * HOUR, NOW - 18 * HOUR, NOW - 12 * HOUR, NOW - 6 * HOUR] == list(
        span.times(NOW)
    )
    assert 97 == span.candles
    assert CANDLES_MAX == Span(timedelta(days=90), 1, 4).candles


def test_a_price_is_the_first_of_the_candle_the_time_lies_in() -> None:
    """Known as well as the candles are fine."""
    flat = candles_of("BTC", ["1", "2", "3"], interval_minutes=60)
    known = replace(
        flat, candles=tuple(replace(candle, close=Decimal(9)) for candle in flat.candles)
    )
    times = [NOW - 3 * HOUR, NOW - 2 * HOUR, NOW - HOUR / 2]

    marked = marked_times({"paper:BTC": known}, times)

    assert times == [mark.at for mark in marked]
    assert ["1", "2", "3"] == [str(mark.marks["paper:BTC"]) for mark in marked]


def test_a_gap_is_bridged_for_two_candles_and_unknown_then() -> None:
    """Unknown is absent, never zero; so is what came before the first candle."""
    known = candles_of("BTC", ["1", "2"], interval_minutes=60, until=NOW - 5 * HOUR)
    times = [NOW - 8 * HOUR, NOW - 4 * HOUR, NOW - 3 * HOUR, NOW]

    prices = [mark.marks.get("paper:BTC") for mark in marked_times({"paper:BTC": known}, times)]

    assert [None, Decimal(2), None, None] == prices


@pytest.mark.parametrize(
    ("equity_now", "equity_then", "paid_in_then", "expected"),
    [
        ("11000", "10500", "10000", "500"),
        ("11000", "10500", "4000", "-5500"),
        ("11000", None, "0", "1000"),
        ("11000", None, "10000", None),
        (None, "10500", "10000", None),
    ],
)
def test_a_gain_tells_deposits_apart_and_unknown_stays_unknown(
    equity_now: str | None, equity_then: str | None, paid_in_then: str, expected: str | None
) -> None:
    """Before anything was paid in there was nothing, which is known."""
    performance = replace(
        NOTHING,
        equity=None if equity_now is None else Decimal(equity_now),
        net_deposits=Decimal(10_000),
    )
    then = EquityPoint(
        NOW, None if equity_then is None else Decimal(equity_then), Decimal(paid_in_then)
    )

    assert (None if expected is None else Decimal(expected)) == gain_since(performance, then)


def test_the_gain_since_the_start_is_unknown_with_the_present_value() -> None:
    """What is paid in is no gain."""
    performance = replace(NOTHING, equity=Decimal(10_001), net_deposits=Decimal(10_000))

    assert Decimal(1) == gain_ever(performance)
    assert gain_ever(replace(performance, equity=None)) is None
