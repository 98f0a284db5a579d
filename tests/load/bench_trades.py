"""Trades per second and their latency end to end: `/buy`, the card, its button, the receipt.

The model is open: when each trade begins is fixed in advance, and its latency counts from that
time. What a trade consists of follows as a person would do it: the button is pressed when the card
is in the chat. It ends when Telegram has accepted the receipt, which is an edit of the card; the
gateway notes that time in its outbox, on the same machine's clock, so nobody has to poll for edits.
The processor time of each process, per trade, says what the limit is.

Afterwards the books are read: every trade was filled, none twice, and they sum to zero.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import aiohttp
import psutil  # type: ignore[import-untyped]  # carries no types
from tests.e2e.live_run import LiveRun, running
from tests.e2e.reconciling import assert_reconciled
from tests.load.bench_start import (
    FIRST_USER,
    UNHINDERED,
    WARM_UP_PER_SECOND,
    Driver,
    User,
    memory,
    options_of,
    tell_memory,
)
from tests.load.figures import tell
from tests.load.latency import percentile

DRAIN_SECONDS = 30.0
CARD_SECONDS_MAX = 30.0

_ENDS = """
SELECT u.telegram_id, i.user_seq, extract(epoch FROM max(o.done_at))::double precision AS ended_at
FROM gateway.inbox i
JOIN gateway.users u USING (user_id)
JOIN gateway.outbox o ON o.lane = 1 AND o.cause = i.job_id AND o.state = 1
GROUP BY 1, 2
"""


async def bench(asked: argparse.Namespace) -> bool:
    """Measure and tell; False when a trade was lost or the books do not agree."""
    with tempfile.TemporaryDirectory(prefix="purser-bench-") as folder:
        async with running(Path(folder), *options_of(asked), **UNHINDERED) as run:
            users = [FIRST_USER + number for number in range(asked.users)]
            await _sign_up(run, users)
            before = _processor_seconds(run)
            begins = await _trade(run, users, asked.trade_rate, asked.seconds)
            ends = await _ends(run, begins)
            after = _processor_seconds(run)
            loaded = memory(run)
            connection = await run.database()
            try:
                await assert_reconciled(connection)
            finally:
                await connection.close()
    done = {trade: ends[trade] - began for trade, began in begins.items() if trade in ends}
    latencies = sorted(done.values())
    seconds = max(ends[trade] for trade in done) - min(begins.values()) if done else 0.0
    p50, p99 = (percentile(latencies, share) * 1000 for share in (0.5, 0.99))
    tell(
        "trades end to end",
        len(done) / seconds if seconds else None,
        "1/s",
        asked_per_second=asked.trade_rate,
        begun=len(begins),
        ended=len(done),
        p50_ms=round(p50, 1),
        p99_ms=round(p99, 1),
        of="/buy, card, button, receipt: two updates and two answers each",
    )
    for name, seconds in after.items():
        spent = (seconds - before.get(name, 0.0)) / len(begins) * 1000
        tell("processor time of a trade", spent, "ms", process=name)
    tell_memory("after trades", loaded)
    return len(done) == len(begins)


def _processor_seconds(run: LiveRun) -> dict[str, float]:
    """What each process and its children have used so far; says what the limit is."""
    used: dict[str, float] = {}
    for process in run.report.processes:
        if process.pid is not None:
            alone = psutil.Process(process.pid)
            family = [alone, *alone.children(recursive=True)]
            times = [member.cpu_times() for member in family]
            used[process.name] = sum(time.user + time.system for time in times)
    return used


async def _sign_up(run: LiveRun, users: list[int]) -> None:
    timeout = aiohttp.ClientTimeout(total=None)
    # Each user's chat is watched by a connection of its own.
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        driver = Driver(run.report.address, http)
        await driver.load([User(user) for user in users], WARM_UP_PER_SECOND, len(users))


async def _trade(
    run: LiveRun, users: list[int], rate: float, seconds: float
) -> dict[tuple[int, int], float]:
    """Trade at a rate, users in turn; when each trade was meant to begin, by user and its press's
    place in the user's order.
    """
    begins: dict[tuple[int, int], float] = {}
    first = time.time() + 0.5
    rounds = dict.fromkeys(users, 0)
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            user, at = users[number % len(users)], first + number / rate
            rounds[user] += 1
            # /start was the user's first update; each trade is two more.
            begins[user, 2 * rounds[user] + 1] = at
            await asyncio.sleep(max(0.0, at - time.time()))
            group.create_task(_one(run, user))
    return begins


async def _one(run: LiveRun, user: int) -> None:
    sent = await run.say(user, "/buy BTC $10")
    async with asyncio.timeout(CARD_SECONDS_MAX):
        while not any(m["from"] == "bot" for m in await run.chat(user, after=sent, wait=5.0)):
            pass
    await run.press(user, "confirm:")


async def _ends(run: LiveRun, begins: dict[tuple[int, int], float]) -> dict[tuple[int, int], float]:
    """Wait until all have ended, within a bound; when each ended."""
    deadline = time.monotonic() + DRAIN_SECONDS
    connection = await run.database()
    try:
        while True:
            rows = await connection.fetch(_ENDS)
            ends = {(row["telegram_id"], row["user_seq"]): row["ended_at"] for row in rows}
            if begins.keys() <= ends.keys() or time.monotonic() > deadline:
                return ends
            await asyncio.sleep(0.5)
    finally:
        await connection.close()
