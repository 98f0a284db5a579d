"""Reads that may be old, from a replica.

A replica shows what was committed on the primary up to some moment. Which moment is read in the
same transaction, before anything else: each second every ledger that has a replica writes the
primary's time into the table `freshness`, and whoever sees a mark sees all that was committed
before it. What time it is now is the primary's clock too, told with each mark and carried on by a
monotonic clock: neither a replica that hangs nor two clocks that differ make old reads look young.
When the primary is away nothing is marked, and soon nothing is young enough.

A replica that is away, refuses or lags is left alone for a while, and the primary serves.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

import asyncpg

from chassis.errors import ServiceError, TryAgain
from chassis.postgres import Connection, Pool, transaction
from chassis.telemetry import get_logger
from kernel.money import AssetId
from ledger import metrics
from ledger.domain.history import Place, TradeRecord
from ledger.domain.performance import Record
from ledger.postgres.reading import Records

MARK_SECONDS = 1.0
"""Between two marks: so much older than it is every read looks."""

AWAY_SECONDS = 5.0
"""How long a replica that could not serve is left alone."""

# Several ledgers mark the same row: one of them each second is enough.
_MARK = """
    WITH marked AS (
        UPDATE ledger.freshness SET marked_at = clock_timestamp()
        WHERE marked_at < clock_timestamp() - make_interval(secs => $1)
    )
    SELECT clock_timestamp()
"""
_MARKED = "SELECT marked_at FROM ledger.freshness"

Result = TypeVar("Result")
_log = get_logger(__name__)


class TooOld(TryAgain):
    """The replica lags further behind than reads may be old."""


class Freshness:
    """Marks the time on the primary, and tells how old a replica is."""

    def __init__(self, primary: Pool) -> None:
        self._primary = primary
        self._told: tuple[datetime, float] | None = None

    async def mark(self) -> None:
        """Mark the time. Raises TryAgain."""
        asked_at = time.monotonic()
        async with transaction(self._primary) as connection:
            now: datetime = await connection.fetchval(_MARK, MARK_SECONDS / 2)
        # Asked before it was told: what passed in between makes reads look older, never younger.
        self._told = now, asked_at

    async def run(self) -> None:
        """Mark until cancelled."""
        while True:
            try:
                await self.mark()
            except ServiceError as error:
                _log.warning("freshness_not_marked", error=str(error))
            await asyncio.sleep(MARK_SECONDS)

    async def age_seconds(self, replica: Connection) -> float:
        """Tell how old what this transaction reads is at most."""
        marked_at: datetime = await replica.fetchval(_MARKED)
        if self._told is None:
            return float("inf")
        told, asked_at = self._told
        now = told + timedelta(seconds=time.monotonic() - asked_at)
        return (now - marked_at).total_seconds()


class OldRecords:
    """Records from a replica that is young enough, else from the primary."""

    def __init__(
        self, primary: Records, replica: Pool, freshness: Freshness, age_seconds_max: float
    ) -> None:
        self._primary = primary
        self._replica = Records(replica, self._require_young)
        self._freshness = freshness
        self._age_seconds_max = age_seconds_max
        self._ask_at = float("-inf")

    async def list_trades(
        self, user_id: UUID, before: Place | None, rows_max: int
    ) -> list[TradeRecord]:
        """See application.reading.RecordStore."""
        return await self._read(lambda records: records.list_trades(user_id, before, rows_max))

    async def read_record(
        self, user_id: UUID, currency: AssetId, past: Sequence[datetime]
    ) -> Record:
        """See application.reading.RecordStore."""
        return await self._read(lambda records: records.read_record(user_id, currency, past))

    async def _read(self, read: Callable[[Records], Awaitable[Result]]) -> Result:
        if time.monotonic() >= self._ask_at:
            try:
                answer = await read(self._replica)
            except (TryAgain, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                self._ask_at = time.monotonic() + AWAY_SECONDS
                why = "too_old" if isinstance(error, TooOld) else "away"
                metrics.REPLICA_READS.labels(why).inc()
                _log.warning("replica_left_alone", why=why, error=type(error).__name__)
            else:
                metrics.REPLICA_READS.labels("answered").inc()
                return answer
        else:
            metrics.REPLICA_READS.labels("left_alone").inc()
        return await read(self._primary)

    async def _require_young(self, connection: Connection) -> None:
        age_seconds = await self._freshness.age_seconds(connection)
        metrics.REPLICA_AGE_SECONDS.set(age_seconds)
        if age_seconds > self._age_seconds_max:
            raise TooOld
