"""What there is to do: the undone jobs of shards, read from the inbox by whoever has claimed them.

Reads only. The fence is held while reading, so nobody is told of work under a claim that a newer
one has replaced. A job's payload names the shard it was accepted in; its user may have been moved
since, so each is addressed to the shard it is read for.
"""

from collections.abc import Sequence
from uuid import UUID

from chassis.errors import NotFound
from chassis.postgres import Pool, fence, fence_batch, transaction
from kernel.sharding import Claim
from purser.gateway.v1 import gateway_pb2, job_pb2

UNDONE_LOOK_MAX = 10_000
"""The oldest undone jobs of a shard among which users take turns: some 10 ms at most."""

# Users take turns, so that one who floods a shard does not hide the others from its owner.
_UNDONE = """
SELECT c.place, j.payload
FROM unnest($1::text[], $2::integer[]) WITH ORDINALITY AS c (pool, shard, place)
CROSS JOIN LATERAL (
    SELECT i.payload, t.turn, t.place
    FROM (
        SELECT o.job_id, o.place,
               row_number() OVER (PARTITION BY o.user_id ORDER BY o.place) AS turn
        FROM (
            SELECT job_id, user_id, place FROM gateway.inbox
            WHERE pool = c.pool AND shard = c.shard AND done_at IS NULL ORDER BY place LIMIT $4
        ) AS o
        ORDER BY turn, o.place LIMIT $3
    ) AS t
    JOIN gateway.inbox i USING (job_id)
) AS j
ORDER BY c.place, j.turn, j.place
"""

_CURSORS = """
SELECT c.place, u.user_id, coalesce(f.first_seq, u.last_user_seq + 1) AS next_user_seq
FROM unnest($1::text[], $2::integer[]) WITH ORDINALITY AS c (pool, shard, place)
JOIN gateway.users u ON u.pool = c.pool AND u.shard = c.shard
LEFT JOIN (
    SELECT i.user_id, min(i.user_seq) AS first_seq FROM gateway.inbox i
    JOIN unnest($1::text[], $2::integer[]) AS d (pool, shard)
      ON i.pool = d.pool AND i.shard = d.shard AND i.done_at IS NULL
    GROUP BY i.user_id
) AS f USING (user_id)
"""

_READ = """
SELECT payload FROM gateway.inbox
WHERE job_id = $1 AND pool = $2 AND shard = $3 AND done_at IS NULL
"""


class UndoneJobs:
    """Says what shards have to do."""

    def __init__(self, pool: Pool, fetch_bytes_max: int, stream_key: bytes) -> None:
        self._pool = pool
        self._stream_key = stream_key
        self._fetch_bytes_max = fetch_bytes_max

    @property
    def stream_key(self) -> bytes:
        """See application.JobReader."""
        return self._stream_key

    async def fetch(
        self, claims: Sequence[Claim], jobs_per_shard_max: int, *, cursors: bool
    ) -> list[gateway_pb2.ShardJobs]:
        """Read the undone jobs of shards, up to a bound of bytes in all. Raises TryAgain."""
        bytes_left = self._fetch_bytes_max
        async with transaction(self._pool) as connection:
            valid = await fence_batch(connection, claims)
            pools = [claim.pool for claim, ok in zip(claims, valid, strict=True) if ok]
            shards = [claim.shard for claim, ok in zip(claims, valid, strict=True) if ok]
            jobs = await connection.fetch(
                _UNDONE, pools, shards, jobs_per_shard_max, UNDONE_LOOK_MAX
            )
            places = await connection.fetch(_CURSORS, pools, shards) if cursors else []
        answers = [
            gateway_pb2.ShardJobs(pool=claim.pool, shard=claim.shard, stale=not ok)
            for claim, ok in zip(claims, valid, strict=True)
        ]
        live = [answer for answer in answers if not answer.stale]
        for row in jobs:
            bytes_left -= len(row["payload"])
            if bytes_left < 0:
                break  # a user's later jobs come after the earlier ones, so a cut leaves no gap
            answer = live[row["place"] - 1]
            answer.jobs.append(_addressed(row["payload"], answer.pool, answer.shard))
        for row in places:
            live[row["place"] - 1].cursors.add(
                user_id=str(row["user_id"]), next_user_seq=row["next_user_seq"]
            )
        return answers

    async def read(self, claim: Claim, job_id: UUID) -> job_pb2.Job:
        """Read one undone job. Raises StaleClaim, NotFound, TryAgain."""
        async with transaction(self._pool) as connection:
            await fence(connection, claim)
            payload = await connection.fetchval(_READ, job_id, claim.pool, claim.shard)
        if payload is None:
            raise NotFound("no such undone job in that shard")
        return _addressed(payload, claim.pool, claim.shard)


def _addressed(payload: bytes, pool: str, shard: int) -> job_pb2.Job:
    job = job_pb2.Job.FromString(payload)
    job.pool, job.shard = pool, shard
    return job
