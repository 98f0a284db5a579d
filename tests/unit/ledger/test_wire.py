"""What is refused before the books are asked, and how it is named."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ledger.books import NOW, REGISTRY, USDT

from chassis.errors import MalformedRequest
from ledger.domain.assets import fits
from ledger.domain.history import (
    PAGE_SIZE_MAX,
    Place,
    TradeRecord,
    read_page_size,
    read_token,
    write_token,
)
from ledger.domain.operations import OPERATIONS_PER_CALL_MAX, Amount, Side, check_digits
from ledger.domain.performance import MARKS_MAX, PAST_TIMES_MAX
from ledger.wire import read_marks, read_operations, read_past
from purser.ledger.v1 import ledger_pb2
from purser.ledger.v1.ledger_pb2 import (
    FaucetOperation,
    FeeOperation,
    Mark,
    MarkedTime,
    Operation,
    ReleaseOperation,
)
from purser.money.v1.money_pb2 import Amount as AmountMessage

USER = "12345678-1234-7234-8234-123456789012"
ORDER = "00000000-0000-7000-8000-000000000001"


def usdt(value: str) -> AmountMessage:
    """An amount of USDT."""
    return AmountMessage(asset_id="paper:USDT", value=value)


def btc(value: str) -> AmountMessage:
    """An amount of BTC."""
    return AmountMessage(asset_id="paper:BTC", value=value)


def fill(**changed: Any) -> Operation:
    """A well-formed fill, but for what is changed."""
    fields: dict[str, Any] = {
        "user_id": USER,
        "order_id": ORDER,
        "spent": usdt("100"),
        "received": btc("0.5"),
        "fee": btc("0"),
        "side": ledger_pb2.TRADE_SIDE_BUY,
    } | changed
    return Operation(idempotency_key="k", fill=ledger_pb2.FillOperation(**fields))


def hold(**changed: Any) -> Operation:
    """A well-formed hold, but for what is changed."""
    fields: dict[str, Any] = {"user_id": USER, "order_id": ORDER, "amount": usdt("1")} | changed
    return Operation(idempotency_key="k", hold=ledger_pb2.HoldOperation(**fields))


MALFORMED = (
    ("operations[0].kind", Operation(idempotency_key="k")),
    ("operations[0].idempotency_key", Operation(release=ReleaseOperation())),
    ("operations[0].idempotency_key", Operation(idempotency_key="k" * 129)),
    ("operations[0].idempotency_key", Operation(idempotency_key="a\0b")),
    ("operations[0].hold.user_id", hold(user_id="")),
    ("operations[0].hold.order_id", hold(order_id="\u202e" + ORDER[1:])),
    ("operations[0].hold.amount.asset_id", hold(amount=None)),
    ("operations[0].hold.amount.value", hold(amount=usdt("0"))),
    ("operations[0].hold.amount.value", hold(amount=usdt("-1"))),
    ("operations[0].hold.amount.value", hold(amount=usdt("NaN"))),
    ("operations[0].hold.amount.value", hold(amount=usdt("1e999"))),
    ("operations[0].hold.amount.value", hold(amount=usdt("\uff11"))),
    ("operations[0].hold.expires_at", hold(expires_at=Timestamp(seconds=2**62))),
    ("operations[0].fill.spent.value", fill(spent=usdt("0"))),
    ("operations[0].fill.received.value", fill(received=btc("0"))),
    ("operations[0].fill.received.asset_id", fill(received=usdt("1"), fee=usdt("0"))),
    ("operations[0].fill.fee.asset_id", fill(fee=usdt("0"))),
    ("operations[0].fill.fee.asset_id", fill(fee=None)),
    ("operations[0].fill.fee.value", fill(fee=btc("0.50000001"))),
    ("operations[0].fill.fee.value", fill(fee=btc("-0.1"))),
    ("operations[0].fill.side", fill(side=0)),
    ("operations[0].fill.side", fill(side=7)),
    (
        "operations[0].faucet.amount.value",
        Operation(idempotency_key="k", faucet=FaucetOperation(user_id=USER, amount=usdt(""))),
    ),
    (
        "operations[0].fee.user_id",
        Operation(idempotency_key="k", fee=FeeOperation(user_id="me", amount=usdt("1"))),
    ),
    ("operations[0].release.user_id", Operation(idempotency_key="k", release=ReleaseOperation())),
)


@pytest.mark.parametrize(("field", "operation"), MALFORMED)
def test_a_malformed_operation_is_refused_naming_the_field(
    field: str, operation: Operation
) -> None:
    """From the outside in, as one would type it."""
    with pytest.raises(MalformedRequest) as refusal:
        read_operations([operation])

    assert refusal.value.field == field


def test_the_place_of_the_malformed_operation_is_told() -> None:
    """A hundred of them may be in a call."""
    with pytest.raises(MalformedRequest, match=r"^operations\[2\]\.hold\.user_id: expected a UUID"):
        read_operations([hold(), hold(), hold(user_id="x")])


@pytest.mark.parametrize("count", [0, OPERATIONS_PER_CALL_MAX + 1])
def test_too_few_or_too_many_operations_are_refused(count: int) -> None:
    """The contract's 1 to 100."""
    with pytest.raises(MalformedRequest, match=rf"^operations: .* got {count}$"):
        read_operations([hold()] * count)


def test_the_last_operation_has_nothing_to_be_linked_to() -> None:
    """A group that goes on into nothing is a caller's mistake."""
    last = hold()
    last.linked = True

    with pytest.raises(MalformedRequest, match=r"^operations\[1\]\.linked"):
        read_operations([hold(), last])


@pytest.mark.parametrize(
    ("field", "operation"),
    [
        ("operations[1].hold.amount.value", hold(amount=usdt("1.0000001"))),
        ("operations[1].fill.spent.value", fill(spent=usdt("0.0000001"))),
        ("operations[1].fill.received.value", fill(received=btc("0.500000001"))),
        ("operations[1].fill.fee.value", fill(fee=btc("0.000000001"))),
    ],
)
def test_an_amount_finer_than_its_asset_is_refused_naming_the_field(
    field: str, operation: Operation
) -> None:
    """What the books could not give back in whole units must not come in."""
    with pytest.raises(MalformedRequest) as refusal:
        check_digits(read_operations([hold(), operation]), REGISTRY)

    assert refusal.value.field == field


def test_zeros_are_no_digits_and_an_unknown_asset_is_not_judged() -> None:
    """1.0000000 is a whole number; what has no account anywhere is answered NOT_FOUND."""
    unknown = AmountMessage(asset_id="paper:XYZ", value="0.000000000000000001")

    check_digits(read_operations([hold(amount=usdt("1.0000000")), hold(amount=unknown)]), REGISTRY)


@given(units=st.integers(0, 10**56 - 1), decimals=st.integers(0, 18))
def test_an_amount_fits_exactly_when_it_is_a_whole_number_of_units(
    units: int, decimals: int
) -> None:
    """For every amount there can be."""
    text = f"{units:019d}"
    assert fits(Decimal(f"{text[:-18]}.{text[-18:]}"), decimals) == (
        units % 10 ** (18 - decimals) == 0
    )


def _marks(count: int) -> list[Mark]:
    return [Mark(asset_id=f"paper:A{number}", price="1") for number in range(count)]


@pytest.mark.parametrize(
    ("field", "read"),
    [
        ("marks", lambda: read_marks("marks", _marks(MARKS_MAX + 1))),
        ("marks[1].asset_id", lambda: read_marks("marks", [*_marks(1), *_marks(1)])),
        ("marks[0].asset_id", lambda: read_marks("marks", [Mark(price="1")])),
        ("marks[0].price", lambda: read_marks("marks", [Mark(asset_id="paper:A", price="0")])),
        ("marks[0].price", lambda: read_marks("marks", [Mark(asset_id="paper:A", price="-1")])),
        ("past", lambda: read_past([MarkedTime()] * (PAST_TIMES_MAX + 1))),
        (
            "past[1].at",
            lambda: read_past(
                [MarkedTime(at=Timestamp(seconds=2)), MarkedTime(at=Timestamp(seconds=1))]
            ),
        ),
        ("past[0].at", lambda: read_past([MarkedTime(at=Timestamp(seconds=2**60))])),
        ("past[0].marks[0].price", lambda: read_past([MarkedTime(marks=[Mark(asset_id="a:b")])])),
    ],
)
def test_malformed_marks_are_refused_naming_the_field(
    field: str, read: Callable[[], object]
) -> None:
    """Prices above zero, each asset once, times from the oldest to the newest."""
    with pytest.raises(MalformedRequest) as refusal:
        read()

    assert refusal.value.field == field


@given(at=st.datetimes(timezones=st.just(UTC)), order=st.uuids())
def test_a_page_token_leads_back_to_its_place(at: datetime, order: UUID) -> None:
    """To the microsecond, also before 1970."""
    assert read_token(write_token(Place(at, order))) == Place(at, order)


@pytest.mark.parametrize(
    "token", ["x", "é", "AAAA", "A" * 33, "A" * 36, "f" + "_" * 31, "AAAA AAAA"]
)
def test_a_page_token_that_is_none_is_refused(token: str) -> None:
    """Whatever a caller makes up."""
    with pytest.raises(MalformedRequest, match=r"^page_token: "):
        read_token(token)


def test_no_token_means_the_newest_and_no_size_the_default() -> None:
    """Unset fields of a message."""
    assert read_token("") is None
    assert (read_page_size(0), read_page_size(1), read_page_size(PAGE_SIZE_MAX)) == (20, 1, 100)
    with pytest.raises(MalformedRequest, match=r"^page_size: .* got 101$"):
        read_page_size(PAGE_SIZE_MAX + 1)


@pytest.mark.parametrize(
    ("side", "spent", "received", "price"),
    [
        (Side.BUY, "100", "3", "33.333333333333333333"),
        (Side.BUY, "200", "3", "66.666666666666666667"),
        (Side.SELL, "8", "1", "0.125"),
        (Side.BUY, "0.000000000000000001", "2", "0"),
        (Side.BUY, "0.000000000000000003", "2", "0.000000000000000002"),
        (Side.BUY, "1" + "0" * 37, "0.000000000000000001", None),
    ],
)
def test_a_trades_price_is_currency_per_unit_rounded_half_to_even(
    side: Side, spent: str, received: str, price: str | None
) -> None:
    """And unknown when it has more digits than an amount can have."""
    trade = TradeRecord(
        order_id=UUID(ORDER),
        side=side,
        spent=Amount(USDT, Decimal(spent)),
        received=Amount(USDT, Decimal(received)),
        fee=Decimal(0),
        realised_pnl=None,
        posted_at=NOW,
    )

    assert trade.price == (None if price is None else Decimal(price))
