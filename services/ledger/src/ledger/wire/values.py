"""Amounts, times and the naming of fields on the wire."""

from datetime import UTC, datetime
from decimal import Decimal

from google.protobuf.timestamp_pb2 import Timestamp

from chassis.errors import MalformedRequest
from kernel.malformed import Malformed
from kernel.money import format_amount
from purser.money.v1 import money_pb2


def amount_message(asset_id: str, value: Decimal) -> money_pb2.Amount:
    """Write an amount."""
    return money_pb2.Amount(asset_id=asset_id, value=format_amount(value))


def read_time(message: Timestamp) -> datetime:
    """Read a time, to the microsecond. Raises Malformed when it is no time between year 1 and 9999.

    What is finer than a microsecond is cut off: the database keeps microseconds.
    """
    try:
        return message.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise Malformed("expected a time between the years 1 and 9999") from error


def time_message(time: datetime) -> Timestamp:
    """Write a time."""
    message = Timestamp()
    message.FromDatetime(time)
    return message


def within(place: str, error: MalformedRequest) -> MalformedRequest:
    """The same error, its field named from further out."""
    return MalformedRequest(f"{place}.{error.field}", str(error).removeprefix(f"{error.field}: "))
