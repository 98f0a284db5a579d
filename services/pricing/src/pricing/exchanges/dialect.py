"""What is particular to one exchange: how it names pairs, is asked, and answers. No I/O.

A dialect turns pairs into a request and an answer's bytes into the middle of each pair's book. What
it reads was written by strangers: an answer of another shape than documented is Garbled as a whole,
a price that is no price (negative, zero as of a halted pair, NaN, 1e999, a number where a string
is documented) costs that pair alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from kernel.money import MalformedAmount, exact, parse_amount
from pricing.exchanges.errors import Garbled

SPREAD_MAX = Decimal("0.02")
"""The widest book, as a fraction of its middle, whose middle says anything: the pairs quoted here
trade within a thousandth."""
_HALF = Decimal("0.5")


@dataclass(frozen=True, slots=True)
class Request:
    """A GET of one exchange."""

    path: str
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no plain failure of transport."""

    status: int
    body: bytes


class Dialect(Protocol):
    """One exchange's ways."""

    @property
    def name(self) -> str:
        """What metrics, logs and keys call it."""
        ...

    def pair(self, symbol: str, currency: str) -> str:
        """Name a pair the way answers do."""
        ...

    def request(self, pairs: Sequence[str] | None) -> Request:
        """Ask for some pairs, or for all there are."""
        ...

    def read(self, answer: Answer) -> dict[str, Decimal | None]:
        """Read the middle of each pair's book; None where it is no price.

        Raises NoAnswer.
        """
        ...


def decode(body: bytes) -> Any:
    """Read JSON. Raises Garbled."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise Garbled("the answer is no JSON") from None


def middle(bid: object, ask: object) -> Decimal | None:
    """Find the middle of a book: exact; None unless both are prices, in order and close."""
    low, high = price_of(bid), price_of(ask)
    if low is None or high is None or low > high:
        return None
    with exact():
        found = (low + high) * _HALF
        return found if high - low <= found * SPREAD_MAX else None


def price_of(value: object) -> Decimal | None:
    """Read a price: a string, plainly written, above zero; None if it is none."""
    try:
        price = parse_amount(value) if isinstance(value, str) else Decimal(0)
    except MalformedAmount:
        return None
    return price if price > 0 else None
