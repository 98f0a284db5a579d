"""Room in the shards of pools, and the shards that are made when there is none.

How full shards are is written under the advisory locks of their pools only, which are taken in one
order (`gateway.lock_pools`), so that no shard is ever overfilled. Each statement after the locks
has a snapshot from after them. Whoever waits for such a lock may hold rows of other users, so
nobody who has one may wait for a user's row.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from chassis.postgres import Connection
from gateway.domain import plan_admissions

_LOCK = "SELECT gateway.lock_pools($1::text[])"

_STATES = """
SELECT n.pool, p.users_per_shard, p.accept_new_users,
       (SELECT coalesce(max(shard), -1) FROM gateway.shards s WHERE s.pool = n.pool)
           AS newest_shard,
       (SELECT coalesce(sum(users), 0) FROM gateway.shards s WHERE s.pool = n.pool) AS users,
       (SELECT count(*) FROM gateway.users u
        WHERE u.created_at > clock_timestamp() - interval '1 minute' AND u.pool = n.pool) AS recent
FROM unnest($1::text[]) AS n (pool) LEFT JOIN placement.pools p ON p.pool = n.pool
"""

_ROOMS = """
SELECT shard, users FROM gateway.shards WHERE pool = $1 AND users < $2 ORDER BY shard LIMIT $3
"""

_MAKE_SHARDS = """
WITH made AS (
    INSERT INTO gateway.shards (pool, shard) SELECT $1, unnest($2::integer[]) ON CONFLICT DO NOTHING
)
SELECT placement.ensure_shard($1, s) FROM unnest($2::integer[]) AS s
"""


@dataclass(frozen=True, slots=True)
class PoolState:
    """A pool while its lock is held."""

    pool: str
    users_per_shard: int
    accepts: bool | None
    """What its UserShard says of newcomers; None when no control loop has written a policy."""
    newest_shard: int
    users: int
    recent: int
    """Users who were admitted within the last minute."""


async def lock_pools(
    connection: Connection, pools: Collection[str], users_per_shard: int
) -> dict[str, PoolState]:
    """Lock pools until the transaction ends, and say how they are.

    `users_per_shard` holds where no policy was written.
    """
    names = sorted(pools)
    await connection.execute(_LOCK, names)
    return {
        row["pool"]: PoolState(
            row["pool"],
            row["users_per_shard"] or users_per_shard,
            row["accept_new_users"],
            row["newest_shard"],
            int(row["users"]),
            row["recent"],
        )
        for row in await connection.fetch(_STATES, names)
    }


async def find_rooms(connection: Connection, state: PoolState, users: int) -> Sequence[int]:
    """Give a shard for each of so many users, the lowest with room first, and make those that are
    missing: an empty one always waits ahead, so that a worker owns it before its first user comes.
    """
    rooms = await connection.fetch(_ROOMS, state.pool, state.users_per_shard, users + 1)
    plan = plan_admissions(
        [(row["shard"], row["users"]) for row in rooms],
        state.newest_shard,
        users,
        state.users_per_shard,
    )
    if plan.make:
        await connection.execute(_MAKE_SHARDS, state.pool, list(plan.make))
    return plan.shards
