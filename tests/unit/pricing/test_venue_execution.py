"""Orders on paper: no size, price or rounding gains anything from the venue."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kernel.money import AssetId, exact, round_down
from pricing.domain import Quote, Source
from pricing.paper_venue.domain import (
    Amount,
    Asset,
    Fill,
    Instrument,
    Order,
    Refusal,
    Refused,
    Side,
    Size,
    Terms,
)
from pricing.paper_venue.execution import execute, preview

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
USDT, BTC = AssetId("paper:USDT"), AssetId("paper:BTC")
BITCOIN = Instrument("BTC", Asset(BTC, 8), Asset(USDT, 6), Decimal(1_000_000))
TERMS = Terms(
    half_spread_basis_points=10,
    fee_basis_points=20,
    worth_min=Decimal(1),
    worth_max=Decimal(500_000),
    quote_age_max=timedelta(seconds=10),
)
AT_50000 = Quote("BTC", "USDT", Decimal(50_000), NOON, Source.SIMULATED)
ID = UUID(int=1)

sides = st.sampled_from(Side)
grains = st.integers(min_value=0, max_value=18)
terms = st.builds(
    Terms,
    half_spread_basis_points=st.integers(0, 1000),
    fee_basis_points=st.integers(0, 1000),
    worth_min=st.sampled_from([Decimal(0), Decimal(1)]),
    worth_max=st.integers(1, 10**9).map(Decimal),
    quote_age_max=st.just(timedelta(seconds=10)),
)
instruments = st.builds(
    Instrument,
    symbol=st.just("BTC"),
    base=st.builds(Asset, st.just(BTC), grains),
    currency=st.builds(Asset, st.just(USDT), grains),
    depth=st.integers(1, 10**15 - 1).map(Decimal),
)
quotes = st.builds(
    lambda units, digits: replace(AT_50000, price=Decimal((0, digits_of(units), -digits))),
    st.integers(1, 10**24),
    grains,
)


def digits_of(number: int) -> tuple[int, ...]:
    """A whole number's digits."""
    return tuple(map(int, str(number)))


@st.composite
def sizes_of(draw: st.DrawFn, asset: Asset) -> Decimal:
    """An amount above zero in whole units of an asset, from the least to far beyond all limits."""
    units = draw(st.integers(1, 10 ** draw(st.integers(1, 37))))
    return Decimal((0, digits_of(units), -asset.decimals))


def unit(asset: Asset) -> Decimal:
    """The least amount of an asset."""
    return Decimal((0, (1,), -asset.decimals))


def order(
    side: Side, spend: str | Decimal, receive_min: str | Decimal, receive_max: Decimal | None = None
) -> Order:
    """An order for bitcoin."""
    spends, receives = (USDT, BTC) if side is Side.BUY else (BTC, USDT)
    return Order(
        ID,
        ID,
        side,
        "BTC",
        Amount(spends, Decimal(spend)),
        Amount(receives, Decimal(receive_min)),
        receive_max,
    )


@pytest.mark.parametrize(
    ("side", "spend", "spent", "received", "fee", "price"),
    [
        # 10,000 / 50,050 / 1.01; a fee of 0.2 %; both rounded against the buyer.
        (Side.BUY, "10000", "10000", "0.19782198", "0.00039565", "50550.500"),
        # 0.2 are worth 9,990 at 49,950; divided by 1.00999.
        (Side.SELL, "0.2", "0.2", "9891.187041", "19.782375", "49455.935"),
    ],
)
def test_an_order_crosses_the_spread_moves_the_price_and_pays_the_fee(
    side: Side, spend: str, spent: str, received: str, fee: str, price: str
) -> None:
    """By hand, once for each side."""
    fill = preview(side, Size(spend=Decimal(spend)), BITCOIN, AT_50000, TERMS, NOON)

    assert isinstance(fill, Fill)
    assert (Decimal(spent), Decimal(received), Decimal(fee)) == (
        fill.spent.value,
        fill.received.value,
        fill.fee.value,
    )
    assert Decimal(price) == round_down(fill.price, 3)


def test_an_order_of_one_percent_of_the_depth_is_one_percent_worse() -> None:
    """What the setting promises, without spread and fee."""
    free = replace(TERMS, half_spread_basis_points=0, fee_basis_points=0)
    fill = preview(Side.BUY, Size(spend=Decimal(10_000)), BITCOIN, AT_50000, free, NOON)

    assert isinstance(fill, Fill)
    assert Decimal("50500.00") == round_down(fill.price, 2)


@given(st.data(), sides, instruments, quotes, terms)
def test_a_fill_is_exact_and_never_more_than_was_asked(
    data: st.DataObject, side: Side, instrument: Instrument, quote: Quote, terms: Terms
) -> None:
    """All is spent, something is received, the fee leaves some of it, in whole units; or a limit
    is named."""
    spend = data.draw(sizes_of(instrument.spent(side)))
    fill = preview(side, Size(spend=spend), instrument, quote, terms, NOON)

    if isinstance(fill, Refused):
        assert fill.reason in (Refusal.TOO_SMALL, Refusal.TOO_LARGE)
        return
    assert (spend, instrument.spent(side).asset_id) == (fill.spent.value, fill.spent.asset_id)
    assert 0 <= fill.fee.value < fill.received.value
    for amount in (fill.received, fill.fee):
        asset = instrument.received(side)
        assert asset.asset_id == amount.asset_id
        assert round_down(amount.value, asset.decimals) == amount.value
    with exact():
        share = Decimal(terms.fee_basis_points) / 10_000
        assert fill.fee.value >= fill.received.value * share
        assert fill.fee.value - unit(asset) < fill.received.value * share
    assert fill.price > 0


@given(st.data(), sides, instruments, quotes, terms)
def test_there_and_back_at_one_quote_never_gains(
    data: st.DataObject, side: Side, instrument: Instrument, quote: Quote, terms: Terms
) -> None:
    """Whatever the roundings, also where spread and fee are nothing."""
    back = Side.SELL if side is Side.BUY else Side.BUY
    spend = data.draw(sizes_of(instrument.spent(side)))
    there = preview(side, Size(spend=spend), instrument, quote, terms, NOON)
    assume(isinstance(there, Fill))
    assert isinstance(there, Fill)
    with exact():
        net = there.received.value - there.fee.value
    again = preview(back, Size(spend=net), instrument, quote, terms, NOON)

    if isinstance(again, Fill):
        assert again.received.value <= spend


@given(st.data(), sides, instruments, quotes, terms)
def test_more_is_never_received_for_less(
    data: st.DataObject, side: Side, instrument: Instrument, quote: Quote, terms: Terms
) -> None:
    """Monotone in size, and cutting an order in two at one quote is the only way to fare better:
    a larger order is never executed at a better price."""
    less, more = sorted(data.draw(sizes_of(instrument.spent(side))) for _ in range(2))
    small = preview(side, Size(spend=less), instrument, quote, terms, NOON)
    large = preview(side, Size(spend=more), instrument, quote, terms, NOON)

    if isinstance(small, Fill) and isinstance(large, Fill):
        assert small.received.value <= large.received.value
        with exact():
            grain = unit(instrument.received(side))
            # The small order lost less than one unit to rounding.
            assert (small.received.value + grain) * more >= large.received.value * less


@given(st.data(), sides, instruments, quotes, terms)
def test_what_a_preview_says_of_an_amount_to_receive_is_what_a_submission_does(
    data: st.DataObject, side: Side, instrument: Instrument, quote: Quote, terms: Terms
) -> None:
    """The same fill, also when more may be spent; and no unit less would suffice."""
    asset = instrument.spent(side)
    receive = data.draw(sizes_of(instrument.received(side)))
    named = preview(side, Size(receive_max=receive), instrument, quote, terms, NOON)
    assume(isinstance(named, Fill))
    assert isinstance(named, Fill)
    assert receive == named.received.value
    spare = data.draw(st.sampled_from([Decimal(0), unit(asset), Decimal(10**30)]))
    with exact():
        spend, too_little = named.spent.value + spare, named.spent.value - unit(asset)

    submitted = order(side, spend, receive, receive)
    assert named == execute(submitted, instrument, quote, terms, NOON)
    if too_little > 0:
        meagre = execute(order(side, too_little, receive, receive), instrument, quote, terms, NOON)
        assert isinstance(meagre, Refused)


@given(st.data(), sides, instruments, quotes, terms)
def test_what_is_received_lies_between_the_bounds_of_the_order(
    data: st.DataObject, side: Side, instrument: Instrument, quote: Quote, terms: Terms
) -> None:
    """Never below receive_min, never above receive_max, never more spent than the order has."""
    spend = data.draw(sizes_of(instrument.spent(side)))
    least, most = sorted(data.draw(sizes_of(instrument.received(side))) for _ in range(2))
    outcome = execute(order(side, spend, least, most), instrument, quote, terms, NOON)

    if isinstance(outcome, Fill):
        assert least <= outcome.received.value <= most
        assert 0 < outcome.spent.value <= spend


def test_less_than_the_order_asks_for_is_slippage() -> None:
    """One unit decides."""
    bounds = ("0.19782198", "0.19782199")
    outcomes = [
        execute(order(Side.BUY, "10000", least), BITCOIN, AT_50000, TERMS, NOON) for least in bounds
    ]

    assert isinstance(outcomes[0], Fill)
    assert Refused(Refusal.SLIPPAGE) == outcomes[1]


@pytest.mark.parametrize(
    ("side", "size", "reason"),
    [
        (Side.BUY, Size(spend=Decimal("0.999999")), Refusal.TOO_SMALL),
        (Side.BUY, Size(spend=Decimal(1)), None),
        (Side.BUY, Size(spend=Decimal(500_000)), None),
        (Side.BUY, Size(spend=Decimal("500000.000001")), Refusal.TOO_LARGE),
        (Side.BUY, Size(receive_max=Decimal("0.00000001")), Refusal.TOO_SMALL),
        # More than there is at any price.
        (Side.BUY, Size(receive_max=Decimal(21_000_000)), Refusal.TOO_LARGE),
        (Side.BUY, Size(Decimal(10) ** 37, Decimal(10) ** 37), Refusal.TOO_LARGE),
        (Side.SELL, Size(spend=Decimal("0.00002002")), Refusal.TOO_SMALL),
        (Side.SELL, Size(spend=Decimal("0.00002003")), None),
        (Side.SELL, Size(spend=Decimal(11)), Refusal.TOO_LARGE),
        (Side.SELL, Size(receive_max=Decimal(1_000_000)), Refusal.TOO_LARGE),
    ],
)
def test_the_least_and_the_largest_order_are_named_in_quote_currency(
    side: Side, size: Size, reason: Refusal | None
) -> None:
    """A sale counts at what it is worth before it moves the price."""
    outcome = preview(side, size, BITCOIN, AT_50000, TERMS, NOON)

    bounds = {Refusal.TOO_SMALL: TERMS.worth_min, Refusal.TOO_LARGE: TERMS.worth_max}
    if reason is None:
        assert isinstance(outcome, Fill)
    else:
        assert Refused(reason, Amount(USDT, bounds[reason])) == outcome


def test_an_order_whose_fee_would_leave_nothing_is_too_small() -> None:
    """An asset that comes whole: the fee on one of it, rounded up, would be one of it."""
    whole = replace(BITCOIN, base=Asset(BTC, 0))
    outcome = preview(Side.BUY, Size(spend=Decimal(99_000)), whole, AT_50000, TERMS, NOON)

    assert isinstance(outcome, Refused)
    assert Refusal.TOO_SMALL is outcome.reason


@pytest.mark.parametrize(
    ("seconds", "is_stale"), [(10, False), (10.001, True), (-10, False), (-10.001, True)]
)
def test_a_quote_past_the_limit_is_not_traded_on(seconds: float, is_stale: bool) -> None:
    """Behind the clock or ahead of it: a clock that was set back leaves quotes from the future."""
    now = NOON + timedelta(seconds=seconds)
    outcome = preview(Side.BUY, Size(spend=Decimal(100)), BITCOIN, AT_50000, TERMS, now)

    assert (outcome == Refused(Refusal.STALE_PRICE)) is is_stale
