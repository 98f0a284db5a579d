"""Triggers per second of one worker that watches 100,000 prices, few of which are met.

The worker's own watch (`Watcher`, `PostgresWaiting`) on a PostgreSQL of its own, fsync on: forty
shards of fifty users with fifty resting orders each, read as a new owner reads them. Then

- quotes are heard that meet nothing: what waiting costs;
- quotes meet one each, one after another: from hearing it to the committed trigger;
- quotes meet some thousands at once, the same.

The orders made are not carried out here (`trades` measures that), and limit orders, which ask the
venue first, are left out. The driver is the worker: one process, sharing the cores with PostgreSQL.
"""

import asyncio
import gc
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import asyncpg
from tests.integration.stores import POOL, make_claims
from tests.load.figures import tell
from tests.load.latency import percentile
from tests.load.process_memory import memory_of
from tests.unit.user_worker.fakes_trading import market_of

from chassis.postgres import PostgresSettings, open_pool
from chassis.settings import Secret
from devbox.database import ensure_database, ensure_logins, migrate_rooms
from devbox.roles import ROLES, Database
from devbox.servers import embedded_postgres
from kernel.sharding import Claim
from user_worker.application.carrying_out import Carried, CarryingOut, CarryingPace
from user_worker.application.recurring import Rhythm
from user_worker.application.watching import Watcher, WatchingPace
from user_worker.domain.pauses import Pauses
from user_worker.postgres import OrderLimits, PostgresWaiting
from user_worker.trading_ports import Seen, StatedQuote

DATABASE = "bench"
SHARDS, USERS_PER_SHARD, ORDERS_PER_USER = 40, 50, 50
WAITING = SHARDS * USERS_PER_SHARD * ORDERS_PER_USER
SYMBOLS = [f"S{number}" for number in range(20)]
PRESENT = 100_000
"""Quoted of every symbol; orders wait from a hundredth below it on."""
ALONE = 100
"""Met one after another."""
MET = 6_000
"""Met in all, by a quote that falls: three of each user."""
QUOTES = 100_000
_PAUSES = Pauses(0.1, 2.0)
_RHYTHM = Rhythm(0.25, _PAUSES, _PAUSES)
_PACE = WatchingPace(
    stale_quote_seconds=10.0,
    look_again_seconds=1.0,
    batch_max=100,
    previews_at_once_max=16,
    shards_at_once_max=4,
    page_rows=1000,
    looking=_RHYTHM,
    expiring=_RHYTHM,
)
_LIMITS = OrderLimits(60.0, 10, 500)
# Two of each user wait at the same price just below the present one, a third at one of its own a
# little higher, and the others far below.
_FILL = """
WITH users AS (
    SELECT gen_random_uuid() AS user_id, n % $2 AS shard, n FROM generate_series(0, $3 - 1) AS n
), made AS (
    SELECT gen_random_uuid() AS id, user_id, shard, u.n, o FROM users u,
        generate_series(0, $4 - 1) AS o
), drafted AS (
    INSERT INTO worker.drafts (draft_id, job_id, user_id, pool, shard, receipt, side, symbol,
        size_kind, size_value, spend_asset_id, spend_symbol, spend, receive_asset_id,
        receive_symbol, receive, fee, receive_min, price, slippage_basis_points, is_simulated,
        expires_at, state)
    SELECT id, id, user_id, $1, shard, lpad(n::text, 4, '0') || '-' || lpad(o::text, 4, '0'),
        'sell', 'S' || (o % $5), 'units', 1, 'paper:S', 'S', 1, 'paper:USDT', 'USDT', 1, 0, 1, 1,
        100, true, clock_timestamp(), 'confirmed'
    FROM made RETURNING draft_id, user_id, shard, symbol, receipt
)
INSERT INTO worker.resting_orders (order_id, user_id, pool, shard, kind, symbol, direction,
    trigger_price, lasts_seconds, state, placed_at, expires_at)
SELECT draft_id, user_id, $1, shard, 'stop', symbol, 'at-or-below',
    $6::numeric * CASE WHEN right(receipt, 4)::integer < 2 THEN 0.99
        WHEN right(receipt, 4)::integer = 2 THEN 0.995 - left(receipt, 4)::numeric / 1000000
        ELSE (random() / 2 + 0.1)::numeric END,
    2592000, 'waiting', clock_timestamp(), clock_timestamp() + interval '30 days'
FROM drafted
"""


class _Feed:
    """Quotes as the bench says them."""

    def __init__(self) -> None:
        self.hear: Callable[[Sequence[StatedQuote]], None] = lambda quotes: None

    def listen(self, listener: Callable[[Sequence[StatedQuote]], None]) -> None:
        """Tell of each newer quote."""
        self.hear = listener

    def latest(self, symbol: str) -> StatedQuote | None:
        """Give none: nothing is judged while it is read."""
        return None


class _Accepted(CarryingOut):
    """Takes the orders that triggers make, and carries none out."""

    def start(self, claim: Claim, seen: Seen) -> Carried | None:
        """Take it."""
        return None


class _Timed(PostgresWaiting):
    """Says when each order was triggered."""

    def __init__(self, connections: "asyncpg.Pool[asyncpg.Record]") -> None:
        super().__init__(connections, _LIMITS)
        self.at: dict[UUID, float] = {}
        self.transactions: list[float] = []

    async def trigger(self, claim: Claim, order_ids: Sequence[UUID]) -> Mapping[UUID, Seen | None]:
        """Trigger, and look at the clock."""
        began = time.perf_counter()
        found = await super().trigger(claim, order_ids)
        now = time.perf_counter()
        self.transactions.append(now - began)
        self.at |= {order_id: now for order_id, seen in found.items() if seen is not None}
        return found


async def bench(_asked: object) -> bool:
    """Measure and tell; False when something was triggered twice or not at all."""
    with tempfile.TemporaryDirectory(prefix="purser-bench-") as folder:
        passwords = {role: secrets.token_hex(8) for role in ROLES}
        async with embedded_postgres(Path(folder), owner_password=secrets.token_hex(8)) as server:
            await ensure_database(server.owner_url(), DATABASE)
            await migrate_rooms(server.owner_url(DATABASE))
            await ensure_logins(server.owner_url(DATABASE), passwords)
            return await _measure(Database(server.owner_url(DATABASE), passwords))


async def _measure(database: Database) -> bool:
    claims = [await make_claims(database)(shard) for shard in range(SHARDS)]
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute(
        _FILL,
        *(POOL, SHARDS, SHARDS * USERS_PER_SHARD, ORDERS_PER_USER, len(SYMBOLS), PRESENT),
    )
    await owner.execute("VACUUM ANALYZE")
    settings = PostgresSettings(database_url=Secret(database.url("purser_worker")))
    connections = await open_pool(settings, "bench")
    feed, waiting, market = _Feed(), _Timed(connections), market_of(())
    carrying_out = _Accepted(
        market.orders, market.books, market.venue, CarryingPace(4, _PAUSES, _PAUSES)
    )
    watcher = Watcher(waiting, feed, market.venue, carrying_out, _PACE, lambda: 0.0)
    try:
        await _read(watcher, carrying_out, claims)
        _hear_what_meets_nothing(feed)
        await _trigger(watcher, feed, waiting)
        orders = await owner.fetchval("SELECT count(*) FROM worker.orders")
    finally:
        await connections.close()
        await owner.close()
    return bool(orders == MET)


async def _read(watcher: Watcher, carrying_out: CarryingOut, claims: Sequence[Claim]) -> None:
    gc.collect()
    before, began = memory_of(os.getpid()).written, time.perf_counter()
    for claim in claims:
        carrying_out.begin(claim, lambda: None)
    await watcher.read()
    seconds = time.perf_counter() - began
    gc.collect()
    kilobytes = (memory_of(os.getpid()).written - before) * 1024
    tell("watches read by a new owner", WAITING / seconds, "1/s", watches=WAITING, shards=SHARDS)
    tell("memory per watch", kilobytes / WAITING, "kB", watches=WAITING)


def _hear_what_meets_nothing(feed: _Feed) -> None:
    quotes = [StatedQuote(symbol, Decimal(PRESENT), "USDT", True, 0.0) for symbol in SYMBOLS]
    began = time.perf_counter()
    for number in range(QUOTES):
        feed.hear([quotes[number % len(quotes)]])
    seconds = time.perf_counter() - began
    tell("quotes judged that meet nothing", QUOTES / seconds, "1/s", watches=WAITING, shards=SHARDS)


async def _trigger(watcher: Watcher, feed: _Feed, waiting: _Timed) -> None:
    watching = asyncio.create_task(watcher.run())
    await asyncio.sleep(1.0)
    alone = []
    for number in range(ALONE):
        price = PRESENT * (Decimal("0.995") - Decimal(number).scaleb(-6))
        began = time.perf_counter()
        feed.hear([StatedQuote("S2", price, "USDT", True, 0.0)])
        await _until_triggered(waiting, number + 1)
        alone.append(max(waiting.at.values()) - began)
    alone.sort()
    tell(
        "a trigger alone, from hearing to commit",
        percentile(alone, 0.5) * 1000,
        "ms",
        p99_ms=round(percentile(alone, 0.99) * 1000, 1),
        watches=WAITING,
    )
    waiting.at.clear()
    waiting.transactions.clear()
    at_once = MET - ALONE
    began = time.perf_counter()
    feed.hear([StatedQuote(s, Decimal(PRESENT) * 98 / 100, "USDT", True, 0.0) for s in SYMBOLS])
    heard = time.perf_counter() - began
    await _until_triggered(waiting, at_once)
    watching.cancel()
    await asyncio.wait([watching])
    taken = sorted(at - began for at in waiting.at.values())
    tell(
        "triggers committed",
        at_once / taken[-1],
        "1/s",
        met=at_once,
        watches=WAITING,
        first_ms=round(taken[0] * 1000, 1),
        p50_ms=round(percentile(taken, 0.5) * 1000, 1),
        p99_ms=round(percentile(taken, 0.99) * 1000, 1),
        judging_ms=round(heard * 1000, 1),
        transaction_p50_ms=round(percentile(sorted(waiting.transactions), 0.5) * 1000, 1),
    )


async def _until_triggered(waiting: _Timed, count: int) -> None:
    async with asyncio.timeout(120):
        while len(waiting.at) < count:  # noqa: ASYNC110 (what is waited for sets no event)
            await asyncio.sleep(0.002)
