"""How long answers take while 500 price notices drain, beside how long they take without.

A price that jumps reaches many alerts at once. Their notes are written as `PostgresWaiting.reach`
writes them, for users other than those who write meanwhile; teller, gateway and the simulated
Telegram do the rest. Both are measured in turns, so that a busy moment of the machine falls on
either. The model of the answers is `start`'s: open, from the intended time.
"""

import argparse
import asyncio
import tempfile
import time
from decimal import Decimal
from pathlib import Path

import aiohttp
import asyncpg
from tests.e2e.live_run import running
from tests.load.bench_start import (
    FIRST_USER,
    UNHINDERED,
    WARM_UP_PER_SECOND,
    Driver,
    User,
    options_of,
)
from tests.load.figures import tell
from tests.load.intervals import ratio_with_interval
from tests.load.latency import percentile

from user_worker.domain.notes import AlertReached, encode_note

NOTICES = 500
FIRST_TOLD = 1_000_000
"""The first of those who are told and write nothing."""
NOTE = AlertReached("BTC", "USDT", "at-or-above", Decimal(70_000), Decimal(70_001), True)
TURNS = 3
DRAIN_SECONDS_MAX = 120.0

_REACH = """
INSERT INTO worker.events (event_id, pool, shard, kind, subject_id, user_id, language, details)
SELECT gen_random_uuid(), u.pool, u.shard, 'alert-reached', gen_random_uuid(), u.user_id, 'en', $2
FROM gateway.users u WHERE u.telegram_id >= $1
"""
_SENT = """
SELECT count(*) AS sent, extract(epoch FROM max(done_at) - $1)::double precision AS seconds
FROM gateway.outbox WHERE lane = 2 AND state = 1 AND done_at > $1
"""


async def bench(asked: argparse.Namespace) -> bool:
    """Measure and tell; False when a message was lost or answered twice.

    Raises TimeoutError when notices are not sent.
    """
    quiet: list[float] = []
    draining: list[float] = []
    drained: list[float] = []
    went_well = True
    with tempfile.TemporaryDirectory(prefix="purser-bench-") as folder:
        async with running(Path(folder), *options_of(asked), **UNHINDERED) as run:
            connector = aiohttp.TCPConnector(limit=0)
            timeout = aiohttp.ClientTimeout(total=None)
            books = await run.database()
            async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
                driver = Driver(run.report.address, http)
                users = [User(FIRST_USER + number) for number in range(asked.users)]
                told = [User(FIRST_TOLD + number) for number in range(NOTICES)]
                for group in (users, told):
                    await driver.load(group, WARM_UP_PER_SECOND, len(group))
                messages = int(asked.rate * asked.seconds)
                for _ in range(TURNS):
                    alone = await driver.load(users, asked.rate, messages)
                    began = await books.fetchval("SELECT clock_timestamp()")
                    await books.execute(_REACH, FIRST_TOLD, encode_note(NOTE))
                    beside = await driver.load(users, asked.rate, messages)
                    drained.append(await _until_sent(books, began))
                    quiet += alone.latencies
                    draining += beside.latencies
                    went_well &= all(
                        load.answered == load.sent and not load.twice for load in (alone, beside)
                    )
            await books.close()
    ratio, interval = ratio_with_interval(draining, quiet, 0.99)
    for figure, latencies in (("without notices", quiet), ("while notices drain", draining)):
        latencies.sort()
        tell(
            f"p99 of answers {figure}",
            percentile(latencies, 0.99) * 1000,
            "ms",
            p50_ms=round(percentile(latencies, 0.5) * 1000, 1),
            asked_per_second=asked.rate,
            answers=len(latencies),
        )
    tell(
        "p99 of answers while notices drain against without",
        ratio,
        "",
        interval=[round(bound, 2) for bound in interval],
        turns=TURNS,
    )
    tell("500 notices drained", max(drained), "s", of="from the event to Telegram, longest turn")
    return went_well


async def _until_sent(books: "asyncpg.Connection[asyncpg.Record]", began: object) -> float:
    """Wait for the notices of this turn; how long the last one took."""
    deadline = time.monotonic() + DRAIN_SECONDS_MAX
    while time.monotonic() < deadline:
        row = await books.fetchrow(_SENT, began)
        if row is not None and row["sent"] >= NOTICES:
            return float(row["seconds"])
        await asyncio.sleep(0.2)
    raise TimeoutError(f"{NOTICES} notices were not sent within {DRAIN_SECONDS_MAX:g} s")
