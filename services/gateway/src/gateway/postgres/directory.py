"""Who lives in which shard: admission under the pool's advisory lock.

Admission happens in the transaction that accepts a newcomer's first update. The lock makes
newcomers of one pool queue, so that no shard is ever overfilled; each statement after it has a
snapshot from after it. Whoever waits for the lock may hold rows of other users, so nobody who has
it may wait for a row: meeting a newcomer somebody else has admitted meanwhile raises `Raced`, and
the whole transaction begins again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.postgres import Connection, Pool, retry_transaction
from gateway.domain import PoolPolicy, plan_admissions
from kernel.identifiers import new_uuid7

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('gateway/' || $1, 5927))"

_STATE = """
SELECT p.users_per_shard, p.accept_new_users,
       (SELECT coalesce(max(shard), -1) FROM gateway.shards WHERE pool = $1) AS newest_shard,
       (SELECT coalesce(sum(users), 0) FROM gateway.shards WHERE pool = $1) AS users,
       (SELECT count(*) FROM gateway.users
        WHERE created_at > clock_timestamp() - interval '1 minute' AND pool = $1) AS recent
FROM (SELECT) AS always LEFT JOIN placement.pools p ON p.pool = $1
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

_FILL_SHARDS = """
WITH filled AS (
    UPDATE gateway.shards s SET users = s.users + n.users
    FROM (
        SELECT shard, count(*) AS users FROM unnest($2::integer[]) AS t (shard) GROUP BY shard
    ) AS n
    WHERE s.pool = $1 AND s.shard = n.shard
    RETURNING s.shard, s.users
)
SELECT placement.tell_users($1, array_agg(shard), array_agg(users)) FROM filled
"""

_ADMIT = """
INSERT INTO gateway.users
    (user_id, bot_id, telegram_id, pool, shard, last_user_seq, language_code, display_name,
     refused_at)
SELECT n.user_id, $1, n.telegram_id, $2, n.shard, n.jobs, n.language_code, n.display_name,
       CASE WHEN n.is_cut THEN clock_timestamp() END
FROM unnest($3::uuid[], $4::bigint[], $5::integer[], $6::bigint[], $7::text[], $8::text[],
            $9::boolean[])
    AS n (user_id, telegram_id, shard, jobs, language_code, display_name, is_cut)
ON CONFLICT (bot_id, telegram_id) DO NOTHING
RETURNING user_id, telegram_id, pool, shard, last_user_seq, created_at
"""


class Raced(Exception):  # noqa: N818
    """Somebody else admitted the same newcomer meanwhile: begin again."""


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """What bounds admission besides the pool's own policy."""

    users_max: int
    sign_ups_per_minute_max: int
    users_per_shard: int
    """While no control loop has written a policy."""


@dataclass(frozen=True, slots=True)
class UserBatch:
    """What one batch of updates says about one user."""

    telegram_id: int
    jobs: int
    """All of a newcomer's; of others those that are not urgent."""
    blocked: bool
    language_code: str | None
    display_name: str | None
    urgent: int = 0
    is_cut: bool = False
    """Whether there were more jobs than may wait: the rest is refused."""


@dataclass(frozen=True, slots=True)
class Place:
    """A user's row after the batch: the newest of its places is `last_user_seq`."""

    user_id: UUID
    telegram_id: int
    pool: str
    shard: int
    last_user_seq: int
    at: datetime


class Directory:
    """Admits newcomers to one pool."""

    def __init__(self, pool: Pool, pool_name: str, limits: AdmissionLimits) -> None:
        self._pool = pool
        self._pool_name = pool_name
        self._limits = limits

    async def ensure_spare_shard(self) -> None:
        """See to it that an empty shard waits, so that a worker owns it before its first user
        comes.
        """

        async def work(connection: Connection) -> None:
            await self._plan(connection, 0)

        await retry_transaction(self._pool, work)

    async def admit(
        self, connection: Connection, bot_id: int, newcomers: Sequence[UserBatch]
    ) -> list[Place]:
        """Admit as many as the limits allow, in order; those left out are turned away.

        Raises Raced when one of them is known by now.
        """
        shards = await self._plan(connection, len(newcomers))
        admitted = newcomers[: len(shards)]
        if not admitted:
            return []
        await connection.execute(_FILL_SHARDS, self._pool_name, shards)
        rows = await connection.fetch(
            _ADMIT,
            bot_id,
            self._pool_name,
            [new_uuid7() for _ in admitted],
            [newcomer.telegram_id for newcomer in admitted],
            shards,
            [newcomer.jobs for newcomer in admitted],
            [newcomer.language_code or "" for newcomer in admitted],
            [newcomer.display_name or "" for newcomer in admitted],
            [newcomer.is_cut for newcomer in admitted],
        )
        if len(rows) < len(admitted):
            raise Raced
        return [Place(*row.values()) for row in rows]

    async def _plan(self, connection: Connection, newcomers: int) -> list[int]:
        """Lock the pool, decide, make the shards that are missing; a shard per newcomer let in."""
        await connection.execute(_LOCK, self._pool_name)
        state = await connection.fetchrow(_STATE, self._pool_name)
        assert state is not None  # noqa: S101 (LEFT JOIN of one row)
        policy = PoolPolicy(
            users_per_shard=state["users_per_shard"] or self._limits.users_per_shard,
            accept_new_users=state["accept_new_users"] is not False,
        )
        room = min(
            self._limits.users_max - int(state["users"]),
            self._limits.sign_ups_per_minute_max - state["recent"],
        )
        if not policy.accept_new_users:
            room = 0
        newcomers = max(0, min(newcomers, room))
        rooms = await connection.fetch(
            _ROOMS, self._pool_name, policy.users_per_shard, newcomers + 1
        )
        plan = plan_admissions(
            [(row["shard"], row["users"]) for row in rooms],
            state["newest_shard"],
            newcomers,
            policy.users_per_shard,
        )
        if plan.make:
            await connection.execute(_MAKE_SHARDS, self._pool_name, list(plan.make))
        return list(plan.shards)
