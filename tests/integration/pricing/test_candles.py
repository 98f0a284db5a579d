"""Minute candles in a real PostgreSQL, and what pricing's role may do."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import grpc.aio
import pytest
from tests.integration.pricing.conftest import Serve
from tests.integration.stores import pool_of

from chassis.errors import TryAgain
from devbox.database import Database
from pricing.domain import Candle, Source
from pricing.postgres import CandleBook
from purser.pricing.v1 import pricing_pb2
from purser.pricing.v1.pricing_pb2_grpc import PricingServiceStub

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FORBIDDEN = (
    "UPDATE pricing.candles SET close = 1",
    "DELETE FROM pricing.candles",
    "CREATE TABLE pricing.mine ()",
    "SELECT * FROM wallet.wallets",
    "SELECT * FROM ledger.accounts",
    "SELECT * FROM placement.shards",
    "SELECT placement.fence('default.main', 0, 1)",
)


def candle(symbol: str, close: str, minute: datetime = NOON) -> Candle:
    """A candle that closes so."""
    price = Decimal(close)
    return Candle(symbol, "USDT", Source.SIMULATED, minute, price, price, price, price)


async def test_the_first_candle_of_a_minute_is_kept_to_the_last_digit(database: Database) -> None:
    """Every replica offers it; a finished minute never changes."""
    exact = "12345678901.000000000000000001"
    async with pool_of(database, "purser_pricing") as pool:
        book = CandleBook(pool)
        await book.add([candle("BTC", exact), candle("ETH", "1")])
        await book.add([candle("ETH", "2"), candle("BTC", "3")])
        rows = await pool.fetch("SELECT symbol, close FROM pricing.candles ORDER BY symbol")

    assert [("BTC", Decimal(exact)), ("ETH", Decimal(1))] == [tuple(row) for row in rows]


async def test_a_refusal_by_the_database_says_try_again_and_ends_nothing(
    database: Database,
) -> None:
    """Prices matter more than their memory."""
    async with pool_of(database, "purser_pricing") as pool:
        with pytest.raises(TryAgain, match="23514"):
            await CandleBook(pool).add([candle("BTC", "1", NOON.replace(second=1))])


async def test_candles_nobody_can_read_any_more_are_forgotten(database: Database) -> None:
    """A batch at a time; what one may still look back to stays, and cannot be asked away."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    young, old = now - timedelta(days=30), now - timedelta(days=32)
    month = timedelta(days=31)
    async with pool_of(database, "purser_pricing") as pool:
        book = CandleBook(pool)
        await book.add([candle("BTC", "1", young)])
        await book.add([candle("BTC", "1", old - timedelta(minutes=n)) for n in range(5)])
        forgotten = [await book.forget(month, rows_max=3) for _ in range(3)]
        with pytest.raises(TryAgain, match="22023"):
            await book.forget(timedelta(days=29), rows_max=3)
        left = await pool.fetch("SELECT minute FROM pricing.candles")

    assert [3, 2, 0] == forgotten
    assert [young] == [row["minute"] for row in left]


async def test_pricings_role_can_do_no_more_than_it_must(database: Database) -> None:
    """It cannot change a candle, look into another room, or ask the fence: it writes for no
    shard."""
    connection = await asyncpg.connect(database.url("purser_pricing"))
    try:
        for statement in FORBIDDEN:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        assert await connection.fetchval("SHOW transaction_timeout") == "1s"
    finally:
        await connection.close()


async def test_a_chart_is_there_right_after_the_first_start(serve: Serve) -> None:
    """The past of the simulated market is filled in; candles of every length agree."""
    async with serve(step_milliseconds=1000, history_hours=2) as stub:
        minutes = await until_candles(stub, 1, 121)
        quarters = (await ask(stub, 15, 8)).candles

    begins = [candle.begins_at.ToDatetime() for candle in minutes]
    assert begins == sorted(begins)
    assert {later - earlier for earlier, later in itertools.pairwise(begins[:-2])} == {
        timedelta(minutes=1)
    }
    whole = quarters[2]
    inside = [m for m in minutes if 0 <= (m.begins_at.seconds - whole.begins_at.seconds) < 900]
    assert (whole.open, whole.close) == (inside[0].open, inside[-1].close)
    assert Decimal(whole.high) == max(Decimal(candle.high) for candle in inside)
    assert Decimal(whole.low) == min(Decimal(candle.low) for candle in inside)


async def test_candles_before_a_time_are_older_than_it(serve: Serve) -> None:
    """So that one can page back."""
    async with serve(step_milliseconds=1000, history_hours=2) as stub:
        newest = (await until_candles(stub, 1, 100))[-1]
        request = pricing_pb2.GetCandlesRequest(symbol="BTC", interval_minutes=1, count_max=5)
        request.before.FromSeconds(newest.begins_at.seconds - 600)
        older = (await stub.GetCandles(request, timeout=5)).candles

    assert [newest.begins_at.seconds - 600 - 60 * k for k in range(5, 0, -1)] == [
        candle.begins_at.seconds for candle in older
    ]


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("symbol", {"symbol": "btc"}),
        ("interval_minutes", {"interval_minutes": 2}),
        ("count_max", {"count_max": 0}),
        ("count_max", {"count_max": 501}),
    ],
)
async def test_a_malformed_request_is_told_its_field(
    serve: Serve, field: str, wrong: dict[str, Any]
) -> None:
    """And an unknown symbol is not found."""
    asked: dict[str, Any] = {"symbol": "BTC", "interval_minutes": 1, "count_max": 1}
    async with serve() as stub:
        with pytest.raises(grpc.aio.AioRpcError, match=field) as refusal:
            await stub.GetCandles(pricing_pb2.GetCandlesRequest(**{**asked, **wrong}), timeout=5)
        with pytest.raises(grpc.aio.AioRpcError, match="NONE") as unknown:
            await stub.GetCandles(
                pricing_pb2.GetCandlesRequest(**{**asked, "symbol": "NONE"}), timeout=5
            )

    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


async def test_instruments_are_listed_with_their_digits(serve: Serve) -> None:
    """Ordered by symbol."""
    async with serve() as stub:
        listed = await stub.ListInstruments(pricing_pb2.ListInstrumentsRequest(), timeout=5)

    symbols = [i.symbol for i in listed.instruments]
    assert sorted(symbols) == symbols
    assert ("BTC", "USDT", 2) in [
        (i.symbol, i.currency, i.price_digits) for i in listed.instruments
    ]


async def ask(stub: PricingServiceStub, minutes: int, count: int) -> Any:
    """BTC's newest candles."""
    return await stub.GetCandles(
        pricing_pb2.GetCandlesRequest(symbol="BTC", interval_minutes=minutes, count_max=count),
        timeout=5,
    )


async def until_candles(stub: PricingServiceStub, minutes: int, count: int) -> Any:
    """The same once there are so many."""
    async with asyncio.timeout(30):
        while len(found := (await ask(stub, minutes, count)).candles) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return found
