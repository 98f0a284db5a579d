"""The tables of schema `placement` as the control loop reads and writes them.

Reading is two plain queries; writing goes through the schema's functions, which check what the plan
was made from. Every failure to reach PostgreSQL is `PlacementAway`: the last placement goes on
serving.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from chassis.errors import CannotStart, TryAgain
from chassis.migrations import folder_of, require_applied
from chassis.postgres import Connection, Pool, describe, transaction
from chassis.settings import Secret
from chassis.telemetry import get_logger
from shard_operator.errors import PlacementAway
from shard_operator.planning import Change, ShardPlacement
from shard_operator.usershard import UserShard
from shard_operator.weighing import weight_of
from shard_operator.workloads import PlacementObserved, WorkerLease

PACKAGE = "shard_operator"

ASSIGN_BATCH_MAX = 500
"""Changes in one transaction: its row locks make claims of these shards wait until it ends."""

FORGET_AFTER_SECONDS = 3600.0
"""How long a dead worker's row is kept: an hour of history for a person who looks."""

LISTEN_RETRY_SECONDS = 5.0
"""Pause before listening again; meanwhile the poll sees every change, only later."""

_OBSERVE_SHARDS = """
SELECT s.shard, s.desired_owner, CASE WHEN lives THEN s.owner END AS owner, s.users,
       CASE WHEN NOT lives THEN extract(epoch FROM clock_timestamp() - CASE
           WHEN s.owner IS NULL THEN s.ownerless_since
           -- A younger run of its owner has replaced the one that had it.
           WHEN w.incarnation <> s.owner_incarnation THEN w.registered_at
           ELSE w.lease_until
       END)::double precision END AS ownerless_seconds
FROM placement.shards s
LEFT JOIN placement.workers w ON w.pool = s.pool AND w.worker = s.owner
CROSS JOIN LATERAL (
    SELECT coalesce(
        w.incarnation = s.owner_incarnation AND w.lease_until > clock_timestamp(), false
    ) AS lives
) AS l
WHERE s.pool = $1
ORDER BY s.shard
"""

_OBSERVE_WORKERS = """
SELECT worker, seconds_left > 0 AS alive, draining, seconds_left
FROM (
    SELECT worker, draining,
           extract(epoch FROM lease_until - clock_timestamp())::double precision AS seconds_left
    FROM placement.workers WHERE pool = $1
) AS w
ORDER BY worker
"""

_ENSURE_POLICY = """
INSERT INTO placement.pools AS p
    (pool, users_per_shard, accept_new_users, shards_per_worker_max, drain_timeout_seconds)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (pool) DO UPDATE
SET users_per_shard = excluded.users_per_shard, accept_new_users = excluded.accept_new_users,
    shards_per_worker_max = excluded.shards_per_worker_max,
    drain_timeout_seconds = excluded.drain_timeout_seconds, updated_at = clock_timestamp()
WHERE (p.users_per_shard, p.accept_new_users, p.shards_per_worker_max, p.drain_timeout_seconds)
    IS DISTINCT FROM (excluded.users_per_shard, excluded.accept_new_users,
                      excluded.shards_per_worker_max, excluded.drain_timeout_seconds)
RETURNING true
"""

# In the order of the shards, so that two operators writing at once cannot wait for each other.
_ASSIGN = """
SELECT count(*) FILTER (WHERE placement.assign_shard($1, c.shard, c.expected, c.desired))
FROM (
    SELECT * FROM unnest($2::integer[], $3::text[], $4::text[]) AS u (shard, expected, desired)
    ORDER BY shard
) AS c
"""


class PostgresPlacement:
    """The store of `workloads.PlacementStore` over a pool of connections."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._schema_is_there = False

    async def observe_placement(self, pool: str) -> PlacementObserved:
        """Shards and workers of the pool. Raises `PlacementAway`."""
        async with self._transaction() as connection:
            shards = await connection.fetch(_OBSERVE_SHARDS, pool)
            workers = await connection.fetch(_OBSERVE_WORKERS, pool)
        return PlacementObserved(
            shards=tuple(
                ShardPlacement(
                    row["shard"], row["desired_owner"], row["owner"], weight_of(row["users"])
                )
                for row in shards
            ),
            workers=tuple(WorkerLease(*row) for row in workers),
            users=sum(row["users"] for row in shards),
            ownerless_seconds={
                row["shard"]: row["ownerless_seconds"]
                for row in shards
                if row["ownerless_seconds"] is not None
            },
        )

    async def ensure_policy(self, user_shard: UserShard) -> bool:
        """Write the pool's policy if it differs; whether it did. Raises `PlacementAway`."""
        spec = user_shard.spec
        async with self._transaction() as connection:
            written = await connection.fetchval(
                _ENSURE_POLICY,
                user_shard.pool,
                spec.users_per_shard,
                spec.accept_new_users,
                spec.workers.shards_per_worker_max,
                spec.rebalance.drain_timeout_seconds,
            )
        return bool(written)

    async def assign(self, pool: str, changes: Sequence[Change]) -> int:
        """Write desired owners where `expected` still stands; how many. Raises `PlacementAway`."""
        written = 0
        for start in range(0, len(changes), ASSIGN_BATCH_MAX):
            batch = changes[start : start + ASSIGN_BATCH_MAX]
            async with self._transaction() as connection:
                written += await connection.fetchval(
                    _ASSIGN,
                    pool,
                    [change.shard for change in batch],
                    [change.expected for change in batch],
                    [change.desired for change in batch],
                )
        return written

    async def forget_workers(self, pool: str) -> int:
        """Remove the long dead that own nothing; how many. Raises `PlacementAway`."""
        async with self._transaction() as connection:
            forgotten: int = await connection.fetchval(
                "SELECT placement.forget_workers($1, $2)", pool, FORGET_AFTER_SECONDS
            )
        return forgotten

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        try:
            if not self._schema_is_there:
                await require_applied(self._pool, "placement", folder_of(PACKAGE), package=PACKAGE)
                self._schema_is_there = True
            async with transaction(self._pool) as connection:
                yield connection
        except (TryAgain, CannotStart) as error:
            raise PlacementAway(str(error)) from error
        except asyncpg.PostgresError as error:
            # A role that may not log in, a right that is missing: a person must mend it, and the
            # condition tells him.
            raise PlacementAway(f"PostgreSQL refuses ({describe(error)})") from error


async def listen_placement(database_url: Secret, wake: asyncio.Event) -> None:
    """Set `wake` whenever placement changes, until cancelled.

    Needs a session of its own. Behind a transaction pooler no notification arrives and nothing
    breaks: the poll of each pool sees the change later.
    """
    log = get_logger(__name__)
    while True:
        try:
            connection = await asyncpg.connect(
                database_url.reveal(), timeout=LISTEN_RETRY_SECONDS, statement_cache_size=0
            )
            closed = asyncio.Event()
            connection.add_termination_listener(lambda *_, closed=closed: closed.set())
            await connection.add_listener("placement", lambda *_: wake.set())
            wake.set()
            try:
                await closed.wait()
            finally:
                connection.terminate()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.debug("listening_failed", problem=type(error).__name__)
        await asyncio.sleep(LISTEN_RETRY_SECONDS)
