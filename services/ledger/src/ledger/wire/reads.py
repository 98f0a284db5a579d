"""Accounts, trades and performance on the wire."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from chassis.errors import MalformedRequest, read_field
from kernel.malformed import Malformed
from kernel.money import AssetId, check_asset_id, format_amount, parse_amount
from ledger.domain.accounts import Account
from ledger.domain.assets import Asset
from ledger.domain.history import TradeRecord
from ledger.domain.operations import Side
from ledger.domain.performance import (
    MARKS_MAX,
    PAST_TIMES_MAX,
    EquityPoint,
    HeldPosition,
    MarkedTime,
    Performance,
)
from ledger.wire.values import amount_message, read_time, time_message, within
from purser.ledger.v1 import ledger_pb2
from purser.money.v1 import money_pb2

_SIDES = {
    Side.BUY: ledger_pb2.TRADE_SIDE_BUY,
    Side.SELL: ledger_pb2.TRADE_SIDE_SELL,
}


def read_marks(field: str, messages: Sequence[ledger_pb2.Mark]) -> dict[AssetId, Decimal]:
    """Read prices by asset. Raises MalformedRequest: too many, malformed, or one asset twice."""
    if len(messages) > MARKS_MAX:
        raise MalformedRequest(field, f"expected at most {MARKS_MAX} marks, got {len(messages)}")
    marks: dict[AssetId, Decimal] = {}
    for place, message in enumerate(messages):
        asset_id = read_field(f"{field}[{place}].asset_id", check_asset_id, message.asset_id)
        if asset_id in marks:
            raise MalformedRequest(f"{field}[{place}].asset_id", "expected each asset once")
        marks[asset_id] = read_field(f"{field}[{place}].price", _read_price, message.price)
    return marks


def read_past(messages: Sequence[ledger_pb2.MarkedTime]) -> list[MarkedTime]:
    """Read past times with their prices. Raises MalformedRequest."""
    if len(messages) > PAST_TIMES_MAX:
        expected = f"expected at most {PAST_TIMES_MAX} times, got {len(messages)}"
        raise MalformedRequest("past", expected)
    past: list[MarkedTime] = []
    latest: datetime | None = None
    for place, message in enumerate(messages):
        at = read_field(f"past[{place}].at", read_time, message.at)
        if latest is not None and at < latest:
            raise MalformedRequest(f"past[{place}].at", "expected the oldest first")
        latest = at
        try:
            past.append(MarkedTime(at, read_marks("marks", message.marks)))
        except MalformedRequest as error:
            raise within(f"past[{place}]", error) from error
    return past


def account_message(account: Account) -> ledger_pb2.Account:
    """Write one account."""
    return ledger_pb2.Account(
        account_id=str(account.account_id),
        posted=amount_message(account.asset_id, account.posted),
        held=amount_message(account.asset_id, account.held),
        created=account.created,
    )


def asset_message(asset: Asset) -> ledger_pb2.Asset:
    """Write one asset."""
    return ledger_pb2.Asset(asset_id=asset.asset_id, symbol=asset.symbol, decimals=asset.decimals)


def trade_message(trade: TradeRecord) -> ledger_pb2.Trade:
    """Write one trade."""
    return ledger_pb2.Trade(
        order_id=str(trade.order_id),
        side=_SIDES[trade.side],
        spent=amount_message(trade.spent.asset_id, trade.spent.value),
        received=amount_message(trade.received.asset_id, trade.received.value),
        fee=amount_message(trade.received.asset_id, trade.fee),
        price="" if trade.price is None else format_amount(trade.price),
        realised_pnl=_known(trade.received.asset_id, trade.realised_pnl),
        posted_at=time_message(trade.posted_at),
    )


def performance_message(performance: Performance) -> ledger_pb2.GetPerformanceResponse:
    """Write how trading went."""
    currency, tally = performance.currency, performance.tally
    return ledger_pb2.GetPerformanceResponse(
        positions=(_position(currency, position) for position in performance.positions),
        equity=_known(currency, performance.equity),
        net_deposits=amount_message(currency, tally.deposits),
        realised_pnl=amount_message(currency, tally.realised),
        unrealised_pnl=_known(currency, performance.unrealised_pnl),
        trades=performance.trades,
        winning_trades=tally.winning,
        losing_trades=tally.losing,
        even_trades=tally.even,
        win_rate=_ratio(tally.win_rate),
        profit_factor=_ratio(tally.profit_factor),
        expectancy=_known(currency, performance.expectancy),
        max_drawdown=amount_message(currency, tally.max_drawdown),
        max_drawdown_ratio=_ratio(tally.max_drawdown_ratio),
        fees=(amount_message(asset_id, fee) for asset_id, fee in performance.fees.items()),
        points=(_point(currency, point) for point in performance.points),
    )


def _position(currency: AssetId, position: HeldPosition) -> ledger_pb2.Position:
    return ledger_pb2.Position(
        quantity=amount_message(position.asset_id, position.quantity),
        held=amount_message(position.asset_id, position.held),
        cost=_known(currency, position.cost),
        value=_known(currency, position.value),
    )


def _point(currency: AssetId, point: EquityPoint) -> ledger_pb2.EquityPoint:
    return ledger_pb2.EquityPoint(
        at=time_message(point.at),
        equity=_known(currency, point.equity),
        net_deposits=amount_message(currency, point.net_deposits),
    )


def _known(asset_id: AssetId, value: Decimal | None) -> money_pb2.Amount | None:
    return None if value is None else amount_message(asset_id, value)


def _ratio(value: Decimal | None) -> str:
    return "" if value is None else format_amount(value)


def _read_price(text: str) -> Decimal:
    price = parse_amount(text)
    if price <= 0:
        raise Malformed("expected a price above zero")
    return price
