"""Looks at placement and at prices while a run goes on, and writes down what changed.

Placement is sampled ten times a second; when it says that something changed (NOTIFY), every few
milliseconds until each shard has an owner again, since a hand-over takes less than a sample's
pause. Both look on when what they look at is killed.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any

import grpc
from tests.e2e.live_run import DATABASE_GONE
from tests.history.records import HistoryFile, Placed, Quoted

from purser.pricing.v1 import pricing_pb2, pricing_pb2_grpc

Connect = Callable[[], Awaitable[Any]]
"""Opens a connection to the database, as one who may read everything; the caller ends it."""

SAMPLE_SECONDS = 0.1
CLOSE_SAMPLE_SECONDS = 0.005
CLOSE_LOOK_SECONDS_MAX = 1.0
"""A shard whose owner was killed has none for seconds; those need no close look."""
QUOTE_SECONDS = 1.0
AWAY_SECONDS = 0.2
"""Before looking again at a server that is away."""

_SHARDS = """
SELECT shard, owner, owner_incarnation::text AS incarnation, epoch, desired_owner,
       extract(epoch FROM ownerless_since)::double precision AS ownerless_since
FROM placement.shards WHERE pool = coalesce($1, pool) ORDER BY shard
"""


class PlacementWatch:
    """The newest row of each shard, and all that went before in the history."""

    def __init__(self, connect: Connect, history: HistoryFile, pool: str | None = None) -> None:
        """Look at the shards of one pool; None where there is but one."""
        self.rows: dict[int, Placed] = {}
        self.samples = 0
        self._connect = connect
        self._history = history
        self._pool = pool
        self._rung = asyncio.Event()
        self.sampled_at = time.time()
        """When the newest sample was asked for."""

    def owners(self) -> list[str]:
        """Name the workers that own shards."""
        return sorted({row.owner for row in self.rows.values() if row.owner is not None})

    async def watch(self) -> None:
        """Watch until cancelled."""
        while True:
            with contextlib.suppress(*DATABASE_GONE):
                connection = await self._connect()
                try:
                    await connection.add_listener("placement", lambda *_: self._rung.set())
                    await self._watch_with(connection)
                finally:
                    connection.terminate()
            await asyncio.sleep(AWAY_SECONDS)

    async def _watch_with(self, connection: Any) -> None:
        close_until = 0.0
        while True:
            await self._sample(connection)
            if self._rung.is_set():
                self._rung.clear()
                close_until = time.monotonic() + CLOSE_LOOK_SECONDS_MAX
            moving = any(row.owner is None for row in self.rows.values())
            if moving and time.monotonic() < close_until:
                await asyncio.sleep(CLOSE_SAMPLE_SECONDS)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._rung.wait(), SAMPLE_SECONDS)

    async def _sample(self, connection: Any) -> None:
        at = time.time()
        rows = await connection.fetch(_SHARDS, self._pool)
        seen_by = time.time()
        self.samples += 1
        for row in rows:
            placed = Placed(
                at=at, seen_by=seen_by, still_before_at=self.sampled_at, **dict(row.items())
            )
            before = self.rows.get(placed.shard)
            if before is None or _what(before) != _what(placed):
                self.rows[placed.shard] = placed
                self._history.add(placed)
        self.sampled_at = at


def _what(placed: Placed) -> tuple[str | None, int, str | None]:
    return placed.incarnation, placed.epoch, placed.desired_owner


class PriceWatch:
    """The newest price of each symbol, and all that went before in the history."""

    def __init__(
        self,
        address: str,
        symbols: Sequence[str],
        history: HistoryFile,
        open_channel: Callable[[str], grpc.aio.Channel] = grpc.aio.insecure_channel,
    ) -> None:
        """Ask pricing at this gRPC target."""
        self._open_channel = open_channel
        self.prices: dict[str, Decimal] = {}
        self._address = address
        self._symbols = symbols
        self._history = history

    async def watch(self) -> None:
        """Look each second until cancelled."""
        asked = pricing_pb2.GetQuotesRequest(symbols=self._symbols)
        async with self._open_channel(self._address) as channel:
            pricing = pricing_pb2_grpc.PricingServiceStub(channel)
            while True:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    answer = await pricing.GetQuotes(asked, timeout=QUOTE_SECONDS)
                    for quote in answer.quotes:
                        self.prices[quote.symbol] = Decimal(quote.price)
                        self._history.add(
                            Quoted(time.time(), quote.symbol, self.prices[quote.symbol])
                        )
                await asyncio.sleep(QUOTE_SECONDS)
