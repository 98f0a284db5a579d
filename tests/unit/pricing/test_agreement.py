"""What several prices say together."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.exchanges.agreement import Agreement, agree, median

HALF_PERCENT = Decimal("0.005")
prices = st.decimals(min_value="0.00000001", max_value="1000000", places=8)


def stated(*texts: str) -> dict[str, Decimal]:
    """Prices of exchanges a, b, c, …"""
    return dict(zip("abcdefg", map(Decimal, texts), strict=False))


@pytest.mark.parametrize(
    ("texts", "price", "outliers"),
    [
        ((), None, ""),
        (("100",), "100", ""),
        (("100", "101"), "100.5", ""),
        (("199", "201"), "200", ""),
        (("198.9999", "201"), None, "ab"),
        (("100", "100.2", "107"), "100.1", "c"),
        (("93", "100", "100.2"), "100.1", "a"),
        (("100", "150", "200"), None, "abc"),
        (("100", "100.1", "100.2", "9999"), "100.1", "d"),
        (("100", "100", "200", "200"), None, "abcd"),
        (("100", "100", "100", "200", "1"), "100", "de"),
    ],
)
def test_the_median_of_those_that_are_near_it(
    texts: tuple[str, ...], price: str | None, outliers: str
) -> None:
    """Outliers are dropped; without a majority near the median there is no price."""
    expected = Agreement(None if price is None else Decimal(price), frozenset(outliers))

    assert expected == agree(stated(*texts), HALF_PERCENT)


def test_fewer_statements_than_asked_for_are_no_price() -> None:
    """One exchange alone is not believed by whoever asks for two; it is no outlier for that."""
    assert Agreement(None, frozenset()) == agree(stated("100"), HALF_PERCENT, statements_min=2)


@given(st.lists(prices, min_size=3, max_size=7), st.data())
def test_a_minority_cannot_move_the_price_out_of_the_honest_range(
    honest: list[Decimal], data: st.DataObject
) -> None:
    """Whatever fewer than half of all say, the price lies within the bound of what others say."""
    liars = data.draw(st.lists(prices, max_size=len(honest) - 1))
    named = {str(place): price for place, price in enumerate([*honest, *liars])}

    agreed = agree(named, HALF_PERCENT)

    if agreed.price is not None:
        assert min(honest) * (1 - HALF_PERCENT) <= agreed.price <= max(honest) * (1 + HALF_PERCENT)


@given(st.lists(prices, min_size=1, max_size=7))
def test_the_order_of_exchanges_does_not_matter(values: list[Decimal]) -> None:
    """No exchange is a favourite."""
    named = {str(place): price for place, price in enumerate(values)}

    assert agree(named, HALF_PERCENT) == agree(dict(reversed(named.items())), HALF_PERCENT)


def test_the_median_loses_no_digit() -> None:
    """Python's default context would."""
    one, other = (
        Decimal("12345678901.000000000000000001"),
        Decimal("12345678901.000000000000000003"),
    )

    assert Decimal("12345678901.000000000000000002") == median([other, one])
