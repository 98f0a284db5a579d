"""Ending jobs and keeping what is to be said.

Whoever adds rows to the outbox makes the chat's row in `senders`, or raises its `arrivals` (and
thereby locks it): so no row is ever left without somebody who will send it. `leases` beside this
module tells the other half.
"""

import time
from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

import asyncpg

from chassis.postgres import Connection, Pool, fence_batch, retry_transaction
from gateway.domain import Ended, Ending, EndingRefused, Lane, OutboxRow, RowKey
from purser.gateway.v1 import reply_pb2

_END = """
WITH call AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::smallint[], $5::text[],
                         $6::boolean[])
        WITH ORDINALITY AS c (job_id, pool, shard, outcome, error, press_answered, place)
), locked AS MATERIALIZED (
    SELECT i.job_id FROM gateway.inbox i JOIN call c USING (job_id, pool, shard)
    WHERE i.done_at IS NULL ORDER BY i.job_id FOR UPDATE OF i
), done AS (
    UPDATE gateway.inbox i
    SET done_at = clock_timestamp(), outcome = c.outcome, error = c.error
    FROM call c, locked l WHERE i.job_id = l.job_id AND c.job_id = l.job_id
    RETURNING i.job_id, i.user_id, i.press_answer, c.press_answered, c.place
), said AS (
    SELECT d.user_id, r.job_id, r.number, r.payload, d.place
    FROM unnest($7::uuid[], $8::smallint[], $9::bytea[]) AS r (job_id, number, payload)
    JOIN done d USING (job_id)
    UNION ALL
    SELECT user_id, job_id, 0, press_answer, place FROM done
    WHERE press_answer IS NOT NULL AND NOT press_answered
), put AS (
    INSERT INTO gateway.outbox (lane, cause, number, user_id, payload)
    SELECT 1, job_id, number, user_id, payload FROM said ORDER BY place, number
), granted AS (
    INSERT INTO gateway.senders AS s (user_id, lane, holder, lease_until)
    SELECT user_id, 1, $10::uuid, CASE WHEN $10::uuid IS NULL THEN '-infinity'
        ELSE clock_timestamp() + make_interval(secs => $11) END
    FROM (SELECT DISTINCT user_id FROM said) AS chats ORDER BY user_id
    ON CONFLICT (user_id, lane) DO UPDATE SET arrivals = s.arrivals + 1
    RETURNING s.user_id, s.holder, s.arrivals
)
SELECT d.job_id, d.user_id, u.telegram_id, g.arrivals, g.holder = $10 AS ours,
       CASE WHEN NOT d.press_answered THEN d.press_answer END AS silent_answer
FROM done d JOIN gateway.users u USING (user_id) LEFT JOIN granted g USING (user_id)
ORDER BY d.place
"""

_KNOWN = "SELECT job_id, pool, shard FROM gateway.inbox WHERE job_id = ANY($1::uuid[])"

_NOTICE_USERS = """
SELECT user_id FROM gateway.users WHERE user_id = ANY($1::uuid[]) AND blocked_at IS NULL
"""

_PUT_NOTICES = """
INSERT INTO gateway.outbox (lane, cause, number, user_id, payload)
SELECT 2, cause, number, user_id, payload
FROM unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::bytea[]) WITH ORDINALITY
    AS n (cause, number, user_id, payload, place)
WHERE NOT EXISTS (SELECT FROM gateway.outbox o WHERE o.lane = 2 AND o.cause = n.cause)
ORDER BY n.place
ON CONFLICT (lane, cause, number) DO NOTHING
RETURNING cause, user_id
"""

_ANNOUNCE_NOTICES = """
INSERT INTO gateway.senders AS s (user_id, lane)
SELECT DISTINCT user_id, 2::smallint FROM unnest($1::uuid[]) AS u (user_id) ORDER BY user_id
ON CONFLICT (user_id, lane) DO UPDATE SET arrivals = s.arrivals + 1
"""


class Outbox:
    """Ends jobs and keeps what is to be said."""

    def __init__(self, pool: Pool, gateway_id: UUID, lease_seconds: float) -> None:
        self._pool = pool
        self._gateway_id = gateway_id
        self._lease_seconds = lease_seconds

    async def end_jobs(
        self, endings: Sequence[Ending], *, take_leases: bool
    ) -> list[Ended | EndingRefused]:
        """End a batch of jobs in one transaction; per job, in order, what became of it.

        With `take_leases` this gateway takes the chats nobody sends to; else the rows wait for a
        sweep. Raises TryAgain.
        """

        async def work(connection: Connection) -> list[Ended | EndingRefused]:
            return await self._end_jobs(connection, endings, take_leases=take_leases)

        return await retry_transaction(self._pool, work)

    async def put_notices(
        self, notices: Sequence[tuple[UUID, UUID, Sequence[bytes]]]
    ) -> tuple[set[UUID], set[UUID]]:
        """Keep notices of (event id, user id, encoded replies); the events put now, and the users
        one can reach.
        """

        async def work(connection: Connection) -> tuple[set[UUID], set[UUID]]:
            reachable = {
                row["user_id"]
                for row in await connection.fetch(_NOTICE_USERS, [user for _, user, _ in notices])
            }
            rows = [
                (event, number, user, payload)
                for event, user, payloads in notices
                if user in reachable
                for number, payload in enumerate(payloads, 1)
            ]
            if not rows:
                return set(), reachable
            put = await connection.fetch(_PUT_NOTICES, *map(list, zip(*rows, strict=True)))
            if put:
                await connection.execute(_ANNOUNCE_NOTICES, [row["user_id"] for row in put])
            return {row["cause"] for row in put}, reachable

        return await retry_transaction(self._pool, work)

    async def _end_jobs(
        self, connection: Connection, endings: Sequence[Ending], *, take_leases: bool
    ) -> list[Ended | EndingRefused]:
        valid = await fence_batch(connection, [ending.claim for ending in endings])
        ended: dict[UUID, Ended] = {}
        ender: dict[UUID, Ending] = {}
        for live in _rounds(ending for ending, ok in zip(endings, valid, strict=True) if ok):
            for row in await connection.fetch(
                _END,
                *_columns(live.values()),
                self._gateway_id if take_leases else None,
                self._lease_seconds,
            ):
                job_id = row["job_id"]
                ender[job_id] = live[job_id]
                ended[job_id] = Ended(
                    row["user_id"],
                    _rows_of(live[job_id], row),
                    row["arrivals"] or 0,
                    row["ours"] is True,
                )
        shard_of = {job_id: (e.claim.pool, e.claim.shard) for job_id, e in ender.items()}
        if missing := {ending.job_id for ending in endings} - ended.keys():
            for row in await connection.fetch(_KNOWN, list(missing)):
                shard_of[row["job_id"]] = row["pool"], row["shard"]
        answers: list[Ended | EndingRefused] = []
        for ending, ok in zip(endings, valid, strict=True):
            if not ok:
                answers.append(EndingRefused.STALE)
            elif ender.get(ending.job_id) is ending:
                answers.append(ended[ending.job_id])
            elif shard_of.get(ending.job_id) == (ending.claim.pool, ending.claim.shard):
                answers.append(EndingRefused.ALREADY_ENDED)
            else:
                answers.append(EndingRefused.UNKNOWN)
        return answers


def _rounds(endings: Iterable[Ending]) -> list[dict[UUID, Ending]]:
    """Put calls into batches with each job once: one, unless calls of a job name two shards.

    The first call of a job decides, also within a batch. A call that names another shard than the
    job's decides nothing, so it must not stand in the way of one that names the right one.
    """
    rounds: list[dict[UUID, Ending]] = [{}]
    for ending in endings:
        for live in rounds:
            if live.setdefault(ending.job_id, ending).claim.key == ending.claim.key:
                break
        else:
            rounds.append({ending.job_id: ending})
    return rounds if rounds[0] else []


def _columns(endings: Collection[Ending]) -> list[list[object]]:
    """Turn calls into the arrays of `_END`: six about the jobs, three about their replies."""
    calls: list[tuple[object, ...]] = [
        (e.job_id, e.claim.pool, e.claim.shard, e.outcome, e.error, e.press_answered)
        for e in endings
    ]
    replies: list[tuple[object, ...]] = [
        (ending.job_id, number, reply.SerializeToString())
        for ending in endings
        for number, reply in enumerate(ending.replies, 1)
    ]
    return [[row[i] for row in calls] for i in range(6)] + [
        [row[i] for row in replies] for i in range(3)
    ]


def _rows_of(ending: Ending, row: asyncpg.Record) -> list[OutboxRow]:
    """The rows as the statement has put them, without reading them back."""
    said = list(enumerate(ending.replies, 1))
    if row["silent_answer"] is not None:
        said.insert(0, (0, reply_pb2.Reply.FromString(row["silent_answer"])))
    now = time.monotonic()
    return [
        OutboxRow(
            RowKey(Lane.ANSWER, ending.job_id, number),
            row["user_id"],
            row["telegram_id"],
            reply,
            0,
            now,
        )
        for number, reply in said
    ]
