"""A second pool beside the one of a live run: its policy, its worker, and those who move users.

What an operator would do for the second UserShard is done here by hand. Its worker has all that the
run's workers have but the name and the pool. Its shards are numbered from `FIRST_SHARD` on, so that
a number alone names a shard.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from tests.e2e.live_run import LiveRun, environment

from devbox.keyring import ensure_secret
from devbox.servers.postgresql import make_url

STANDARD, FAST = "default.main", "default.fast"
FIRST_SHARD = 100
MOVER = "purser_user_mover"
EXAMPLE_WORKER = "purser-user-worker-0"
STREAMS_SECONDS = 5.0
"""Entries are asked about within a second."""

_OPEN = f"""
INSERT INTO placement.pools
SELECT '{FAST}', users_per_shard, true, shards_per_worker_max, drain_timeout_seconds
FROM placement.pools WHERE pool = '{STANDARD}';
INSERT INTO gateway.shards (pool, shard) VALUES ('{FAST}', {FIRST_SHARD});
SELECT placement.ensure_shard('{FAST}', {FIRST_SHARD});
"""  # noqa: S608 (names of ours)

ELSEWHERE = {
    "inbox": "SELECT i.job_id FROM gateway.inbox i JOIN gateway.users u USING (user_id)"
    " WHERE i.done_at IS NULL AND (i.pool, i.shard) <> (u.pool, u.shard)",
    "books": "SELECT l.user_id FROM ledger.users l JOIN gateway.users u USING (user_id)"
    " WHERE (l.pool, l.shard) <> (u.pool, u.shard)",
    "wallets": "SELECT w.user_id FROM wallet.wallets w JOIN gateway.users u USING (user_id)"
    " WHERE (w.pool, w.shard) <> (u.pool, u.shard)",
    "venue": "SELECT v.user_id FROM venue.users v JOIN gateway.users u USING (user_id)"
    " WHERE (v.pool, v.shard) <> (u.pool, u.shard)",
    "orders": "SELECT o.order_id FROM worker.orders o JOIN gateway.users u USING (user_id)"
    " WHERE o.ended_at IS NULL AND (o.pool, o.shard) <> (u.pool, u.shard)",
    "events": "SELECT e.event_id FROM worker.events e LEFT JOIN worker.orders o USING (order_id)"
    " JOIN gateway.users u ON u.user_id = coalesce(e.user_id, o.user_id)"
    " WHERE e.relayed_at IS NULL AND (e.pool, e.shard) <> (u.pool, u.shard)",
    "resting orders": "SELECT r.order_id FROM worker.resting_orders r"
    " JOIN gateway.users u USING (user_id)"
    " WHERE r.state <> 'triggered' AND (r.pool, r.shard) <> (u.pool, u.shard)",
    "drafts": "SELECT d.draft_id FROM worker.drafts d JOIN gateway.users u USING (user_id)"
    " WHERE d.state <> 'confirmed' AND (d.pool, d.shard) <> (u.pool, u.shard)",
    **{
        table: f"SELECT t.user_id FROM worker.{table} t JOIN gateway.users u USING (user_id)"  # noqa: S608
        " WHERE (t.pool, t.shard) <> (u.pool, u.shard)"
        for table in ("alerts", "plans", "copies", "shares", "freezes", "preferences")
    },
    "directory": "SELECT s.pool, s.shard, s.users FROM gateway.shards s WHERE s.users <> ("
    "SELECT count(*) FROM gateway.users u WHERE (u.pool, u.shard) = (s.pool, s.shard))",
}
"""What would be somewhere else than its user: each gives no row."""


async def open_second_pool(run: LiveRun) -> None:
    """Declare the pool, with a shard for its first users."""
    connection = await run.database()
    try:
        await connection.execute(_OPEN)
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def working_second_pool(run: LiveRun, log: Path) -> AsyncIterator[None]:
    """Run a worker of the second pool for the time of a block."""
    environ = _environment_of(run.pid(EXAMPLE_WORKER)) | {
        "USER_WORKER_NAME": "purser-fast-worker-0",
        "USER_WORKER_POOL": FAST,
    }
    with log.open("wb") as lines:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "user_worker"), env=environ, stdout=lines, stderr=lines
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 20)


def _environment_of(pid: int | None) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if pair)


def mover_environment(run: LiveRun) -> dict[str, str]:
    """What somebody who moves users has to have set."""
    password = ensure_secret(run.folder.secrets, f"{MOVER}.password")
    url = make_url(MOVER, password, run.report.ports["database"], "purser")
    return environment() | {"GATEWAY_USERS_DATABASE_URL": url}


@contextlib.asynccontextmanager
async def mover(run: LiveRun, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Begin `python -m gateway users move …`; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "gateway", "users", "move", *arguments),
        env=mover_environment(run),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()


async def moved(run: LiveRun, *arguments: str) -> tuple[int | None, str]:
    """Move users to the end of it; the exit status and what was said."""
    async with mover(run, *arguments) as process:
        said, _ = await process.communicate()
        return process.returncode, said.decode()


async def what_is_elsewhere(connection: Any) -> dict[str, list[str]]:
    """Whatever can still change and is not where its user is, in one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return {
            what: [str(tuple(row)) for row in rows[:5]]
            for what, statement in ELSEWHERE.items()
            if (rows := await connection.fetch(statement))
        }


async def left_in_streams(run: LiveRun) -> int:
    """Entries that are still in a shard's stream after a while: what nobody takes off."""
    password = ensure_secret(run.folder.secrets, "redis.password")
    url = f"redis://:{password}@127.0.0.1:{run.report.ports['redis']}/0"
    async with Redis.from_url(url) as redis:
        ends_at = time.monotonic() + STREAMS_SECONDS
        while True:
            streams = [key async for key in redis.scan_iter("purser:*:jobs")]
            left = sum([await redis.xlen(stream) for stream in streams])
            if not left or time.monotonic() > ends_at:
                return int(left)
            await asyncio.sleep(0.1)
