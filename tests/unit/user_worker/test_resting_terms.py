"""From a wish and a price to exact amounts: never worse than the limit, whatever is rounded."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.user_worker.fakes import instrument_of
from tests.unit.user_worker.fakes_orders import draft_of

from user_worker.domain.orders import Money, Refusal, Refused, Share, Side, Size, Units, Wish
from user_worker.domain.resting import Condition, RestingKind, direction_of
from user_worker.domain.resting_terms import (
    is_in_reach,
    is_within_limit,
    look_question,
    resting_terms,
)
from user_worker.domain.sizing import Preview, Question, Terms, first_question

BTC = instrument_of("BTC")
PREVIEW = Preview(Decimal(100), Decimal(1), Decimal("0.001"), Decimal(100))
"""A fee of a thousandth."""


def terms_for(
    side: Side,
    size: Size,
    price: Decimal,
    kind: RestingKind = RestingKind.LIMIT,
    *,
    available: Decimal = Decimal(10_000),
    slippage: int = 100,
) -> Terms | Refusal:
    """Resolve a wish."""
    wish = Wish(side, "BTC", size)
    question = first_question(wish, BTC, available)
    if isinstance(question, Refusal):
        return question
    condition = Condition(kind, direction_of(kind, side), price, 600)
    return resting_terms(wish, BTC, available, question, condition, PREVIEW, slippage)


@pytest.mark.parametrize(
    ("side", "size", "spend", "receive_min", "receive_max"),
    [
        (Side.BUY, Money(Decimal(100)), "100", "0.00166667", None),
        (Side.BUY, Units(Decimal("0.5")), "30000", "0.5", "0.5"),
        (Side.BUY, Share(Decimal("0.5")), "20000", "0.33333334", None),
        (Side.SELL, Units(Decimal("0.5")), "0.5", "30000", None),
        (Side.SELL, Money(Decimal(100)), "0.00166667", "100.0002", None),
    ],
)
def test_a_limit_order_is_bounded_by_its_limit(
    side: Side, size: Size, spend: str, receive_min: str, receive_max: str | None
) -> None:
    """At 60,000: the least received is rounded up, the user's slippage is none of it."""
    terms = terms_for(side, size, Decimal(60_000), available=Decimal(40_000))

    assert isinstance(terms, Terms)
    assert (Decimal(spend), Decimal(receive_min)) == (terms.spend.value, terms.receive_min)
    assert (None if receive_max is None else Decimal(receive_max)) == terms.receive_max


@pytest.mark.parametrize("kind", [RestingKind.STOP, RestingKind.TAKE_PROFIT])
@pytest.mark.parametrize(
    ("side", "size", "spend", "receive_min"),
    [
        (Side.SELL, Units(Decimal("0.5")), "0.5", "29700"),
        (Side.BUY, Money(Decimal(600)), "600", "0.0099"),
        (Side.BUY, Units(Decimal("0.1")), "6060", "0.1"),
    ],
)
def test_a_market_order_at_the_trigger_has_the_users_slippage(
    kind: RestingKind, side: Side, size: Size, spend: str, receive_min: str
) -> None:
    """One per cent from the trigger price."""
    terms = terms_for(side, size, Decimal(60_000), kind)

    assert isinstance(terms, Terms)
    assert (Decimal(spend), Decimal(receive_min)) == (terms.spend.value, terms.receive_min)


@given(
    side=st.sampled_from(Side),
    size=st.decimals("0.00000001", 50, places=8).map(Units)
    | st.decimals("0.01", 5000, places=2).map(Money)
    | st.decimals("0.01", 1, places=2).map(Share),
    price=st.decimals("0.01", 200_000, places=2),
)
def test_whatever_fills_a_limit_order_is_no_worse_than_its_limit(
    side: Side, size: Size, price: Decimal
) -> None:
    """Exactly, in fractions: all that is spent for the least that is received."""
    terms = terms_for(side, size, price)
    if isinstance(terms, Refusal):
        assert terms.reason in {
            Refused.TOO_SMALL,
            Refused.INSUFFICIENT_FUNDS,
            Refused.TOO_PRECISE,
            Refused.NOTHING_TO_SPEND,
        }
        return
    spend, least = Fraction(terms.spend.value), Fraction(terms.receive_min)
    smallest = Fraction(1, 10**BTC.currency_decimals)
    if side is Side.SELL:
        assert least >= spend * Fraction(price)
    elif terms.receive_max is None:
        assert spend <= least * Fraction(price)
    else:
        # What is held for a number of units is rounded up to what there can be.
        assert spend < least * Fraction(price) + smallest
    assert terms.fee.value <= terms.receive.value


def test_what_costs_more_than_there_is_is_refused() -> None:
    """At the limit, not at the present price."""
    refusal = terms_for(Side.BUY, Units(Decimal(1)), Decimal(60_000))
    assert Refusal(Refused.INSUFFICIENT_FUNDS, Decimal(10_000), "USDT") == refusal
    refusal = terms_for(Side.SELL, Money(Decimal(100)), Decimal("0.001"))
    assert Refusal(Refused.INSUFFICIENT_FUNDS, Decimal(10_000), "BTC") == refusal


def test_what_comes_to_nothing_is_refused() -> None:
    """Less than the smallest unit."""
    size = Money(Decimal("0.0001"))
    assert Refusal(Refused.TOO_SMALL) == terms_for(Side.BUY, size, Decimal(60_000))


def test_a_price_far_off_is_a_slip_of_the_hand() -> None:
    """A thousandth and a thousand times are not."""
    now = Decimal(60_000)
    assert is_in_reach(Decimal(60), now)
    assert is_in_reach(Decimal(60_000_000), now)
    assert not is_in_reach(Decimal("59.99"), now)
    assert not is_in_reach(Decimal("60000000.01"), now)


@pytest.mark.parametrize(
    ("spent", "received", "expected"),
    [("100", "0.00166667", True), ("100", "0.00166666", False), ("100.01", "1", False)],
)
def test_the_venue_is_believed_about_a_limit(spent: str, received: str, expected: bool) -> None:
    """Within both bounds of the draft."""
    draft = replace(
        draft_of(Wish(Side.BUY, "BTC", Money(Decimal(100)))), receive_min=Decimal("0.00166667")
    )
    preview = Preview(Decimal(spent), Decimal(received), Decimal(0), Decimal(1))
    assert expected is is_within_limit(draft, preview)
    assert Question(spend=Decimal(100)) == look_question(draft)
    units = replace(draft, receive_max=Decimal(2))
    assert Question(receive=Decimal(2)) == look_question(units)
