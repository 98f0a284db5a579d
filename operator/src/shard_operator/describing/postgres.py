"""Placement as `describe` reads it: every pool, worker and shard, with ages by the database's
clock."""

import asyncpg
import msgspec

from chassis.errors import TryAgain
from chassis.postgres import Pool as Connections
from chassis.postgres import describe, transaction
from shard_operator.describing.picture import Policy, Shard, Worker
from shard_operator.errors import PlacementAway

_POOLS = """
SELECT pool, users_per_shard, accept_new_users, shards_per_worker_max, drain_timeout_seconds,
       extract(epoch FROM clock_timestamp() - updated_at)::double precision AS written_seconds
FROM placement.pools ORDER BY pool
"""

_WORKERS = """
SELECT worker AS name, incarnation::text AS incarnation,
       CASE WHEN seconds_left <= 0 THEN 'dead' WHEN draining THEN 'draining' ELSE 'alive' END
           AS state,
       seconds_left AS lease_seconds_left,
       extract(epoch FROM clock_timestamp() - registered_at)::double precision
           AS registered_seconds
FROM (
    SELECT *, extract(epoch FROM lease_until - clock_timestamp())::double precision AS seconds_left
    FROM placement.workers WHERE pool = $1
) AS w
"""

# A shard whose owner's lease is over has been without one since then; since the younger run
# registered, where that run replaced its owner.
_SHARDS = """
SELECT shard, epoch, users, desired_owner AS desired, last_owner,
       CASE WHEN ended > clock_timestamp() THEN last_owner END AS owner,
       CASE WHEN ended > clock_timestamp() THEN NULL
            ELSE extract(epoch FROM clock_timestamp() - ended)::double precision
       END AS ownerless_seconds
FROM (
    SELECT s.shard, s.epoch, s.users, s.desired_owner, s.owner AS last_owner,
           CASE WHEN s.owner IS NULL THEN s.ownerless_since
                WHEN w.incarnation = s.owner_incarnation THEN w.lease_until
                ELSE w.registered_at
           END AS ended
    FROM placement.shards s
    LEFT JOIN placement.workers w ON w.pool = s.pool AND w.worker = s.owner
    WHERE s.pool = $1
) AS s
ORDER BY shard
"""


class PlacementReader:
    """Reads, and cannot do more: its transactions are read-only. Everything raises
    `PlacementAway`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def read_policies(self) -> dict[str, Policy]:
        """Each pool's policy."""
        rows = await self._fetch(_POOLS)
        return {str(row.pop("pool")): msgspec.convert(row, Policy) for row in rows}

    async def read_pool(self, pool: str) -> tuple[list[Worker], list[Shard]]:
        """A pool's workers and shards."""
        workers = msgspec.convert(await self._fetch(_WORKERS, pool), list[Worker])
        return workers, msgspec.convert(await self._fetch(_SHARDS, pool), list[Shard])

    async def _fetch(self, query: str, *values: object) -> list[dict[str, object]]:
        try:
            async with transaction(self._connections, readonly=True) as connection:
                return [dict(row) for row in await connection.fetch(query, *values)]
        except TryAgain as error:
            raise PlacementAway(str(error)) from error
        except asyncpg.PostgresError as error:
            # Not migrated, or not the role for it: for who looks both are PostgreSQL's refusal.
            raise PlacementAway(f"it refused ({describe(error)})") from error
