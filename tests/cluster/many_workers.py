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
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from tests.cluster.operators import TARGET
from tests.cluster.waiting import eventually

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
FROM placement.workers WHERE pool = $1 AND worker <> ALL ($3::text[])
"""

# A dead worker releases nothing: its shards are free when its lease is over.

_RELEASE = """
WITH going AS MATERIALIZED (
    SELECT * FROM placement.shards
    WHERE pool = $1 AND owner <> desired_owner AND owner <> ALL ($3::text[])
    ORDER BY shard LIMIT $2
)
SELECT count(*) FILTER (WHERE placement.release_shard(pool, shard, owner, owner_incarnation, epoch))
FROM going
"""

_CLAIM = """
WITH coming AS MATERIALIZED (
    SELECT s.pool, s.shard, w.worker, w.incarnation FROM placement.shards s
    JOIN placement.workers w ON w.pool = s.pool AND w.worker = s.desired_owner
    WHERE s.pool = $1 AND w.worker <> ALL ($3::text[])
        AND (s.owner IS NULL OR s.owner = ANY ($3::text[]) AND s.owner <> s.desired_owner)
    ORDER BY shard LIMIT $2
)
SELECT count(placement.claim_shard(pool, shard, worker, incarnation, 3)) FROM coming
"""


_DESIRED_OF = "SELECT count(*) FROM placement.shards WHERE pool = $1 AND desired_owner = $2"

_SINCE_LEASE_END = """
SELECT extract(epoch FROM clock_timestamp() - lease_until)
FROM placement.workers WHERE pool = $1 AND worker = $2
"""


@dataclass
class ManyWorkers:
    """The rows of one pool, kept alive."""

    connections: Any
    pool: str
    workers: int
    moved: int = 0
    """Shards that were claimed since."""
    dead: list[str] = field(default_factory=list)
    """Workers that beat no more."""

    async def make(self, shards: int, users_at_most: int) -> None:
        """Every shard has an owner; how many users each has is drawn from one seed."""
        names = [f"{TARGET}-{ordinal}" for ordinal in range(self.workers)]
        runs = [uuid.uuid4() for _ in names]
        draw = random.Random(5)
        owners = [names[shard % self.workers] for shard in range(shards)]
        users = [draw.randint(0, users_at_most) for _ in owners]
        await self._fetch(_MAKE_WORKERS, names, runs, PATIENCE_SECONDS)
        await self._fetch(_MAKE_SHARDS, list(range(shards)), owners, users)

    async def live(self) -> None:
        """Beat and follow until cancelled."""
        while True:
            await self._ask(_BEAT, LEASE_SECONDS)
            await self._ask(_RELEASE, FOLLOWED_AT_ONCE_MAX)
            self.moved += await self._ask(_CLAIM, FOLLOWED_AT_ONCE_MAX)
            await asyncio.sleep(BEAT_SECONDS)

    async def kill(self, worker: str) -> float:
        """Let a worker die; the seconds from the end of its lease until another one was named for
        the last of its shards.
        """
        self.dead.append(worker)

        async def are_given_away() -> bool:
            return bool(await self._fetch(_DESIRED_OF, worker) == 0)

        await eventually(are_given_away)
        return float(await self._fetch(_SINCE_LEASE_END, worker))

    async def _ask(self, statement: str, number: float) -> int:
        return int(await self._fetch(statement, number, self.dead))

    async def _fetch(self, statement: str, *more: object) -> Any:
        return await self.connections.fetchval(statement, self.pool, *more)


@asynccontextmanager
async def many_workers(
    database: Database, pool: str, *, shards: int, workers: int, users_at_most: int
) -> AsyncIterator[ManyWorkers]:
    """The pool, made, and alive as long as the context lasts."""
    # Two: the test asks while the workers act.
    connections = await asyncpg.create_pool(database.owner_url, min_size=1, max_size=2)
    many = ManyWorkers(connections, pool, workers)
    await many.make(shards, users_at_most)
    living = asyncio.create_task(many.live())
    try:
        yield many
    finally:
        living.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await living
        await connections.close()
