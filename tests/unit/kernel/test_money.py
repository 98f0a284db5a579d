"""Money: no digit is ever lost in silence."""

# ruff: noqa: D103 (a test's name is its claim)

import decimal
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.money import (
    EXACT,
    FRACTION_DIGITS_MAX,
    MalformedAmount,
    MalformedAssetId,
    check_asset_id,
    divide_down,
    divide_up,
    exact,
    format_amount,
    multiply_down,
    multiply_up,
    parse_amount,
    round_down,
    round_up,
)

amounts = st.builds(
    lambda units, sign: Decimal((sign, tuple(int(d) for d in str(units)), -18)),
    st.integers(min_value=0, max_value=10**56 - 1),
    st.sampled_from([0, 1]),
)
digits = st.integers(min_value=0, max_value=FRACTION_DIGITS_MAX)


@given(amounts)
def test_an_amount_reads_back_as_it_was_written(amount: Decimal) -> None:
    assert parse_amount(format_amount(amount)) == amount


@given(amounts)
def test_written_amounts_have_one_spelling(amount: Decimal) -> None:
    text = format_amount(amount)
    assert "e" not in text.lower()
    assert "." not in text or not text.endswith("0")
    assert text != "-0"
    assert format_amount(parse_amount(text)) == text


@given(amounts, amounts)
def test_sums_of_amounts_are_exact(one: Decimal, other: Decimal) -> None:
    with exact():
        total = one + other
    assert Fraction(one) + Fraction(other) == Fraction(total)


def test_the_sum_that_pythons_default_loses_is_kept() -> None:
    amount = parse_amount("12345678901.000000000000000001")
    assert amount + 0 != amount, "the default context no longer rounds: this module may go"
    with exact():
        assert amount + 0 == amount


def test_arithmetic_that_would_round_raises() -> None:
    with exact(), pytest.raises(decimal.Inexact):
        Decimal(1) / 3


def test_a_float_cannot_slip_into_exact_arithmetic() -> None:
    with exact(), pytest.raises(decimal.FloatOperation):
        Decimal(float("0.5"))
    with exact(), pytest.raises(decimal.FloatOperation):
        assert Decimal("0.5") < 0.7
    with pytest.raises(MalformedAmount):
        format_amount(0.5)  # type: ignore[arg-type]  # the point


@given(amounts, digits)
def test_down_is_toward_zero_and_up_is_away_from_it(amount: Decimal, places: int) -> None:
    try:
        down, up = round_down(amount, places), round_up(amount, places)
    except MalformedAmount:
        pytest.fail("an amount in range was refused")
    unit = Fraction(1, 10**places)
    assert abs(Fraction(down)) <= abs(Fraction(amount)) <= abs(Fraction(up))
    assert abs(Fraction(up)) - abs(Fraction(down)) in (0, unit)


@given(amounts, amounts, digits)
def test_a_rounded_product_is_within_one_unit_on_the_named_side(
    one: Decimal, other: Decimal, places: int
) -> None:
    true = abs(Fraction(one) * Fraction(other))
    unit = Fraction(1, 10**places)
    if true >= 10**38 - 1:
        with pytest.raises(MalformedAmount):
            multiply_down(one * 10, other, places)
        return
    assert 0 <= true - abs(Fraction(multiply_down(one, other, places))) < unit
    assert 0 <= abs(Fraction(multiply_up(one, other, places))) - true < unit


@given(amounts, amounts.filter(bool), digits)
def test_a_rounded_quotient_is_within_one_unit_on_the_named_side(
    one: Decimal, other: Decimal, places: int
) -> None:
    true = abs(Fraction(one) / Fraction(other))
    unit = Fraction(1, 10**places)
    if true >= 10**38 - 1:
        return
    assert 0 <= true - abs(Fraction(divide_down(one, other, places))) < unit
    assert 0 <= abs(Fraction(divide_up(one, other, places))) - true < unit


def test_nothing_is_divided_by_zero() -> None:
    with pytest.raises(decimal.DivisionByZero):
        divide_down(Decimal(1), Decimal(0), 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "+1",
        "1.",
        ".5",
        "1e3",
        "1E-3",
        "NaN",
        "Infinity",
        "00",
        "01",
        "1_000",
        "1,5",
        " 1",
        "1\n",
        "\uff11",
        "0x1",
        "1" * 39,
        "0." + "1" * 19,
        "--1",
        "1\0",
    ],
)
def test_text_that_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(MalformedAmount):
        parse_amount(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", Decimal(0)),
        ("-0", Decimal(0)),
        ("-0.0", Decimal(0)),
        ("0.5", Decimal("0.5")),
        ("1.50", Decimal("1.5")),
        ("9" * 38 + "." + "9" * 18, Decimal("9" * 38 + "." + "9" * 18)),
    ],
)
def test_plain_decimals_up_to_the_limits_are_read(text: str, value: Decimal) -> None:
    assert parse_amount(text) == value
    assert not parse_amount(text).is_signed() or value


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "1e38", "-1e38", "1e-19", "0.1234567890123456789", "1e999999"]
)
def test_values_that_cannot_be_written_whole_are_refused(value: str) -> None:
    with pytest.raises(MalformedAmount):
        format_amount(Decimal(value))


def test_a_number_of_many_zeros_is_written_without_an_exponent() -> None:
    assert format_amount(Decimal("1E+20")) == "100000000000000000000"
    assert format_amount(Decimal("-0.000")) == "0"


def test_the_exact_context_is_not_changed_by_using_it() -> None:
    traps = dict(EXACT.traps)
    with exact() as context:
        context.traps[decimal.Inexact] = False
    assert traps == dict(EXACT.traps)


@pytest.mark.parametrize("text", ["paper:USDT", "evm:1:0xdAC17F958D2ee523a2206206994597C13D831ec7"])
def test_asset_ids_name_a_world_and_a_thing_in_it(text: str) -> None:
    assert check_asset_id(text) == text


@pytest.mark.parametrize(
    "text", ["", "USDT", "a:", ":a", "Paper:USDT", "a:b c", "a:b\n", "a:" + "b" * 127]
)
def test_other_text_is_no_asset_id(text: str) -> None:
    with pytest.raises(MalformedAssetId):
        check_asset_id(text)
