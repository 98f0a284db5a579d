"""What holdings cost, by average cost. No I/O.

The average cost method (IAS 2 §27, "weighted average cost"; HMRC calls it the pooled cost of a
Section 104 holding): the total cost of a holding is kept, never a unit cost, so that nothing is
rounded while it grows. Selling q out of Q takes the share q/Q of the cost along, rounded down to 18
digits, and the whole cost when everything is sold: rounding never outlives a position.

A position is what *trades in one currency* brought and have not yet sold. What came without a trade
(a gift) is no part of it and cost nothing; selling more than the position holds takes its whole
cost along. A fee charged outside a trade leaves the cost with what remains.
"""

from dataclasses import dataclass
from decimal import Decimal

from kernel.money import FRACTION_DIGITS_MAX, exact


@dataclass(frozen=True, slots=True)
class Position:
    """So much of an asset, bought with one currency."""

    quantity: Decimal
    cost: Decimal
    """In the currency, fees included."""


NOTHING = Position(Decimal(0), Decimal(0))


def buy(position: Position, quantity: Decimal, cost: Decimal) -> Position:
    """Add what was received after the fee, and what was spent."""
    with exact():
        return Position(position.quantity + quantity, position.cost + cost)


def sell(position: Position, quantity: Decimal) -> tuple[Position, Decimal]:
    """Take what was spent out of the position; gives what is left and the cost of what was sold."""
    if quantity >= position.quantity:
        return NOTHING, position.cost
    # In whole units of 10^-18: the product of three amounts would not fit into 78 digits.
    cost, sold, held = (_units(value) for value in (position.cost, quantity, position.quantity))
    with exact():
        removed = Decimal(cost * sold // held).scaleb(-FRACTION_DIGITS_MAX)
        return Position(position.quantity - quantity, position.cost - removed), removed


def _units(value: Decimal) -> int:
    with exact():
        return int(value.scaleb(FRACTION_DIGITS_MAX))
