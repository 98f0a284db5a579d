"""The books, as the conversation reads them.

What people call an asset comes from the registry, which changes with a deployment only: it is read
when an id turns up that is not known yet, and remembered.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp

from kernel.identifiers import parse_uuid
from kernel.malformed import Malformed
from kernel.money import format_amount, parse_amount
from kernel.sharding import Claim
from purser.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from purser.money.v1 import money_pb2
from user_worker.clients.asked import asked
from user_worker.clients.books import amount_to
from user_worker.domain.orders import Coins, Side
from user_worker.domain.performance import (
    EquityPoint,
    MarkedTime,
    Performance,
    Position,
    Trade,
    TradePage,
)
from user_worker.errors import RequestRefused
from user_worker.ports import Balance
from user_worker.wire import claim_to

_SIDES: dict[int, Side] = {
    ledger_pb2.TRADE_SIDE_BUY: Side.BUY,
    ledger_pb2.TRADE_SIDE_SELL: Side.SELL,
}


class LedgerClient:
    """The books."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._stub = ledger_pb2_grpc.LedgerServiceStub(channel)
        self._timeout_seconds = timeout_seconds
        self._symbols: dict[str, str] = {}

    async def ensure_accounts(
        self, claim: Claim, user_id: UUID, asset_ids: Sequence[str]
    ) -> Sequence[Balance]:
        """Make or find the user's accounts, in the order asked. May raise RequestRefused."""
        response = await asked(
            "ledger",
            self._stub.EnsureAccounts(
                ledger_pb2.EnsureAccountsRequest(
                    claim=claim_to(claim), user_id=str(user_id), asset_ids=asset_ids
                ),
                timeout=self._timeout_seconds,
            ),
        )
        with _reading():
            return [
                Balance(
                    asset_id=account.posted.asset_id,
                    posted=parse_amount(account.posted.value),
                    held=parse_amount(account.held.value),
                )
                for account in response.accounts
            ]

    async def open_faucet(self, claim: Claim, user_id: UUID, amount: Coins) -> bool:
        """Give a new user his play money: the first time, and only then, it is given (True).

        The key names the user and nothing else, so that nobody is given twice, whichever job asks.
        """
        response = await asked(
            "ledger",
            self._stub.ApplyOperations(
                ledger_pb2.ApplyOperationsRequest(
                    claim=claim_to(claim),
                    operations=[
                        ledger_pb2.Operation(
                            idempotency_key=f"faucet:{user_id}",
                            faucet=ledger_pb2.FaucetOperation(
                                user_id=str(user_id), amount=amount_to(amount)
                            ),
                        )
                    ],
                ),
                timeout=self._timeout_seconds,
            ),
        )
        (result,) = response.results
        given = result.outcome == ledger_pb2.OPERATION_OUTCOME_APPLIED
        already = result.outcome == ledger_pb2.OPERATION_OUTCOME_LIMIT_EXCEEDED
        if not given and not already:
            outcome = ledger_pb2.OperationOutcome.Name(result.outcome)
            raise RequestRefused("ledger", f"the faucet: {outcome}")
        return given and not result.replayed

    async def trades(self, user_id: UUID, page_size: int, page_token: str) -> TradePage:
        """Read trades, newest first. May raise RequestRefused (a malformed token)."""
        response = await asked(
            "ledger",
            self._stub.ListTrades(
                ledger_pb2.ListTradesRequest(
                    user_id=str(user_id),
                    page_size=page_size,
                    page_token=page_token,
                    # Older pages do not change; the newest must show what was done just now.
                    may_be_old=bool(page_token),
                ),
                timeout=self._timeout_seconds,
            ),
        )
        symbols = await self._symbols_of(
            amount.asset_id for trade in response.trades for amount in (trade.spent, trade.received)
        )
        with _reading():
            trades = tuple(_trade_of(trade, symbols) for trade in response.trades)
        return TradePage(trades, response.next_page_token)

    async def performance(
        self,
        user_id: UUID,
        currency_asset_id: str,
        marks: Mapping[str, Decimal],
        past: Sequence[MarkedTime],
        *,
        may_be_old: bool = False,
    ) -> Performance:
        """Read how trading went; `marks` are present prices by asset id."""
        response = await asked(
            "ledger",
            self._stub.GetPerformance(
                ledger_pb2.GetPerformanceRequest(
                    user_id=str(user_id),
                    currency_asset_id=currency_asset_id,
                    marks=_marks_to(marks),
                    past=[
                        ledger_pb2.MarkedTime(
                            at=_timestamp_to(marked.at), marks=_marks_to(marked.marks)
                        )
                        for marked in past
                    ],
                    may_be_old=may_be_old,
                ),
                timeout=self._timeout_seconds,
            ),
        )
        if len(response.points) != len(past):
            raise RequestRefused("ledger", "it did not answer for each past time")
        symbols = await self._symbols_of(
            [
                currency_asset_id,
                *(position.quantity.asset_id for position in response.positions),
                *(fee.asset_id for fee in response.fees),
            ]
        )
        with _reading():
            return _performance_of(response, symbols, currency_asset_id)

    async def _symbols_of(self, asset_ids: Iterable[str]) -> Mapping[str, str]:
        if not set(asset_ids) <= self._symbols.keys():
            response = await asked(
                "ledger",
                self._stub.ListAssets(
                    ledger_pb2.ListAssetsRequest(), timeout=self._timeout_seconds
                ),
            )
            self._symbols = {asset.asset_id: asset.symbol for asset in response.assets}
        return self._symbols


@contextmanager
def _reading() -> Iterator[None]:
    """Read an answer inside the `with`: what is not what the contract says is RequestRefused."""
    try:
        yield
    except Malformed as malformed:
        raise RequestRefused("ledger", str(malformed)) from None


def _performance_of(
    response: ledger_pb2.GetPerformanceResponse, symbols: Mapping[str, str], currency_id: str
) -> Performance:
    def known(field: str) -> Decimal | None:
        amount: money_pb2.Amount = getattr(response, field)
        return parse_amount(amount.value) if response.HasField(field) else None  # type: ignore[arg-type]

    return Performance(
        currency=_symbol_of(currency_id, symbols),
        positions=tuple(_position_of(position, symbols) for position in response.positions),
        equity=known("equity"),
        net_deposits=parse_amount(response.net_deposits.value),
        realised_pnl=parse_amount(response.realised_pnl.value),
        unrealised_pnl=known("unrealised_pnl"),
        trades=response.trades,
        winning_trades=response.winning_trades,
        losing_trades=response.losing_trades,
        even_trades=response.even_trades,
        win_rate=_number_of(response.win_rate),
        profit_factor=_number_of(response.profit_factor),
        expectancy=known("expectancy"),
        max_drawdown=parse_amount(response.max_drawdown.value),
        max_drawdown_ratio=_number_of(response.max_drawdown_ratio),
        fees=tuple(_coins_of(fee, symbols) for fee in response.fees),
        points=tuple(
            EquityPoint(
                at=_time_of(point.at),
                equity=parse_amount(point.equity.value) if point.HasField("equity") else None,
                net_deposits=parse_amount(point.net_deposits.value),
            )
            for point in response.points
        ),
    )


def _position_of(position: ledger_pb2.Position, symbols: Mapping[str, str]) -> Position:
    asset_id = position.quantity.asset_id
    return Position(
        asset_id=asset_id,
        symbol=_symbol_of(asset_id, symbols),
        quantity=parse_amount(position.quantity.value),
        held=parse_amount(position.held.value),
        cost=parse_amount(position.cost.value) if position.HasField("cost") else None,
        value=parse_amount(position.value.value) if position.HasField("value") else None,
    )


def _trade_of(trade: ledger_pb2.Trade, symbols: Mapping[str, str]) -> Trade:
    has_result = trade.HasField("realised_pnl")
    return Trade(
        order_id=parse_uuid(trade.order_id),
        side=_side_of(trade.side),
        spent=_coins_of(trade.spent, symbols),
        received=_coins_of(trade.received, symbols),
        fee=_coins_of(trade.fee, symbols),
        price=_number_of(trade.price),
        realised_pnl=parse_amount(trade.realised_pnl.value) if has_result else None,
        posted_at=_time_of(trade.posted_at),
    )


def _side_of(side: int) -> Side:
    known = _SIDES.get(side)
    if known is None:
        raise Malformed("expected a trade to be a buy or a sell")
    return known


def _coins_of(amount: money_pb2.Amount, symbols: Mapping[str, str]) -> Coins:
    return Coins(amount.asset_id, _symbol_of(amount.asset_id, symbols), parse_amount(amount.value))


def _symbol_of(asset_id: str, symbols: Mapping[str, str]) -> str:
    # An asset the registry has lost is called by its id: odd, and better than no answer.
    return symbols.get(asset_id, asset_id)


def _number_of(text: str) -> Decimal | None:
    return parse_amount(text) if text else None


def _marks_to(marks: Mapping[str, Decimal]) -> list[ledger_pb2.Mark]:
    return [
        ledger_pb2.Mark(asset_id=asset_id, price=format_amount(price))
        for asset_id, price in marks.items()
    ]


def _timestamp_to(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def _time_of(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)
