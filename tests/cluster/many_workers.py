"""A pool far larger than this machine could run: its shards and workers are rows in `placement`.

All workers beat and follow their desired owners with one statement each, through the functions real
workers call, so that what the operator sees is what it would see of hundreds of pods.
"""

import asyncio
import contextlib
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from tests.cluster.operators import TARGET

from devbox.database import Database

BEAT_SECONDS = 1.0
LEASE_SECONDS = 3.0
"""Both as a worker's own defaults."""
PATIENCE_SECONDS = 30.0
"""The first lease: while the rows are made nobody beats."""
FOLLOWED_AT_ONCE_MAX = 2000

_MAKE_WORKERS = """
SELECT count(placement.register_worker($1, w.name, w.run, $4))
FROM unnest($2::text[], $3::uuid[]) AS w (name, run)
"""

_MAKE_SHARDS = """
INSERT INTO placement.shards
    (pool, shard, epoch, owner, owner_incarnation, desired_owner, users, ownerless_since)
SELECT $1, s.shard, 1, s.owner, w.incarnation, s.owner, s.users, NULL
FROM unnest($2::integer[], $3::text[], $4::integer[]) AS s (shard, owner, users)
JOIN placement.workers w ON w.pool = $1 AND w.worker = s.owner
"""

_BEAT = """
SELECT count(*) FILTER (WHERE placement.heartbeat(pool, worker, incarnation, $2))
FROM placement.workers WHERE pool = $1
"""

_RELEASE = """
WITH going AS MATERIALIZED (
    SELECT * FROM placement.shards
    WHERE pool = $1 AND owner IS NOT NULL AND owner IS DISTINCT FROM desired_owner
    ORDER BY shard LIMIT $2
)
SELECT count(*) FILTER (WHERE placement.release_shard(pool, shard, owner, owner_incarnation, epoch))
FROM going
"""

_CLAIM = """
WITH coming AS MATERIALIZED (
    SELECT s.pool, s.shard, w.worker, w.incarnation FROM placement.shards s
    JOIN placement.workers w ON w.pool = s.pool AND w.worker = s.desired_owner
    WHERE s.pool = $1 AND s.owner IS NULL
    ORDER BY shard LIMIT $2
)
SELECT count(placement.claim_shard(pool, shard, worker, incarnation, 3)) FROM coming
"""


@dataclass
class ManyWorkers:
    """The rows of one pool, kept alive."""

    connection: Any
    pool: str
    workers: int
    moved: int = 0
    """Shards that were claimed since."""

    async def make(self, shards: int, users_at_most: int) -> None:
        """Every shard has an owner; how many users each has is drawn from one seed."""
        names = [f"{TARGET}-{ordinal}" for ordinal in range(self.workers)]
        runs = [uuid.uuid4() for _ in names]
        draw = random.Random(5)
        owners = [names[shard % self.workers] for shard in range(shards)]
        users = [draw.randint(0, users_at_most) for _ in owners]
        async with self.connection.transaction():
            await self.connection.execute(_MAKE_WORKERS, self.pool, names, runs, PATIENCE_SECONDS)
            await self.connection.execute(
                _MAKE_SHARDS, self.pool, list(range(shards)), owners, users
            )

    async def live(self) -> None:
        """Beat and follow until cancelled."""
        while True:
            await self.connection.fetchval(_BEAT, self.pool, LEASE_SECONDS)
            await self.connection.fetchval(_RELEASE, self.pool, FOLLOWED_AT_ONCE_MAX)
            self.moved += await self.connection.fetchval(_CLAIM, self.pool, FOLLOWED_AT_ONCE_MAX)
            await asyncio.sleep(BEAT_SECONDS)


@asynccontextmanager
async def many_workers(
    database: Database, pool: str, *, shards: int, workers: int, users_at_most: int
) -> AsyncIterator[ManyWorkers]:
    """The pool, made, and alive as long as the context lasts."""
    connection = await asyncpg.connect(database.owner_url)
    many = ManyWorkers(connection, pool, workers)
    await many.make(shards, users_at_most)
    living = asyncio.create_task(many.live())
    try:
        yield many
    finally:
        living.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await living
        await connection.close()
