"""Symbols: found exactly, suggested, or unknown; lookalike letters are never taken for ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from user_worker.domain.symbols import SUGGESTIONS_MAX, Found, NotFound, find_symbol

TRADED = ("BTC", "DOGE", "DOT", "ETH", "SOL", "TON", "USDC")


@pytest.mark.parametrize(
    "typed",
    [
        *("BTC", "btc", "$btc", "#BTC", " BTC ", "BTC/USDT", "btcusdt", "btc-usd", "BTC_USDT"),
        *("BTC:USDT", "btcusd", "$BTC/USDT", "bitcoin", "Bitcoin", "XBT"),
    ],
)
def test_people_write_a_ticker_in_many_ways(typed: str) -> None:
    """All of them mean the same."""
    assert Found("BTC") == find_symbol(typed, TRADED)


def test_a_symbol_that_ends_like_a_currency_is_itself() -> None:
    """The exact name comes before anything taken off it."""
    assert Found("USDC") == find_symbol("usdc", TRADED)


@pytest.mark.parametrize(
    ("typed", "suggestions"),
    [
        ("DO", ("DOGE", "DOT")),
        ("bitc", ("BTC",)),
        ("DOGR", ("DOGE",)),
        ("zzz", ()),
        ("", ()),
        ("$", ()),
        ("x" * 41, ()),
        ("BTC\x00", ("BTC",)),
    ],
)
def test_what_is_not_found_is_suggested_and_never_chosen(
    typed: str, suggestions: tuple[str, ...]
) -> None:
    """By its beginning, or one letter off."""
    assert NotFound(suggestions) == find_symbol(typed, TRADED)


@pytest.mark.parametrize(
    "typed",
    ["\u0412\u0422\u0421", "B\u0422C", "\uff22\uff34\uff23", "BTC\u200b", "\u202eBTC", "\u0392TC"],
)
def test_letters_that_only_look_like_ours_find_nothing_by_themselves(typed: str) -> None:
    """What they look like is one button away."""
    assert NotFound(("BTC",), has_lookalikes=True) == find_symbol(typed, TRADED)


@given(st.text(max_size=60))
def test_nothing_that_is_typed_raises_or_finds_what_is_not_traded(typed: str) -> None:
    """Suggestions are bounded, and each is traded."""
    found = find_symbol(typed, TRADED)

    if isinstance(found, Found):
        assert found.symbol in TRADED
        assert typed.isascii()
    else:
        assert set(found.suggestions) <= set(TRADED)
        assert len(found.suggestions) <= SUGGESTIONS_MAX
