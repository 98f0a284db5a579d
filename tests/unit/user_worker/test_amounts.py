"""Amounts: read exactly, asked about, or refused; never guessed and never an error."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.money import FRACTION_DIGITS_MAX
from user_worker.domain.amounts import (
    Ambiguous,
    Asked,
    Problem,
    Unreadable,
    read_size,
    size_text,
    told_apart,
)
from user_worker.domain.orders import Money, Share, Size, Units

AMOUNTS = st.decimals(
    min_value=Decimal("0.000000000000000001"),
    max_value=Decimal(99999999999999999999),
    places=FRACTION_DIGITS_MAX,
    allow_nan=False,
)
SHARES = st.integers(1, 10**16).map(lambda parts: Decimal(parts).scaleb(-16))


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("0.5", Units(Decimal("0.5"))),
        ("0,5", Units(Decimal("0.5"))),
        (".5", Units(Decimal("0.5"))),
        ("7", Units(Decimal(7))),
        ("0,001", Units(Decimal("0.001"))),
        ("1.2345", Units(Decimal("1.2345"))),
        ("1234,567", Units(Decimal("1234.567"))),
        ("1,000.50", Units(Decimal("1000.50"))),
        ("1.000,50", Units(Decimal("1000.50"))),
        ("1,000,000", Units(Decimal(1_000_000))),
        ("1.234.567,8", Units(Decimal("1234567.8"))),
        ("$100", Money(Decimal(100))),
        ("$ 100", Money(Decimal(100))),
        ("100$", Money(Decimal(100))),
        ("100 usdt", Money(Decimal(100))),
        ("100USDT", Money(Decimal(100))),
        ("$100 usd", Money(Decimal(100))),
        ("100\u00a0USDT", Money(Decimal(100))),
        ("0.5 btc", Units(Decimal("0.5"))),
        ("0.5BTC", Units(Decimal("0.5"))),
        ("50%", Share(Decimal("0.5"))),
        ("50\u00a0%", Share(Decimal("0.5"))),
        ("12.5 %", Share(Decimal("0.125"))),
        ("100%", Share(Decimal(1))),
        ("all", Share(Decimal(1))),
        ("MAX", Share(Decimal(1))),
        ("alles", Share(Decimal(1))),
        (" 5 ", Units(Decimal(5))),
    ],
)
def test_what_people_type_is_read_in_either_language(typed: str, expected: Size) -> None:
    """The text itself says which mark is which."""
    assert expected == read_size(typed, "BTC")


@pytest.mark.parametrize("typed", ["1,234", "1.234", "999.000", "12,345"])
def test_one_mark_before_three_digits_is_asked_about(typed: str) -> None:
    """Both readings are given, none is chosen."""
    whole, fraction = typed.replace(",", ".").split(".")

    assert Ambiguous(
        Units(Decimal(whole + fraction)), Units(Decimal(f"{whole}.{fraction}"))
    ) == read_size(typed, "BTC")
    assert isinstance(read_size(f"${typed}", "BTC"), Ambiguous)


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("", Problem.NOT_A_NUMBER),
        ("hello", Problem.NOT_A_NUMBER),
        ("NaN", Problem.NOT_A_NUMBER),
        ("inf", Problem.NOT_A_NUMBER),
        ("-inf", Problem.NOT_A_NUMBER),
        ("1e999", Problem.NOT_A_NUMBER),
        ("1e5", Problem.NOT_A_NUMBER),
        ("0x10", Problem.NOT_A_NUMBER),
        ("1_000", Problem.NOT_A_NUMBER),
        ("1.2.3", Problem.NOT_A_NUMBER),
        ("1,00,000", Problem.NOT_A_NUMBER),
        ("1,00.5", Problem.NOT_A_NUMBER),
        ("5.", Problem.NOT_A_NUMBER),
        ("+5", Problem.NOT_A_NUMBER),
        ("1 000", Problem.NOT_A_NUMBER),
        ("5 eth", Problem.OTHER_UNIT),
        ("$5 btc", Problem.OTHER_UNIT),
        ("$5%", Problem.OTHER_UNIT),
        ("-5", Problem.NEGATIVE),
        ("\u22125", Problem.NEGATIVE),
        ("$-5", Problem.NEGATIVE),
        ("-$5", Problem.NEGATIVE),
        ("-50%", Problem.NEGATIVE),
        ("0", Problem.ZERO),
        ("$0.00", Problem.ZERO),
        ("0%", Problem.ZERO),
        ("101%", Problem.OVER_ALL),
        ("100.0001%", Problem.OVER_ALL),
        ("0." + "1" * 19, Problem.TOO_MANY_DIGITS),
        ("9" * 39, Problem.TOO_MANY_DIGITS),
        ("0." + "1" * 17 + "%", Problem.TOO_MANY_DIGITS),
        ("9" * 65, Problem.TOO_LONG),
        ("\u202e5", Problem.STRANGE_CHARACTERS),
        ("5\u200b", Problem.STRANGE_CHARACTERS),
        ("5\x00", Problem.STRANGE_CHARACTERS),
        ("\uff11\uff10\uff10", Problem.STRANGE_CHARACTERS),
        ("\u0661\u0660\u0660", Problem.STRANGE_CHARACTERS),
        ("\u0967", Problem.STRANGE_CHARACTERS),
        ("\u00bd", Problem.STRANGE_CHARACTERS),
        ("5\u0435", Problem.STRANGE_CHARACTERS),
        ("\u20ac5", Problem.STRANGE_CHARACTERS),
        ("\ud800", Problem.STRANGE_CHARACTERS),
    ],
)
def test_what_is_no_amount_has_its_reason(typed: str, problem: Problem) -> None:
    """Each reason has a sentence of its own."""
    assert Unreadable(problem) == read_size(typed, "BTC")


@given(st.text(max_size=80))
def test_nothing_that_is_typed_raises(typed: str) -> None:
    """Any text is an amount, two, or unreadable; and is told apart from a symbol."""
    read_size(typed, "BTC")
    told_apart(typed, ["BTC", "ETH"])


@given(st.text(alphabet="0123456789.,$%-+ eEbtcusdBTCUSD\u0661\uff11\u202e", max_size=30))
def test_what_is_accepted_has_exactly_the_digits_that_were_typed(typed: str) -> None:
    """Nothing is rounded, dropped or made up."""
    read = read_size(typed, "BTC")
    if isinstance(read, Unreadable) or read == Share(Decimal(1)):
        return
    for size in [read] if not isinstance(read, Ambiguous) else [read.grouped, read.decimal]:
        value = size.value * 100 if isinstance(size, Share) else size.value
        typed_digits = "".join(c for c in typed if c in "0123456789")
        assert typed_digits.strip("0") == "".join(map(str, value.as_tuple().digits)).strip("0")
        assert size.value > 0


@given(st.one_of(AMOUNTS.map(Units), AMOUNTS.map(Money), SHARES.map(Share)))
def test_a_size_that_is_written_is_read_back_in_one_way(size: Size) -> None:
    """A button's amount is the one it stood for."""
    assert size == read_size(size_text(size), "BTC")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", Asked("", "")),
        ("BTC", Asked("BTC", "")),
        ("$100", Asked("", "$100")),
        ("BTC $100", Asked("BTC", "$100")),
        ("$100 BTC", Asked("BTC", "$100")),
        ("0.5 btc", Asked("btc", "0.5")),
        ("$btc 50%", Asked("$btc", "50%")),
        ("all of my ETH", Asked("ETH", "all")),
        ("100 usdt of BTC", Asked("BTC", "100 usdt")),
        ("BTC for 100 $", Asked("BTC", "100 $")),
        ("BTC nan", Asked("BTC", "nan")),
        ("BTC ETH 5", Asked("BTC", "ETH 5")),
        ("\u0412\u0422\u0421 $100", Asked("\u0412\u0422\u0421", "$100")),
        ("BTC \uff11", Asked("BTC", "\uff11")),
        ("bitcoin -5", Asked("bitcoin", "-5")),
        ("something else", Asked("something else", "")),
    ],
)
def test_what_is_traded_is_told_from_how_much(typed: str, expected: Asked) -> None:
    """In either order, and neither is read yet."""
    assert expected == told_apart(typed, ["BTC", "ETH"])
