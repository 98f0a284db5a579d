"""What is typed for an order that waits for a price, told apart, and written to be read again."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from user_worker.domain.orders import Side
from user_worker.domain.resting import EXPIRIES
from user_worker.domain.resting_words import (
    RestingWords,
    price_text,
    read_price,
    read_words,
    written,
)

SYMBOLS = ("BTC", "ETH", "1INCH")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("buy BTC $100 at 60000 7d", RestingWords(Side.BUY, "BTC", "$100", "60000", "7d")),
        ("BTC 50% 55000", RestingWords(None, "BTC", "50%", "55000", "")),
        ("BTC all 80000", RestingWords(None, "BTC", "all", "80000", "")),
        ("sell 0.5 BTC @60000 1d", RestingWords(Side.SELL, "BTC", "0.5", "60000", "24h")),
        ("kaufe BTC $100 bei 60000", RestingWords(Side.BUY, "BTC", "$100", "60000", "")),
        ("buy ETH 9 usdt at 8 usdt", RestingWords(Side.BUY, "ETH", "9 usdt", "8 usdt", "")),
        ("buy BTC 100 usdt 60000", RestingWords(Side.BUY, "BTC", "100 usdt", "60000", "")),
        ("buy BTC 0.5 60000 usdt", RestingWords(Side.BUY, "BTC", "0.5", "60000 usdt", "")),
        ("buy BTC at 60000 $100", RestingWords(Side.BUY, "BTC", "$100", "60000", "")),
        ("BTC 55000", RestingWords(None, "BTC", "", "55000", "")),
        ("BTC $100", RestingWords(None, "BTC", "$100", "", "")),
        ("BTC 50%", RestingWords(None, "BTC", "50%", "", "")),
        ("BTC 100 usdt", RestingWords(None, "BTC", "100 usdt", "", "")),
        ("BTC all", RestingWords(None, "BTC", "all", "", "")),
        ("buy", RestingWords(Side.BUY, "", "", "", "")),
        ("buy bitcoin $100", RestingWords(Side.BUY, "bitcoin", "$100", "", "")),
        ("buy BTC $100 at", RestingWords(Side.BUY, "BTC", "$100", "", "")),
        ("1INCH 5 0.3", RestingWords(None, "1INCH", "5", "0.3", "")),
        ("", RestingWords(None, "", "", "", "")),
    ],
)  # fmt: skip
def test_words_are_told_apart(typed: str, expected: RestingWords) -> None:
    """In either language, with and without the word before the price."""
    assert expected == read_words(typed, SYMBOLS)


WORDS = st.builds(
    RestingWords,
    side=st.sampled_from(Side),
    symbol=st.sampled_from(SYMBOLS),
    amount=st.sampled_from(["", "$100", "50%", "0.5", "100%"]),
    price=st.sampled_from(["", "60000", "0.5000"]),
    expiry=st.sampled_from(["", *EXPIRIES]),
)


@given(WORDS)
def test_what_is_written_is_told_apart_in_the_same_way(words: RestingWords) -> None:
    """Or a button would ask for something else than it says."""
    if words.amount != "0.5" or words.price:  # a number alone is taken for the price
        assert words == read_words(written(words), SYMBOLS)


@given(st.text(max_size=40))
def test_nothing_that_is_typed_raises(typed: str) -> None:
    """Whatever it is."""
    read_words(typed, SYMBOLS)
    read_price(typed)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("60000", Decimal(60_000)),
        ("$60000", Decimal(60_000)),
        ("60000 usdt", Decimal(60_000)),
        ("1.234,5", Decimal("1234.5")),
        ("60,000", (Decimal(60_000), Decimal(60))),
        ("50%", None),
        ("all", None),
        ("0", None),
        ("soon", None),
    ],
)
def test_prices_are_read_exactly_or_not_at_all(
    typed: str, expected: Decimal | tuple[Decimal, Decimal] | None
) -> None:
    """What can be read in two ways is given in both."""
    assert expected == read_price(typed)


@given(st.decimals(min_value="0.000001", max_value=10**9, places=6))
def test_a_price_is_written_to_be_read_in_one_way(price: Decimal) -> None:
    """Three digits after the point are not taken for thousands."""
    assert price == read_price(price_text(price))
