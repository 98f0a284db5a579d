"""Jobs that were set aside: to be looked at by people, and to be worked again.

A replay is a new job: its own id, the user's newest place, the same input. Its `replay_of` names
the job the user caused, also when what is replayed is itself a replay, so that all attempts at one
wish form one family. Of a family at most one replay waits or is done: replays of a user's jobs meet
at the lock of that user's row, and an index says it once more. A replay's press is answered by
nobody but the worker: the silent answer went out when the first job ended.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from chassis.errors import LimitReached, NotFound, Refused
from chassis.postgres import Connection, Pool, retry_transaction, transaction
from chassis.telemetry import current_traceparent
from gateway.describing import describe_input
from gateway.domain import AcceptedJob, PageMark, Replayed, SetAsideFilter
from kernel.identifiers import new_uuid7
from purser.gateway.v1 import gateway_pb2, job_pb2

FORGOTTEN = "FORGOTTEN"

_COLUMNS = """
SELECT i.job_id, i.pool, i.shard, i.user_id, i.user_seq, i.accepted_at, i.done_at, i.payload,
       i.error, i.replay_of, r.job_id AS replay_job_id, r.done_at IS NOT NULL AS replay_done
FROM gateway.inbox i
LEFT JOIN gateway.inbox r
    ON r.replay_of = coalesce(i.replay_of, i.job_id) AND r.outcome IS DISTINCT FROM 2
"""

_LIST = (
    _COLUMNS
    + """
WHERE i.outcome = 2 AND i.pool = $1
  AND ($2::integer IS NULL OR i.shard = $2) AND ($3::uuid IS NULL OR i.user_id = $3)
  AND ($4::timestamptz IS NULL OR (i.done_at, i.job_id) < ($4, $5::uuid))
ORDER BY i.done_at DESC, i.job_id DESC LIMIT $6
"""
)

_READ = _COLUMNS + "WHERE i.job_id = $1 AND i.outcome = 2"

_LOCK_USER = """
SELECT u.user_id, u.pool, u.shard, u.last_user_seq FROM gateway.users u
WHERE u.user_id = (SELECT user_id FROM gateway.inbox WHERE job_id = $1 AND outcome = 2)
FOR NO KEY UPDATE
"""

# Locked, so that nobody forgets it meanwhile.
_LOCK_JOB = "SELECT FROM gateway.inbox WHERE job_id = $1 AND outcome = 2 FOR NO KEY UPDATE"

# Of a user's jobs the last ones are undone: this one only if all after it are.
_IS_UNDONE = """
SELECT EXISTS (SELECT FROM gateway.inbox WHERE user_id = $1 AND user_seq = $2 AND done_at IS NULL)
"""

_NEXT_PLACE = """
UPDATE gateway.users SET last_user_seq = last_user_seq + 1 WHERE user_id = $1
RETURNING last_user_seq, clock_timestamp() AS at
"""

_PUT = """
INSERT INTO gateway.inbox
    (job_id, user_id, user_seq, pool, shard, accepted_at, payload, replay_of)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


@dataclass(frozen=True, slots=True)
class _Owner:
    """Whose job it is, and where."""

    user_id: UUID
    pool: str
    shard: int


class SetAsideJobs:
    """What was set aside."""

    def __init__(self, pool: Pool, user_jobs_max: int) -> None:
        self._pool = pool
        self._user_jobs_max = user_jobs_max

    async def list(
        self, chosen: SetAsideFilter, jobs_max: int, after: PageMark | None
    ) -> tuple[list[gateway_pb2.SetAsideJob], PageMark | None]:
        """Read a page, set aside last first, and the mark after which the next one begins.

        Raises TryAgain.
        """
        async with transaction(self._pool, readonly=True) as connection:
            rows = await connection.fetch(
                _LIST,
                chosen.pool,
                chosen.shard,
                chosen.user_id,
                after.at if after else None,
                after.job_id if after else None,
                jobs_max + 1,
            )
        page = rows[:jobs_max]
        is_last = len(rows) <= jobs_max
        mark = None if is_last else PageMark(page[-1]["done_at"], page[-1]["job_id"])
        return [_told(row) for row in page], mark

    async def read(
        self, job_id: UUID, *, include_input: bool
    ) -> tuple[gateway_pb2.SetAsideJob, job_pb2.Job | None]:
        """Read one, and on request the job as it was accepted. Raises NotFound, TryAgain."""
        async with transaction(self._pool, readonly=True) as connection:
            row = await connection.fetchrow(_READ, job_id)
        if row is None:
            raise _not_found()
        has_input = include_input and row["payload"]
        return _told(row), job_pb2.Job.FromString(row["payload"]) if has_input else None

    async def replay(self, job_id: UUID) -> Replayed:
        """Accept a replay, or find the one there is.

        Raises NotFound, Refused (FORGOTTEN), LimitReached, TryAgain.
        """

        async def work(connection: Connection) -> Replayed:
            return await self._replay(connection, job_id)

        return await retry_transaction(self._pool, work)

    async def _replay(self, connection: Connection, job_id: UUID) -> Replayed:
        user = await connection.fetchrow(_LOCK_USER, job_id)
        if user is None:
            raise _not_found()
        await connection.execute(_LOCK_JOB, job_id)
        row = await connection.fetchrow(_READ, job_id)
        if row is None:  # purged while we waited
            raise _not_found()
        if row["replay_job_id"] is not None:
            return Replayed(row["replay_job_id"], None, is_done=row["replay_done"])
        if not row["payload"]:
            raise Refused("the user had what they sent forgotten", reason=FORGOTTEN)
        oldest_place = user["last_user_seq"] + 1 - self._user_jobs_max
        if await connection.fetchval(_IS_UNDONE, user["user_id"], oldest_place):
            raise LimitReached(
                f"{self._user_jobs_max} jobs of the user wait already: replay it when they are done"
            )
        owner = _Owner(user["user_id"], user["pool"], user["shard"])
        return await self._put(connection, owner, row)

    @staticmethod
    async def _put(connection: Connection, owner: _Owner, row: asyncpg.Record) -> Replayed:
        place = await connection.fetchrow(_NEXT_PLACE, owner.user_id)
        assert place is not None  # noqa: S101 (its row is locked, and users are never deleted)
        replay_id = new_uuid7()
        job = job_pb2.Job.FromString(row["payload"])
        job.job_id = str(replay_id)
        job.pool, job.shard = owner.pool, owner.shard
        job.user_seq = place["last_user_seq"]
        job.accepted_at.FromDatetime(place["at"])
        job.traceparent = current_traceparent()
        payload = job.SerializeToString()
        await connection.execute(
            _PUT,
            replay_id,
            owner.user_id,
            place["last_user_seq"],
            owner.pool,
            owner.shard,
            place["at"],
            payload,
            row["replay_of"] or row["job_id"],
        )
        return Replayed(replay_id, AcceptedJob(owner.pool, owner.shard, payload), is_done=False)


def _not_found() -> NotFound:
    return NotFound("no such job, or it was not set aside")


def _told(row: asyncpg.Record) -> gateway_pb2.SetAsideJob:
    """Write a row without what was typed."""
    kind, name = describe_input(row["payload"])
    told = gateway_pb2.SetAsideJob(
        job_id=str(row["job_id"]),
        pool=row["pool"],
        shard=row["shard"],
        user_id=str(row["user_id"]),
        user_seq=row["user_seq"],
        input_kind=kind,
        input_name=name,
        error=row["error"] or "",
        forgotten=not row["payload"],
        replay_of=_text(row["replay_of"]),
        replay_job_id=_text(row["replay_job_id"]),
        replay_done=row["replay_done"],
    )
    accepted_at: datetime = row["accepted_at"]
    told.accepted_at.FromDatetime(accepted_at)
    told.set_aside_at.FromDatetime(row["done_at"])
    return told


def _text(identifier: UUID | None) -> str:
    return "" if identifier is None else str(identifier)
