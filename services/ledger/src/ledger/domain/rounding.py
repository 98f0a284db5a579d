"""Quotients for people to look at, rounded half to even. No I/O.

Nothing that is owed is rounded this way: what moves money names its direction (`kernel.money`).
"""

import decimal
from decimal import Decimal

from kernel.money import EXACT

_WIDE = EXACT.copy()
_WIDE.prec = 200
"""Wide enough that the digit where the rounding is decided is always among those computed: 76 of a
quotient of two amounts, and the rest tells a tie from what is next to one."""
for _condition in (decimal.Inexact, decimal.Underflow, decimal.Subnormal):
    _WIDE.traps[_condition] = False


def divide_half_even(one: Decimal, other: Decimal, digits: int) -> Decimal:
    """Divide and round the quotient to `digits` after the point. Raises decimal.DivisionByZero."""
    return _WIDE.quantize(_WIDE.divide(one, other), Decimal((0, (1,), -digits)))


def multiply_half_even(one: Decimal, other: Decimal, digits: int) -> Decimal:
    """Multiply and round the product to `digits` after the point."""
    return _WIDE.quantize(_WIDE.multiply(one, other), Decimal((0, (1,), -digits)))
