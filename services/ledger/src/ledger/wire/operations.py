"""Operations and their answers on the wire.

Reading refuses what can be seen without the books, naming the field: `MalformedRequest`. This is
the hot path of the ledger: a request of a hundred operations is read in about a millisecond.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from chassis.errors import MalformedRequest, read_field
from kernel.identifiers import parse_uuid
from kernel.money import check_asset_id, parse_amount
from ledger.domain.operations import (
    IDEMPOTENCY_KEY_CHARACTERS_MAX,
    OPERATIONS_PER_CALL_MAX,
    Action,
    Amount,
    Answer,
    Faucet,
    Fee,
    Fill,
    Hold,
    Operation,
    Outcome,
    Release,
    Side,
)
from ledger.wire.values import read_time, within
from purser.ledger.v1 import ledger_pb2
from purser.money.v1 import money_pb2

_OUTCOMES: Mapping[Outcome, ledger_pb2.OperationOutcome.ValueType] = {
    outcome: ledger_pb2.OperationOutcome.Value(f"OPERATION_OUTCOME_{outcome.name}")
    for outcome in Outcome
}
_SIDES: Mapping[int, Side] = {
    ledger_pb2.TRADE_SIDE_BUY: Side.BUY,
    ledger_pb2.TRADE_SIDE_SELL: Side.SELL,
}


def read_operations(messages: Sequence[ledger_pb2.Operation]) -> list[Operation]:
    """Read the operations of a request. Raises MalformedRequest naming the first wrong field."""
    if not 1 <= len(messages) <= OPERATIONS_PER_CALL_MAX:
        raise MalformedRequest(
            "operations", f"expected 1 to {OPERATIONS_PER_CALL_MAX} operations, got {len(messages)}"
        )
    operations = []
    for place, message in enumerate(messages):
        try:
            operations.append(_operation(message))
        except MalformedRequest as error:
            raise within(f"operations[{place}]", error) from error
    if operations[-1].linked:
        raise MalformedRequest(
            f"operations[{len(operations) - 1}].linked", "the last operation has no next one"
        )
    return operations


def answer_message(answer: Answer) -> ledger_pb2.OperationResult:
    """Write the answer to one operation."""
    return ledger_pb2.OperationResult(
        outcome=_OUTCOMES[answer.outcome],
        transfer_id="" if answer.transfer_id is None else str(answer.transfer_id),
        replayed=answer.replayed,
    )


def _operation(message: ledger_pb2.Operation) -> Operation:
    key = message.idempotency_key
    if not 1 <= len(key) <= IDEMPOTENCY_KEY_CHARACTERS_MAX or "\0" in key:
        raise MalformedRequest(
            "idempotency_key", f"expected 1 to {IDEMPOTENCY_KEY_CHARACTERS_MAX} characters, no NUL"
        )
    kind = message.WhichOneof("kind")
    if kind is None:
        raise MalformedRequest("kind", "expected one of hold, fill, release, faucet, fee")
    try:
        return Operation(key, _action(message, kind), message.linked)
    except MalformedRequest as error:
        raise within(kind, error) from error


def _action(message: ledger_pb2.Operation, kind: str) -> Action:
    match kind:
        case "hold":
            hold = message.hold
            expires = hold.HasField("expires_at")
            return Hold(
                _uuid("user_id", hold.user_id),
                _uuid("order_id", hold.order_id),
                _positive("amount", hold.amount),
                read_field("expires_at", read_time, hold.expires_at) if expires else None,
            )
        case "fill":
            return _fill(message.fill)
        case "release":
            release = message.release
            return Release(_uuid("user_id", release.user_id), _uuid("order_id", release.order_id))
        case "faucet":
            gift = message.faucet
            return Faucet(_uuid("user_id", gift.user_id), _positive("amount", gift.amount))
        case _:
            charge = message.fee
            return Fee(_uuid("user_id", charge.user_id), _positive("amount", charge.amount))


def _fill(message: ledger_pb2.FillOperation) -> Fill:
    spent, received = _positive("spent", message.spent), _positive("received", message.received)
    if spent.asset_id == received.asset_id:
        raise MalformedRequest("received.asset_id", "expected another asset than was spent")
    fee = _amount("fee", message.fee)
    if fee.asset_id != received.asset_id:
        raise MalformedRequest("fee.asset_id", "expected the asset received")
    if not 0 <= fee.value <= received.value:
        raise MalformedRequest("fee.value", "expected zero or more, at most what was received")
    side = _SIDES.get(message.side)
    if side is None:
        raise MalformedRequest("side", "expected a buy or a sell")
    user_id, order_id = _uuid("user_id", message.user_id), _uuid("order_id", message.order_id)
    return Fill(user_id, order_id, spent, received, fee, side)


def _uuid(field: str, text: str) -> UUID:
    return read_field(field, parse_uuid, text)


def _positive(field: str, message: money_pb2.Amount) -> Amount:
    amount = _amount(field, message)
    if amount.value <= 0:
        raise MalformedRequest(f"{field}.value", "expected an amount above zero")
    return amount


def _amount(field: str, message: money_pb2.Amount) -> Amount:
    return Amount(
        read_field(f"{field}.asset_id", check_asset_id, message.asset_id),
        read_field(f"{field}.value", parse_amount, message.value),
    )
