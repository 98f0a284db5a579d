"""From a wish to exact amounts: never more than there is, never a digit too many."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.user_worker.fakes import instrument_of
from tests.unit.user_worker.fakes_trading import MemoryVenue, Way

from user_worker.domain.orders import Money, Refusal, Refused, Share, Side, Size, Units, Wish
from user_worker.domain.sizing import (
    Preview,
    Question,
    Terms,
    assets_of,
    first_question,
    terms_of,
)

BTC = instrument_of("BTC", decimals=8)
AMOUNTS = st.decimals(Decimal("0.00000001"), Decimal("1e9"), places=8)


def d(text: str) -> Decimal:
    """Read a number."""
    return Decimal(text)


async def sized(
    side: Side, size: Size, *, available: str, slippage: int = 100, price: str = "100"
) -> Terms | Refusal:
    """Size a wish against the venue in memory."""
    venue, wish = MemoryVenue(Way(), price=d(price)), Wish(side, "BTC", size)
    asked = first_question(wish, BTC, d(available))
    for _ in range(2):
        if isinstance(asked, Refusal):
            return asked
        preview = await venue.preview(side, "BTC", asked, *assets_of(side, BTC))
        assert isinstance(preview, Preview)
        found = terms_of(wish, BTC, d(available), asked, preview, slippage)
        if not isinstance(found, Question):
            return found
        asked = found
    raise AssertionError("it asks for ever")


@pytest.mark.parametrize(
    ("side", "size", "available", "spend", "least", "most"),
    [
        (Side.BUY, Money(d("100")), "1000", "100", "0.99", None),
        (Side.BUY, Share(d("0.5")), "1000.000001", "500.000000", "4.95", None),
        (Side.BUY, Share(d("1")), "1000", "1000", "9.9", None),
        (Side.BUY, Units(d("2")), "1000", "202", "2", "2"),
        (Side.BUY, Units(d("0.33333333")), "99", "33.666667", "0.33333333", "0.33333333"),
        (Side.SELL, Units(d("2")), "5", "2", "198", None),
        (Side.SELL, Share(d("0.333")), "0.001", "0.000333", "0.032967", None),
        (Side.SELL, Share(d("1")), "5", "5", "495", None),
        (Side.SELL, Money(d("100")), "5", "1", "99", None),
    ],
)
async def test_a_wish_becomes_amounts(
    side: Side, size: Size, available: str, spend: str, least: str, most: str | None
) -> None:
    """At a price of 100 and a slippage of one per cent."""
    terms = await sized(side, size, available=available)

    assert isinstance(terms, Terms)
    assert d(spend) == terms.spend.value
    assert d(least) == terms.receive_min
    assert (None if most is None else d(most)) == terms.receive_max
    assert terms.receive_min <= terms.receive.value


@pytest.mark.parametrize(
    ("side", "size", "available", "refusal"),
    [
        (Side.BUY, Money(d("1")), "0", (Refused.NOTHING_TO_SPEND, None, "USDT")),
        (Side.SELL, Share(d("1")), "0", (Refused.NOTHING_TO_SPEND, None, "BTC")),
        (Side.SELL, Share(d("0.01")), "0.00000001", (Refused.NOTHING_TO_SPEND, None, "BTC")),
        (Side.BUY, Money(d("1000.01")), "1000", (Refused.INSUFFICIENT_FUNDS, "1000", "USDT")),
        (Side.BUY, Units(d("11")), "1000", (Refused.INSUFFICIENT_FUNDS, "1000", "USDT")),
        (Side.SELL, Units(d("6")), "5", (Refused.INSUFFICIENT_FUNDS, "5", "BTC")),
        (Side.SELL, Money(d("600")), "5", (Refused.INSUFFICIENT_FUNDS, "5", "BTC")),
        (Side.BUY, Money(d("1.0000001")), "1000", (Refused.TOO_PRECISE, "6", "USDT")),
        (Side.BUY, Units(d("0.000000001")), "1000", (Refused.TOO_PRECISE, "8", "BTC")),
        (Side.SELL, Units(d("0.000000001")), "5", (Refused.TOO_PRECISE, "8", "BTC")),
        (Side.SELL, Money(d("1.0000001")), "5", (Refused.TOO_PRECISE, "6", "USDT")),
    ],
)
async def test_what_cannot_be_is_refused_with_its_bound(
    side: Side, size: Size, available: str, refusal: tuple[Refused, str | None, str]
) -> None:
    """And in the asset it is about."""
    reason, bound, symbol = refusal
    expected = Refusal(reason, None if bound is None else d(bound), symbol)
    assert expected == await sized(side, size, available=available)


async def test_a_buyer_with_just_enough_may_try_with_a_smaller_bound() -> None:
    """10 BTC cost 1,000: the slippage beyond is not held, and nobody is refused for lacking it."""
    terms = await sized(Side.BUY, Units(d("10")), available="1005")

    assert isinstance(terms, Terms)
    assert d("1005") == terms.spend.value
    assert (d("10"), d("10")) == (terms.receive_min, terms.receive_max)


async def test_a_holding_worth_a_little_less_than_wished_is_sold_whole() -> None:
    """Within the slippage: 500 of a holding worth 499."""
    terms = await sized(Side.SELL, Money(d("500")), available="4.99")

    assert isinstance(terms, Terms)
    assert (d("4.99"), d("499")) == (terms.spend.value, terms.receive.value)
    refused = await sized(Side.SELL, Money(d("500")), available="4.9")
    assert Refusal(Refused.INSUFFICIENT_FUNDS, d("4.9"), "BTC") == refused


def test_what_brings_nothing_is_too_small() -> None:
    """An order must receive at least one smallest unit."""
    wish = Wish(Side.BUY, "BTC", Money(d("0.000001")))
    preview = Preview(d("0.000001"), d("0"), d("0"), d("100"))
    question = Question(spend=d("0.000001"))
    assert Refusal(Refused.TOO_SMALL) == terms_of(wish, BTC, d("1"), question, preview, 100)


SIZES: Any = st.one_of(
    AMOUNTS.map(Units),
    AMOUNTS.map(Money),
    st.decimals(Decimal("0.0001"), Decimal(1), places=4).map(Share),
)


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(Side),
    SIZES,
    AMOUNTS,
    st.integers(0, 5000),
    st.decimals(Decimal("0.0001"), Decimal(200000), places=4),
)
async def test_terms_never_pass_what_there_is_nor_the_assets_digits(
    side: Side, size: Size, available: Decimal, slippage: int, price: Decimal
) -> None:
    """Whatever is wished for, by whomever, at any price."""
    terms = await sized(side, size, available=str(available), slippage=slippage, price=str(price))
    if isinstance(terms, Refusal):
        return
    spent, received = assets_of(side, BTC)
    assert 0 < terms.spend.value <= available
    assert 0 < terms.receive_min <= terms.receive.value
    for value, asset in (
        (terms.spend.value, spent),
        (terms.receive_min, received),
        (terms.receive.value, received),
    ):
        assert asset.rounded_down(value) == value
    assert (spent.asset_id, received.asset_id) == (terms.spend.asset_id, terms.receive.asset_id)
