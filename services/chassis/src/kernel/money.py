"""Exact money: amounts as Decimal, how they are written, and rounding asked for by name.

Python's default context keeps 28 digits and rounds the rest away in silence:
12345678901.000000000000000001 plus zero loses its last unit. So arithmetic on money happens in
`EXACT` (78 digits, wide enough for two 38.18 amounts and the 256-bit integers of a chain), which
raises `decimal.Inexact` instead of rounding:

    with exact():
        total = price_paid + fee        # exact, or an exception

Where a result cannot be exact (a share, a price), the rounding is named at the call:
`multiply_down`, `divide_up`, ... "Down" is toward zero, "up" is away from it. Floats are refused
everywhere.
"""

import decimal
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import NewType

from kernel.malformed import Malformed

PRECISION_DIGITS = 78
INTEGER_DIGITS_MAX = 38
FRACTION_DIGITS_MAX = 18
ASSET_ID_CHARACTERS_MIN = 3
ASSET_ID_CHARACTERS_MAX = 128

EXACT = decimal.Context(
    prec=PRECISION_DIGITS,
    rounding=decimal.ROUND_HALF_EVEN,
    Emin=-PRECISION_DIGITS * 2,
    Emax=PRECISION_DIGITS * 2,
    traps=[
        decimal.Inexact,
        decimal.InvalidOperation,
        decimal.DivisionByZero,
        decimal.Overflow,
        decimal.Underflow,
        decimal.Subnormal,
        decimal.FloatOperation,
    ],
)
"""Arithmetic that is exact or raises. Do not change it; `exact()` gives a copy to work in."""

_AMOUNT = re.compile(r"-?(0|[1-9][0-9]{0,37})(\.[0-9]{1,18})?")
_ASSET_ID = re.compile(r"[a-z0-9]+(:[A-Za-z0-9._-]+)+")
_LIMIT = Decimal(10) ** INTEGER_DIGITS_MAX

AssetId = NewType("AssetId", str)
"""The immutable id of an asset: its world, a colon, its name there, as in `paper:USDT`."""


class MalformedAmount(Malformed):
    """Not an amount of money, or one outside 38 integer and 18 fractional digits."""


class MalformedAssetId(Malformed):
    """Not an asset's id."""


def exact() -> AbstractContextManager[decimal.Context]:
    """Compute exactly inside the `with`: Decimal's operators raise where they would round."""
    return decimal.localcontext(EXACT)


def parse_amount(text: str) -> Decimal:
    """Read a plain decimal: at most 38 digits before the point and 18 after it.

    No exponent, no plus sign, no spare zero in front: "0.5", never ".5", "5e-1" or "+0.5". Minus
    zero reads as zero. Raises MalformedAmount.
    """
    if not _AMOUNT.fullmatch(text):
        raise MalformedAmount(
            f"expected an amount as a plain decimal of at most {INTEGER_DIGITS_MAX} digits before "
            f"the point and {FRACTION_DIGITS_MAX} after it"
        )
    value = Decimal(text)
    return value or Decimal(0)


def format_amount(value: Decimal) -> str:
    """Write an amount as `parse_amount` reads it: no exponent, no trailing zeros, "0" for any zero.

    Raises MalformedAmount rather than lose a digit.
    """
    return format(_strip(_checked(value)), "f")


def round_down(value: Decimal, digits: int) -> Decimal:
    """Round toward zero to `digits` (0 to 18) after the point: what we owe nobody a fraction of."""
    return _rounded(value, digits, decimal.ROUND_DOWN)


def round_up(value: Decimal, digits: int) -> Decimal:
    """Round away from zero to `digits` (0 to 18) after the point: what must be enough."""
    return _rounded(value, digits, decimal.ROUND_UP)


def multiply_down(one: Decimal, other: Decimal, digits: int) -> Decimal:
    """Multiply and round the product toward zero to `digits` after the point."""
    return _operate(decimal.Context.multiply, one, other, digits, decimal.ROUND_DOWN)


def multiply_up(one: Decimal, other: Decimal, digits: int) -> Decimal:
    """Multiply and round the product away from zero to `digits` after the point."""
    return _operate(decimal.Context.multiply, one, other, digits, decimal.ROUND_UP)


def divide_down(one: Decimal, other: Decimal, digits: int) -> Decimal:
    """Divide and round the quotient toward zero. Raises decimal.DivisionByZero."""
    return _operate(decimal.Context.divide, one, other, digits, decimal.ROUND_DOWN)


def divide_up(one: Decimal, other: Decimal, digits: int) -> Decimal:
    """Divide and round the quotient away from zero. Raises decimal.DivisionByZero."""
    return _operate(decimal.Context.divide, one, other, digits, decimal.ROUND_UP)


def check_asset_id(text: str) -> AssetId:
    """Return the asset's id if it is one; else raise MalformedAssetId."""
    if not ASSET_ID_CHARACTERS_MIN <= len(
        text
    ) <= ASSET_ID_CHARACTERS_MAX or not _ASSET_ID.fullmatch(text):
        raise MalformedAssetId(
            f"expected an asset id like 'paper:USDT', {ASSET_ID_CHARACTERS_MIN} to "
            f"{ASSET_ID_CHARACTERS_MAX} characters"
        )
    return AssetId(text)


def _operate(
    operation: Callable[[decimal.Context, Decimal, Decimal], Decimal],
    one: Decimal,
    other: Decimal,
    digits: int,
    rounding: str,
) -> Decimal:
    # At 78 digits first, then to `digits`: both steps round the same way, so the result is that of
    # one step.
    return _rounded(operation(_rounding_context(rounding), one, other), digits, rounding)


def _rounded(value: Decimal, digits: int, rounding: str) -> Decimal:
    if not 0 <= digits <= FRACTION_DIGITS_MAX:
        raise ValueError(f"digits must be 0 to {FRACTION_DIGITS_MAX}")
    exponent = Decimal((0, (1,), -digits))
    return _checked(value).quantize(exponent, context=_rounding_context(rounding))


def _rounding_context(rounding: str) -> decimal.Context:
    context = EXACT.copy()
    context.rounding = rounding
    for condition in (decimal.Inexact, decimal.Underflow, decimal.Subnormal):
        context.traps[condition] = False
    return context


def _checked(value: object) -> Decimal:
    # copy_abs, because abs() would round to whatever context is current.
    if not isinstance(value, Decimal) or not value.is_finite() or value.copy_abs() >= _LIMIT:
        raise MalformedAmount(
            f"expected a Decimal of at most {INTEGER_DIGITS_MAX} digits before the point"
        )
    return value


def _strip(value: Decimal) -> Decimal:
    if not value:
        return Decimal(0)
    try:
        stripped = value.normalize(EXACT)
    except decimal.DecimalException as error:
        raise MalformedAmount("expected a Decimal that needs no rounding") from error
    exponent = stripped.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -FRACTION_DIGITS_MAX:
        raise MalformedAmount(f"expected at most {FRACTION_DIGITS_MAX} digits after the point")
    return stripped
