"""Minute candles in a real PostgreSQL, and what pricing's role may do."""

from datetime import UTC, datetime
from decimal import Decimal

import asyncpg
import pytest

from chassis.errors import TryAgain
from chassis.postgres import PostgresSettings, open_pool
from chassis.settings import Secret
from devbox.database import Database
from pricing.domain import Candle, Source
from pricing.postgres import CandleBook

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
    pool = await open_pool(
        PostgresSettings(database_url=Secret(database.url("purser_pricing"))), "test"
    )
    book = CandleBook(pool)
    try:
        await book.add([candle("BTC", exact), candle("ETH", "1")])
        await book.add([candle("ETH", "2"), candle("BTC", "3")])
        rows = await pool.fetch("SELECT symbol, close FROM pricing.candles ORDER BY symbol")
    finally:
        await pool.close()

    assert [("BTC", Decimal(exact)), ("ETH", Decimal(1))] == [tuple(row) for row in rows]


async def test_a_refusal_by_the_database_says_try_again_and_ends_nothing(
    database: Database,
) -> None:
    """Prices matter more than their memory."""
    pool = await open_pool(
        PostgresSettings(database_url=Secret(database.url("purser_pricing"))), "test"
    )
    try:
        with pytest.raises(TryAgain, match="23514"):
            await CandleBook(pool).add([candle("BTC", "1", NOON.replace(second=1))])
    finally:
        await pool.close()


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
