"""What the ledger answers becomes what the conversation reads, over real gRPC."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.grpc_client import open_channel
from chassis.grpc_server import ServerSettings, serving
from chassis.telemetry import Telemetry
from kernel.sharding import Claim
from purser.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from purser.money.v1 import money_pb2
from user_worker.clients import LedgerClient
from user_worker.domain.orders import Coins, Side
from user_worker.domain.performance import MarkedTime
from user_worker.errors import RequestRefused

CLAIM = Claim("default.main", 0, 1)
ANN, ORDER = UUID(int=1), UUID(int=2)
AT = datetime(2026, 11, 26, 12, 0, 0, 123456, tzinfo=UTC)
GIFT = Coins("paper:USDT", "USDT", Decimal(10_000))


def amount(asset: str, value: str) -> money_pb2.Amount:
    """Write an amount of play money."""
    return money_pb2.Amount(asset_id=f"paper:{asset}", value=value)


def stamp(at: datetime = AT) -> Timestamp:
    """Write a time."""
    written = Timestamp()
    written.FromDatetime(at)
    return written


@dataclass
class Books(ledger_pb2_grpc.LedgerServiceServicer):
    """Answers what it is told, and keeps what it was asked."""

    performance: ledger_pb2.GetPerformanceResponse = field(
        default_factory=lambda: ledger_pb2.GetPerformanceResponse(
            net_deposits=amount("USDT", "10000"),
            realised_pnl=amount("USDT", "0"),
            max_drawdown=amount("USDT", "0"),
        )
    )
    trades: ledger_pb2.ListTradesResponse = field(default_factory=ledger_pb2.ListTradesResponse)
    result: ledger_pb2.OperationResult = field(default_factory=ledger_pb2.OperationResult)
    asked: list[Any] = field(default_factory=list)
    registry_reads: int = 0

    async def GetPerformance(  # noqa: N802 (the proto's name)
        self, request: ledger_pb2.GetPerformanceRequest, context: object
    ) -> ledger_pb2.GetPerformanceResponse:
        """Give the performance."""
        self.asked.append(request)
        return self.performance

    async def ListTrades(  # noqa: N802
        self, request: ledger_pb2.ListTradesRequest, context: object
    ) -> ledger_pb2.ListTradesResponse:
        """Give the trades."""
        self.asked.append(request)
        return self.trades

    async def ApplyOperations(  # noqa: N802
        self, request: ledger_pb2.ApplyOperationsRequest, context: object
    ) -> ledger_pb2.ApplyOperationsResponse:
        """Give the result."""
        self.asked.append(request)
        return ledger_pb2.ApplyOperationsResponse(results=[self.result])

    async def ListAssets(  # noqa: N802
        self, request: ledger_pb2.ListAssetsRequest, context: object
    ) -> ledger_pb2.ListAssetsResponse:
        """Give the registry."""
        self.registry_reads += 1
        return ledger_pb2.ListAssetsResponse(
            assets=[
                ledger_pb2.Asset(asset_id=f"paper:{symbol}", symbol=symbol, decimals=8)
                for symbol in ("BTC", "USDT")
            ]
        )


@pytest.fixture
async def books() -> AsyncIterator[tuple[Books, LedgerClient]]:
    """Books that answer, and the client that asks them."""
    servicer = Books()  # type: ignore[abstract]  # only what is called here
    async with (
        serving(
            ServerSettings(drain_timeout_seconds=0.1),
            lambda server: ledger_pb2_grpc.add_LedgerServiceServicer_to_server(servicer, server),
            Telemetry("fake", None, []),
        ) as server,
        open_channel(server.address) as channel,
    ):
        yield servicer, LedgerClient(channel, 3.0)


async def test_the_faucet_gives_under_a_key_of_the_user_alone(
    books: tuple[Books, LedgerClient],
) -> None:
    """Whichever job asks, and however often, it is one gift."""
    servicer, client = books
    servicer.result.outcome = ledger_pb2.OPERATION_OUTCOME_APPLIED
    assert await client.open_faucet(CLAIM, ANN, GIFT)
    servicer.result.replayed = True
    assert not await client.open_faucet(CLAIM, ANN, GIFT)
    servicer.result.outcome = ledger_pb2.OPERATION_OUTCOME_LIMIT_EXCEEDED
    assert not await client.open_faucet(CLAIM, ANN, GIFT)

    assert 3 == len(servicer.asked)
    for request in servicer.asked:
        (operation,) = request.operations
        assert f"faucet:{ANN}" == operation.idempotency_key
        assert amount("USDT", "10000") == operation.faucet.amount
        assert str(ANN) == operation.faucet.user_id
        assert 1 == request.claim.epoch


async def test_a_faucet_that_fails_is_no_gift_and_no_silence(
    books: tuple[Books, LedgerClient],
) -> None:
    """An outcome nobody expects is an error that names it."""
    servicer, client = books
    servicer.result.outcome = ledger_pb2.OPERATION_OUTCOME_IDEMPOTENCY_MISMATCH

    with pytest.raises(RequestRefused, match="IDEMPOTENCY_MISMATCH"):
        await client.open_faucet(CLAIM, ANN, GIFT)


async def test_trades_come_with_what_people_call_their_assets(
    books: tuple[Books, LedgerClient],
) -> None:
    """The registry is read once, and what is absent is None."""
    servicer, client = books
    servicer.trades.next_page_token = "older"
    servicer.trades.trades.add(
        order_id=str(ORDER),
        side=ledger_pb2.TRADE_SIDE_SELL,
        spent=amount("BTC", "0.001"),
        received=amount("USDT", "97.5"),
        fee=amount("USDT", "0.1"),
        price="97500",
        realised_pnl=amount("USDT", "-1.5"),
        posted_at=stamp(),
    )
    servicer.trades.trades.add(
        order_id=str(ORDER),
        side=ledger_pb2.TRADE_SIDE_BUY,
        spent=amount("USDT", "100"),
        received=amount("LOST", "0.001"),
        fee=amount("LOST", "0"),
        posted_at=stamp(),
    )
    page = await client.trades(ANN, 6, "token")
    await client.trades(ANN, 6, "")
    sell, buy = page.trades

    assert (6, "token") == (servicer.asked[0].page_size, servicer.asked[0].page_token)
    assert "older" == page.next_page_token
    assert (Side.SELL, ORDER, AT) == (sell.side, sell.order_id, sell.posted_at)
    assert Coins("paper:BTC", "BTC", Decimal("0.001")) == sell.spent
    assert (Decimal(97_500), Decimal("-1.5")) == (sell.price, sell.realised_pnl)
    assert (Side.BUY, None, None) == (buy.side, buy.price, buy.realised_pnl)
    assert "paper:LOST" == buy.received.symbol


async def test_the_registry_is_remembered(books: tuple[Books, LedgerClient]) -> None:
    """It changes with a deployment only."""
    servicer, client = books
    for _ in range(3):
        await client.performance(ANN, "paper:USDT", {}, ())

    assert 1 == servicer.registry_reads


async def test_performance_is_asked_exactly_and_what_is_absent_is_none(
    books: tuple[Books, LedgerClient],
) -> None:
    """Never zero; every digit arrives."""
    servicer, client = books
    exact = "12345678901.000000000000000001"
    servicer.performance.MergeFrom(
        ledger_pb2.GetPerformanceResponse(
            positions=[
                ledger_pb2.Position(quantity=amount("BTC", exact), held=amount("BTC", "0.5")),
                ledger_pb2.Position(
                    quantity=amount("USDT", "5"),
                    held=amount("USDT", "0"),
                    value=amount("USDT", "5"),
                ),
            ],
            trades=3,
            win_rate="0.5",
            points=[
                ledger_pb2.EquityPoint(at=stamp(), net_deposits=amount("USDT", "0")),
                ledger_pb2.EquityPoint(
                    at=stamp(), equity=amount("USDT", exact), net_deposits=amount("USDT", "1")
                ),
            ],
        )
    )
    told = await client.performance(
        ANN,
        "paper:USDT",
        {"paper:BTC": Decimal("97123.456000")},
        [
            MarkedTime(AT, {"paper:BTC": Decimal(95_000)}),
            MarkedTime(AT + timedelta(hours=1), {}),
        ],
    )

    (request,) = servicer.asked
    assert [("paper:BTC", "97123.456")] == [(m.asset_id, m.price) for m in request.marks]
    assert [("paper:BTC", "95000")] == [(m.asset_id, m.price) for m in request.past[0].marks]
    assert stamp() == request.past[0].at
    bitcoin, tether = told.positions
    assert ("BTC", Decimal(exact), Decimal("0.5")) == (
        bitcoin.symbol,
        bitcoin.quantity,
        bitcoin.held,
    )
    assert (None, None) == (bitcoin.cost, bitcoin.value)
    assert Decimal(5) == tether.value
    assert (None, None, None, None, None) == (
        told.equity,
        told.unrealised_pnl,
        told.expectancy,
        told.profit_factor,
        told.max_drawdown_ratio,
    )
    assert ("USDT", Decimal("0.5"), 3) == (told.currency, told.win_rate, told.trades)
    assert [(AT, None), (AT, Decimal(exact))] == [(p.at, p.equity) for p in told.points]


async def test_an_answer_against_the_contract_is_refused(
    books: tuple[Books, LedgerClient],
) -> None:
    """Nothing is guessed of it."""
    servicer, client = books
    servicer.trades.trades.add(order_id=str(ORDER), spent=amount("BTC", "1e5"))
    with pytest.raises(RequestRefused):
        await client.trades(ANN, 6, "")
    with pytest.raises(RequestRefused):
        await client.performance(ANN, "paper:USDT", {}, [MarkedTime(AT, {})])
    servicer.performance.net_deposits.CopyFrom(amount("USDT", "NaN"))
    with pytest.raises(RequestRefused):
        await client.performance(ANN, "paper:USDT", {}, ())
