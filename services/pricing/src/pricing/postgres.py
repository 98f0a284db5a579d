"""Pricing's SQL: minute candles.

Every replica offers every candle it has seen whole; the primary key keeps the first. No claim and
no fence: a candle belongs to no shard, and its key is its own cause.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg

from chassis.errors import TryAgain
from chassis.postgres import Pool, transaction
from pricing.domain import Candle, Span, Traded

_ADD = """
    INSERT INTO pricing.candles (symbol, currency, source, minute, open, high, low, close)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[],
                         $5::numeric[], $6::numeric[], $7::numeric[], $8::numeric[])
    ORDER BY 1, 2, 3, 4
    ON CONFLICT DO NOTHING
"""
_READ = """
    SELECT date_bin($4, minute, 'epoch') AS begins_at,
           (array_agg(open ORDER BY minute))[1] AS open, max(high) AS high, min(low) AS low,
           (array_agg(close ORDER BY minute DESC))[1] AS close
    FROM pricing.candles
    WHERE symbol = $1 AND currency = $2 AND source = $3 AND minute >= $5 AND minute < $6
    GROUP BY 1 ORDER BY 1
"""
_COUNT = """
    SELECT count(*) FROM pricing.candles
    WHERE symbol = $1 AND currency = $2 AND source = $3 AND minute >= $4 AND minute < $5
"""

_FORGET = "SELECT pricing.forget_candles($1, $2)"


class CandleBook:
    """Candles in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, candles: Sequence[Candle]) -> None:
        """See application.CandleBook. One statement; sorted, so that replicas cannot deadlock."""
        try:
            async with transaction(self._pool) as connection:
                await connection.execute(_ADD, *_columns(candles))
        except asyncpg.PostgresError as error:
            # Prices matter more than their memory: whatever is wrong here must not end pricing.
            raise TryAgain(f"the database refuses candles ({error.sqlstate})") from error

    async def read(
        self, traded: Traded, interval: timedelta, begin: datetime, end: datetime
    ) -> list[Span]:
        """See application.CandleBook. Reads a row per minute between `begin` and `end`."""
        async with transaction(self._pool, readonly=True) as connection:
            rows = await connection.fetch(_READ, *_of(traded), interval, begin, end)
        return [Span(*row) for row in rows]

    async def count(self, traded: Traded, begin: datetime, end: datetime) -> int:
        """See history.PastBook."""
        async with transaction(self._pool, readonly=True) as connection:
            count: int = await connection.fetchval(_COUNT, *_of(traded), begin, end)
        return count

    async def forget(self, age: timedelta, rows_max: int) -> int:
        """See housekeeping.AgingBook."""
        try:
            async with transaction(self._pool) as connection:
                forgotten: int = await connection.fetchval(_FORGET, age.total_seconds(), rows_max)
        except asyncpg.PostgresError as error:
            raise TryAgain(f"the database forgets no candles ({error.sqlstate})") from error
        return forgotten


def _of(traded: Traded) -> tuple[str, str, str]:
    return traded.symbol, traded.currency, traded.source.value


def _columns(candles: Sequence[Candle]) -> tuple[list[object], ...]:
    return (
        [c.symbol for c in candles],
        [c.currency for c in candles],
        [c.source.value for c in candles],
        [c.minute for c in candles],
        [c.open for c in candles],
        [c.high for c in candles],
        [c.low for c in candles],
        [c.close for c in candles],
    )
