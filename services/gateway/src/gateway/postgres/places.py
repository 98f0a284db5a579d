"""Places in the users' own orders, given to the jobs of a batch while the users' rows are locked.

Rows are locked in one order and in a statement of their own, so that the next one sees what whoever
held them before has accepted: nobody gets more places than may wait of theirs. Who gets fewer than
they want is refused the rest; a refusal soon after another one belongs to the same rush.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import asyncpg

from chassis.postgres import Connection
from gateway.admission_rules import NOTHING_KNOWN
from gateway.domain import Incoming, Membership
from gateway.postgres.backlog import BacklogLimits, ShardBacklogs
from gateway.postgres.directory import Directory, Place, UserBatch
from kernel.sharding import ShardKey

_LOCK = """
SELECT u.user_id, u.telegram_id, u.pool, u.shard, u.last_user_seq,
       coalesce(u.refused_at < clock_timestamp() - make_interval(secs => $3), true) AS is_new_rush
FROM gateway.users u JOIN unnest($2::bigint[]) AS b (telegram_id) USING (telegram_id)
WHERE u.bot_id = $1 ORDER BY u.telegram_id FOR NO KEY UPDATE OF u
"""

# A user's undone jobs are the last ones. So a job has room if the one $8 places before it is done:
# as many of the places looked at as are undone are too many. Urgent jobs come after the others in
# this reckoning and have $10 places more.
_GIVE = """
WITH wanted AS (
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::integer[], $4::integer[], $5::boolean[],
                         $6::text[], $7::text[], $9::integer[])
        AS w (user_id, last_user_seq, jobs, room, blocked, language_code, display_name, urgent)
), given AS MATERIALIZED (
    SELECT w.*, usual.places, least(w.urgent, $10::integer) - (
        SELECT count(*) FROM gateway.inbox i
        WHERE i.user_id = w.user_id AND i.done_at IS NULL
          AND i.user_seq > w.last_user_seq + usual.places - $8::integer - $10
          AND i.user_seq <= w.last_user_seq + usual.places - $8 - $10 + least(w.urgent, $10)
    ) AS urgent_places
    FROM wanted w CROSS JOIN LATERAL (
        SELECT least(w.room, least(w.jobs, $8::integer) - count(*)) AS places
        FROM gateway.inbox i
        WHERE i.user_id = w.user_id AND i.done_at IS NULL
          AND i.user_seq > w.last_user_seq - $8::integer
          AND i.user_seq <= w.last_user_seq - $8 + least(w.jobs, $8)
    ) AS usual
)
UPDATE gateway.users u
SET last_user_seq = u.last_user_seq + g.places + g.urgent_places,
    language_code = coalesce(g.language_code, u.language_code),
    display_name = coalesce(g.display_name, u.display_name),
    blocked_at = CASE WHEN g.blocked THEN coalesce(u.blocked_at, clock_timestamp()) END,
    refused_at = CASE WHEN g.places < g.jobs OR g.urgent_places < g.urgent
        THEN clock_timestamp() ELSE u.refused_at END
FROM given g WHERE u.user_id = g.user_id
RETURNING u.user_id, u.telegram_id, u.pool, u.shard, u.last_user_seq, clock_timestamp() AS at,
          g.places, g.urgent_places
"""


@dataclass(frozen=True, slots=True)
class Given:
    """What one user of a batch has got."""

    place: Place
    jobs: int
    """How many of the batch's jobs have a place, the first ones; the others are refused."""
    urgent: int
    """The same of those that are urgent."""
    is_new_rush: bool
    """Whether a refusal is the first one for a while: the user is to be told."""


class Places:
    """Gives places to the users of one bot."""

    def __init__(self, bot_id: int, directory: Directory, limits: BacklogLimits) -> None:
        self._bot_id = bot_id
        self._directory = directory
        self._limits = limits
        self._backlogs = ShardBacklogs(limits.shard_jobs_max)

    async def give(
        self, connection: Connection, updates: Iterable[Incoming | Membership]
    ) -> dict[int, Given]:
        """Lock the users of a batch, count its jobs into their orders, admit newcomers.

        By Telegram id; who is missing was turned away. Raises Raced.
        """
        batch = _by_user(updates)
        if not batch:
            return {}
        locked = await connection.fetch(_LOCK, self._bot_id, list(batch), self._limits.rush_seconds)
        given = await self._give_known(connection, locked, batch) if locked else {}
        newcomers = [
            user
            for telegram_id, user in batch.items()
            if user.jobs + user.urgent and telegram_id not in given
        ]
        return given | await self._give_new(connection, newcomers) if newcomers else given

    async def _give_new(
        self, connection: Connection, newcomers: Sequence[UserBatch]
    ) -> dict[int, Given]:
        own = {
            user.telegram_id: (
                min(user.jobs, self._limits.user_jobs_max),
                min(user.urgent, self._limits.user_urgent_jobs_max),
            )
            for user in newcomers
        }
        admitted = [
            replace(
                user,
                jobs=sum(own[user.telegram_id]),
                is_cut=sum(own[user.telegram_id]) < user.jobs + user.urgent,
            )
            for user in newcomers
        ]
        return {
            place.telegram_id: Given(place, *own[place.telegram_id], is_new_rush=True)
            for place in await self._directory.admit(connection, self._bot_id, admitted)
        }

    async def _give_known(
        self,
        connection: Connection,
        locked: Sequence[asyncpg.Record],
        batch: dict[int, UserBatch],
    ) -> dict[int, Given]:
        users = [batch[row["telegram_id"]] for row in locked]
        shards = [ShardKey(row["pool"], row["shard"]) for row in locked]
        await self._backlogs.look(
            connection, {key for key, user in zip(shards, users, strict=True) if user.jobs}
        )
        rows = await connection.fetch(
            _GIVE,
            [row["user_id"] for row in locked],
            [row["last_user_seq"] for row in locked],
            [user.jobs for user in users],
            [
                self._backlogs.take(key, user.jobs) if user.jobs else 0
                for key, user in zip(shards, users, strict=True)
            ],
            [user.blocked for user in users],
            [user.language_code for user in users],
            [user.display_name for user in users],
            self._limits.user_jobs_max,
            [user.urgent for user in users],
            self._limits.user_urgent_jobs_max,
        )
        is_new_rush = {row["telegram_id"]: row["is_new_rush"] for row in locked}
        return {
            row["telegram_id"]: Given(
                Place(
                    row["user_id"],
                    row["telegram_id"],
                    row["pool"],
                    row["shard"],
                    row["last_user_seq"],
                    row["at"],
                ),
                row["places"],
                row["urgent_places"],
                is_new_rush[row["telegram_id"]],
            )
            for row in rows
        }


def _by_user(updates: Iterable[Incoming | Membership]) -> dict[int, UserBatch]:
    """Sum a batch up per user; what comes later in the batch is the newer truth."""
    users: dict[int, UserBatch] = {}
    for update in updates:
        before = users.get(update.telegram_id)
        jobs, urgent = (before.jobs, before.urgent) if before else (0, 0)
        if isinstance(update, Incoming):
            users[update.telegram_id] = UserBatch(
                update.telegram_id,
                jobs + (not update.is_urgent),
                blocked=False,
                language_code=update.draft.language_code,
                display_name=update.draft.display_name,
                urgent=urgent + update.is_urgent,
                contact=before.contact if before and jobs + urgent else update.contact,
            )
        else:
            users[update.telegram_id] = UserBatch(
                update.telegram_id,
                jobs,
                blocked=update.blocked,
                language_code=before.language_code if before else None,
                display_name=before.display_name if before else None,
                urgent=urgent,
                contact=before.contact if before else NOTHING_KNOWN,
            )
    return users
