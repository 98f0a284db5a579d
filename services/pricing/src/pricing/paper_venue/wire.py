"""Orders and outcomes as they travel: purser.venue.v1 and back. Used by the door alone.

Reading refuses what no order can be, naming the field: amounts of another asset than the symbol's
or finer than its smallest unit, bounds that contradict each other. A symbol that is not traded here
is none of these: it has no assets to compare with, and its order is refused by an outcome.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from chassis.errors import MalformedRequest, read_field
from kernel.identifiers import parse_uuid
from kernel.money import check_asset_id, format_amount, parse_amount, round_down
from pricing.domain import is_symbol
from pricing.paper_venue.domain import (
    Amount,
    Asset,
    Instrument,
    Order,
    Outcome,
    Preview,
    Refusal,
    Refused,
    Side,
    Size,
    State,
)
from purser.money.v1 import money_pb2
from purser.venue.v1 import venue_pb2

Instruments = Mapping[str, Instrument]

_SIDES = {venue_pb2.ORDER_SIDE_BUY: Side.BUY, venue_pb2.ORDER_SIDE_SELL: Side.SELL}
_STATES = {
    State.FILLED: venue_pb2.ORDER_STATE_FILLED,
    State.REFUSED: venue_pb2.ORDER_STATE_REFUSED,
    State.TOMBSTONED: venue_pb2.ORDER_STATE_TOMBSTONED,
}
_REASONS = {
    Refusal.SLIPPAGE: venue_pb2.REFUSAL_REASON_SLIPPAGE,
    Refusal.STALE_PRICE: venue_pb2.REFUSAL_REASON_STALE_PRICE,
    Refusal.UNKNOWN_SYMBOL: venue_pb2.REFUSAL_REASON_UNKNOWN_SYMBOL,
    Refusal.TOO_SMALL: venue_pb2.REFUSAL_REASON_TOO_SMALL,
    Refusal.TOO_LARGE: venue_pb2.REFUSAL_REASON_TOO_LARGE,
}


def read_order(request: venue_pb2.SubmitOrderRequest, instruments: Instruments) -> Order:
    """Read an order. Raises MalformedRequest."""
    side, symbol = _read_side(request.side), _read_symbol(request.symbol)
    instrument = instruments.get(symbol)
    receive_min = _read_amount("receive_min", request.receive_min)
    order = Order(
        order_id=read_field("order_id", parse_uuid, request.order_id),
        user_id=read_field("user_id", parse_uuid, request.user_id),
        side=side,
        symbol=symbol,
        spend=_above_zero("spend", _read_amount("spend", request.spend)),
        receive_min=receive_min,
        receive_max=None,
    )
    if request.HasField("receive_max"):
        most = _above_zero("receive_max", _read_amount("receive_max", request.receive_max))
        if most.asset_id != receive_min.asset_id or most.value < receive_min.value:
            raise MalformedRequest("receive_max", "expected at least receive_min, of its asset")
        order = replace(order, receive_max=most.value)
    if instrument is not None:
        _check_assets(order, instrument)
    return order


def read_preview(
    request: venue_pb2.PreviewOrderRequest, instruments: Instruments
) -> tuple[Side, str, Size]:
    """Read what an order would be. Raises MalformedRequest."""
    side, symbol = _read_side(request.side), _read_symbol(request.symbol)
    field = request.WhichOneof("size")
    if field is None:
        raise MalformedRequest("size", "expected an amount to spend or to receive")
    sent = request.spend if field == "spend" else request.receive
    amount = _above_zero(field, _read_amount(field, sent))
    instrument = instruments.get(symbol)
    if instrument is not None:
        asset = instrument.spent(side) if field == "spend" else instrument.received(side)
        _check_asset(field, amount.asset_id, amount.value, asset)
    if field == "spend":
        return side, symbol, Size(spend=amount.value)
    return side, symbol, Size(receive_max=amount.value)


def outcome_to_message(outcome: Outcome | None) -> venue_pb2.OrderOutcome:
    """Write an outcome; None is an order never seen."""
    if outcome is None:
        return venue_pb2.OrderOutcome(state=venue_pb2.ORDER_STATE_NOT_FOUND)
    message = venue_pb2.OrderOutcome(state=_STATES[outcome.state])
    if outcome.refusal is not None:
        message.refusal_reason = _REASONS[outcome.refusal]
    if outcome.fill is not None:
        message.spent.CopyFrom(_amount(outcome.fill.spent))
        message.received.CopyFrom(_amount(outcome.fill.received))
        message.fee.CopyFrom(_amount(outcome.fill.fee))
    return message


def preview_to_message(preview: Preview) -> venue_pb2.PreviewOrderResponse:
    """Write what an order would do."""
    message = venue_pb2.PreviewOrderResponse()
    if preview.quote is not None:
        message.stated_at.FromDatetime(preview.quote.stated_at)
    result = preview.result
    if isinstance(result, Refused):
        message.refusal_reason = _REASONS[result.reason]
        if result.bound is not None:
            message.bound.CopyFrom(_amount(result.bound))
        return message
    message.spent.CopyFrom(_amount(result.spent))
    message.received.CopyFrom(_amount(result.received))
    message.fee.CopyFrom(_amount(result.fee))
    message.price = format_amount(result.price)
    return message


def _read_side(number: venue_pb2.OrderSide.ValueType) -> Side:
    side = _SIDES.get(number)
    if side is None:
        raise MalformedRequest("side", "expected BUY or SELL")
    return side


def _read_symbol(text: str) -> str:
    if not is_symbol(text):
        raise MalformedRequest("symbol", "expected a symbol like BTC: 1 to 16 of A-Z and 0-9")
    return text


def _read_amount(field: str, sent: money_pb2.Amount) -> Amount:
    """Read an amount of at least zero."""
    asset_id = read_field(f"{field}.asset_id", check_asset_id, sent.asset_id)
    value = read_field(f"{field}.value", parse_amount, sent.value)
    if value < 0:
        raise MalformedRequest(f"{field}.value", "expected an amount that is not below zero")
    return Amount(asset_id, value)


def _above_zero(field: str, amount: Amount) -> Amount:
    if not amount.value:
        raise MalformedRequest(f"{field}.value", "expected an amount above zero")
    return amount


def _check_assets(order: Order, instrument: Instrument) -> None:
    _check_asset("spend", order.spend.asset_id, order.spend.value, instrument.spent(order.side))
    receives = instrument.received(order.side)
    _check_asset("receive_min", order.receive_min.asset_id, order.receive_min.value, receives)
    if order.receive_max is not None:
        _check_asset("receive_max", receives.asset_id, order.receive_max, receives)


def _check_asset(field: str, asset_id: str, value: Decimal, asset: Asset) -> None:
    if asset_id != asset.asset_id:
        raise MalformedRequest(f"{field}.asset_id", f"expected {asset.asset_id}")
    if round_down(value, asset.decimals) != value:
        raise MalformedRequest(
            f"{field}.value", f"expected at most {asset.decimals} digits after the point"
        )


def _amount(amount: Amount) -> money_pb2.Amount:
    return money_pb2.Amount(asset_id=amount.asset_id, value=format_amount(amount.value))
