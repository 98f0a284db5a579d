"""Trades as they are read back, page by page. No I/O.

Newest first by the time of posting, which is the database's; the order's id breaks ties. A page
token is the place of the last trade of a page, so pages neither repeat nor skip trades while new
ones arrive.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from chassis.errors import MalformedRequest
from kernel.money import FRACTION_DIGITS_MAX, INTEGER_DIGITS_MAX
from ledger.domain.operations import Amount, Side
from ledger.domain.rounding import divide_half_even

PAGE_SIZE_DEFAULT = 20
PAGE_SIZE_MAX = 100
"""The contract's limit."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIME_BYTES = 8


@dataclass(frozen=True, slots=True)
class TradeRecord:
    """One filled order, as the books have it."""

    order_id: UUID
    side: Side
    spent: Amount
    received: Amount
    fee: Decimal
    """In the asset received."""
    realised_pnl: Decimal | None
    """In the currency; None of a buy."""
    posted_at: datetime

    @property
    def price(self) -> Decimal | None:
        """Currency per unit of the base asset, before the fee, rounded half to even.

        None when it has more digits than an amount can have.
        """
        base, currency = self.spent.value, self.received.value
        if self.side is Side.BUY:
            base, currency = currency, base
        price = divide_half_even(currency, base, FRACTION_DIGITS_MAX)
        return price if price < Decimal(10) ** INTEGER_DIGITS_MAX else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended."""

    posted_at: datetime
    order_id: UUID


def place_of(trade: TradeRecord) -> Place:
    """Give the place of a trade."""
    return Place(trade.posted_at, trade.order_id)


def write_token(place: Place) -> str:
    """Write a place as a page token: text that only means something to `read_token`."""
    microseconds = (place.posted_at - _EPOCH) // _MICROSECOND
    raw = microseconds.to_bytes(_TIME_BYTES, "big", signed=True) + place.order_id.bytes
    return base64.urlsafe_b64encode(raw).decode()


def read_token(token: str) -> Place | None:
    """Read a page token; None of an empty one. Raises MalformedRequest."""
    if not token:
        return None
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        microseconds = int.from_bytes(raw[:_TIME_BYTES], "big", signed=True)
        # A UUID refuses to be made of more or fewer bytes than its own.
        return Place(_EPOCH + microseconds * _MICROSECOND, UUID(bytes=raw[_TIME_BYTES:]))
    except (binascii.Error, ValueError, OverflowError) as error:
        expected = "expected next_page_token of an earlier page"
        raise MalformedRequest("page_token", expected) from error


def read_page_size(sent: int) -> int:
    """Read the size of a page; 0 means the default. Raises MalformedRequest."""
    if sent > PAGE_SIZE_MAX:
        raise MalformedRequest("page_size", f"expected at most {PAGE_SIZE_MAX}, got {sent}")
    return sent or PAGE_SIZE_DEFAULT
