"""What several exchanges' prices say together: one price, or none. Pure.

The rule has one bound, `deviation_max`, a fraction of the median, and no favourite exchange:

1. Prices further from the median of all than the bound are outliers and are dropped.
2. More than half of the prices must remain; else there is no price: the exchanges disagree, and
   which of them is right nobody can tell.
3. The price is the median of those that remain.

So of three or more a minority cannot move the price: it is either within the bound or dropped. Of
two the median is their middle; when they lie further apart than twice the bound both are outliers,
and no fresh price is better than a guess: the old one stays, with its age, and ages. One alone has
nobody to contradict it and is taken; whoever does not want that asks for `statements_min` 2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from kernel.money import exact

_HALF = Decimal("0.5")


@dataclass(frozen=True, slots=True)
class Agreement:
    """What came of the prices of one symbol."""

    price: Decimal | None
    """None: too few prices, or they disagree."""
    outliers: frozenset[str]
    """The exchanges whose prices were dropped; all of them when they disagree."""


def agree(
    prices: Mapping[str, Decimal], deviation_max: Decimal, statements_min: int = 1
) -> Agreement:
    """Find the price that the exchanges (by name) agree on, exact. Prices are above zero."""
    if not prices or len(prices) < statements_min:
        return Agreement(None, frozenset())
    with exact():
        middle = median(list(prices.values()))
        bound = middle * deviation_max
        outliers = frozenset(name for name, price in prices.items() if abs(price - middle) > bound)
        kept = [price for name, price in prices.items() if name not in outliers]
        if 2 * len(kept) <= len(prices):
            return Agreement(None, frozenset(prices))
        return Agreement(median(kept), outliers)


def median(values: list[Decimal]) -> Decimal:
    """Give the middle value, of an even number the mean of the two in the middle, exact."""
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    with exact():
        return (ordered[half - 1] + ordered[half]) * _HALF
