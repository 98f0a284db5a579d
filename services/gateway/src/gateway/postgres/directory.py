"""Who lives in which shard: admission under the advisory locks of the pools that may be concerned.

Admission happens in the transaction that accepts a newcomer's first update. The locks make
newcomers of one pool queue (`shard_rooms`). Whoever waits for a lock may hold rows of other users,
so nobody who has one may wait for a row: meeting a newcomer somebody else has admitted meanwhile
raises `Raced`, and the whole transaction begins again.

An invited newcomer goes to the pool of the invitation, whatever the rules say and whether or not it
takes newcomers: a person has decided. All others go to the first of their pools that takes them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from chassis.postgres import Connection, Pool, retry_transaction
from gateway.admission_rules import NOTHING_KNOWN, AdmissionRule, FirstContact, pools_for
from gateway.postgres.shard_rooms import PoolState, find_rooms, lock_pools
from kernel.identifiers import new_uuid7

_INVITED = """
SELECT telegram_id, pool FROM gateway.invitations
WHERE bot_id = $1 AND telegram_id = ANY ($2::bigint[])
"""

_USE_INVITATIONS = """
DELETE FROM gateway.invitations WHERE bot_id = $1 AND telegram_id = ANY ($2::bigint[])
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
    """What bounds admission to each pool besides its own policy."""

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
    contact: FirstContact = NOTHING_KNOWN
    """What the first of its updates says, by which a newcomer's pool is chosen."""


@dataclass(frozen=True, slots=True)
class Place:
    """A user's row after the batch: the newest of its places is `last_user_seq`."""

    user_id: UUID
    telegram_id: int
    pool: str
    shard: int
    last_user_seq: int
    at: datetime


@dataclass(slots=True)
class _Door:
    """A locked pool, and whom it lets in."""

    state: PoolState
    room: int
    """How many more newcomers it takes."""
    newcomers: list[UserBatch] = field(default_factory=list)


class Directory:
    """Admits newcomers to pools."""

    def __init__(
        self,
        pool: Pool,
        default_pool: str,
        limits: AdmissionLimits,
        rules: Sequence[AdmissionRule] = (),
    ) -> None:
        self._pool = pool
        self._default_pool = default_pool
        self._limits = limits
        self._rules = rules

    async def ensure_spare_shards(self) -> None:
        """See to it that in each pool a newcomer may come to an empty shard waits, so that a worker
        owns it before its first user comes.
        """
        pools = {self._default_pool, *(rule.pool for rule in self._rules)}

        async def work(connection: Connection) -> None:
            for state in (await self._lock(connection, pools)).values():
                await find_rooms(connection, state, 0)

        await retry_transaction(self._pool, work)

    async def admit(
        self, connection: Connection, bot_id: int, newcomers: Sequence[UserBatch]
    ) -> list[Place]:
        """Admit as many as the limits allow, in order; those left out are turned away.

        Raises Raced when one of them is known by now.
        """
        invited = await self._invited(connection, bot_id, newcomers)
        wishes = {
            newcomer.telegram_id: pools_for(newcomer.contact, self._rules, self._default_pool)
            for newcomer in newcomers
        }
        pools = {*invited.values(), *(pool for wish in wishes.values() for pool in wish)}
        states = await self._lock(connection, pools)
        doors = {pool: self._door(state) for pool, state in states.items()}
        for newcomer in newcomers:
            pool = invited.get(newcomer.telegram_id)
            if pool is None:
                pool = next((p for p in wishes[newcomer.telegram_id] if doors[p].room > 0), None)
            if pool is not None:
                doors[pool].room -= 1
                doors[pool].newcomers.append(newcomer)
        places = [
            place
            for door in doors.values()
            if door.newcomers
            for place in await self._let_in(connection, bot_id, door)
        ]
        if used := invited.keys() & {place.telegram_id for place in places}:
            await connection.execute(_USE_INVITATIONS, bot_id, list(used))
        return places

    @staticmethod
    async def _invited(
        connection: Connection, bot_id: int, newcomers: Sequence[UserBatch]
    ) -> Mapping[int, str]:
        """Read who is invited to which pool."""
        rows = await connection.fetch(_INVITED, bot_id, [n.telegram_id for n in newcomers])
        return {row["telegram_id"]: row["pool"] for row in rows}

    async def _lock(self, connection: Connection, pools: set[str]) -> dict[str, PoolState]:
        return await lock_pools(connection, pools, self._limits.users_per_shard)

    def _door(self, state: PoolState) -> _Door:
        # A pool that a rule names and nobody has declared is a mistake, or a UserShard that is to
        # come: nobody would work its shards. The default pool serves before its policy is written.
        accepts = state.pool == self._default_pool if state.accepts is None else state.accepts
        room = min(
            self._limits.users_max - state.users,
            self._limits.sign_ups_per_minute_max - state.recent,
        )
        return _Door(state, room if accepts else 0)

    async def _let_in(self, connection: Connection, bot_id: int, door: _Door) -> list[Place]:
        pool, admitted = door.state.pool, door.newcomers
        shards = list(await find_rooms(connection, door.state, len(admitted)))
        await connection.execute(_FILL_SHARDS, pool, shards)
        rows = await connection.fetch(
            _ADMIT,
            bot_id,
            pool,
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
