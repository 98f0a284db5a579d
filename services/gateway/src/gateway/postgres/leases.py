"""The lease of sending to a chat, and what became of what was sent.

A row of `senders` exists as long as a chat's lane has pending rows: it is the lease of sending
there. A holder ends its lease only under the count of `arrivals` it knows. So rows added by another
gateway, or by this one a moment before, are never left without somebody who will send them: either
the holder sees that the count has moved and looks again, or the lease is gone and the adding
transaction has made a new one. A holder that dies leaves a lease that runs out; the sweep finds it.
"""

import time
from collections.abc import Sequence
from uuid import UUID

from chassis.postgres import Connection, Pool, retry_transaction, transaction
from gateway.domain import Lane, Mark, OutboxRow, RowKey
from gateway.utf16 import clean
from purser.gateway.v1 import reply_pb2

FAILURE_CHARACTERS_MAX = 1_000
"""Kept of what Telegram said."""

_TAKE_DUE = """
WITH due AS (
    SELECT user_id FROM gateway.senders
    WHERE lane = $1 AND next_attempt_at <= (SELECT clock_timestamp())
      AND lease_until < clock_timestamp()
    ORDER BY next_attempt_at LIMIT $4 FOR UPDATE SKIP LOCKED
)
UPDATE gateway.senders s
SET holder = $2, lease_until = clock_timestamp() + make_interval(secs => $3)
FROM due WHERE s.user_id = due.user_id AND s.lane = $1
RETURNING s.user_id, s.arrivals
"""

_KEEP = """
UPDATE gateway.senders SET lease_until = clock_timestamp() + make_interval(secs => $4)
WHERE user_id = $1 AND lane = $2 AND holder = $3 AND lease_until > clock_timestamp()
RETURNING arrivals
"""

_PENDING_ROWS = """
SELECT c.user_id, u.telegram_id, o.cause, o.number, o.payload, o.attempts,
       extract(epoch FROM clock_timestamp() - o.created_at)::double precision AS age_seconds
FROM unnest($1::uuid[]) AS c (user_id)
JOIN gateway.users u USING (user_id)
CROSS JOIN LATERAL (
    SELECT * FROM gateway.outbox o
    WHERE o.user_id = c.user_id AND o.lane = $2 AND o.state = 0 ORDER BY o.place LIMIT $3
) AS o
ORDER BY c.user_id, o.place
"""

_MARK = """
UPDATE gateway.outbox o
SET state = m.state, failure = m.failure, attempts = o.attempts + m.counted::integer,
    done_at = CASE WHEN m.state > 0 THEN clock_timestamp() END
FROM unnest($1::smallint[], $2::uuid[], $3::smallint[], $4::smallint[], $5::text[], $6::boolean[])
    AS m (lane, cause, number, state, failure, counted)
WHERE o.lane = m.lane AND o.cause = m.cause AND o.number = m.number AND o.state = 0
"""

_KEEP_MESSAGES = """
INSERT INTO gateway.messages (user_id, message_key, message_id)
SELECT DISTINCT ON (user_id, message_key) user_id, message_key, message_id
FROM unnest($1::uuid[], $2::text[], $3::bigint[]) WITH ORDINALITY
    AS m (user_id, message_key, message_id, place)
ORDER BY user_id, message_key, place DESC
ON CONFLICT (user_id, message_key)
DO UPDATE SET message_id = excluded.message_id, kept_at = clock_timestamp()
"""

_BLOCK = """
WITH blocked AS (
    UPDATE gateway.users SET blocked_at = clock_timestamp()
    WHERE user_id = ANY($1::uuid[]) AND blocked_at IS NULL
)
UPDATE gateway.outbox SET state = 3, done_at = clock_timestamp(), failure = $2
WHERE user_id = ANY($1::uuid[]) AND state = 0
"""

_END_LEASES = """
WITH ended AS (
    SELECT s.user_id, s.lane FROM gateway.senders s
    JOIN unnest($1::uuid[], $2::smallint[], $3::bigint[]) AS e (user_id, lane, arrivals)
      USING (user_id, lane, arrivals)
    WHERE s.holder = $4 ORDER BY s.user_id, s.lane FOR UPDATE OF s
)
DELETE FROM gateway.senders s USING ended e WHERE s.user_id = e.user_id AND s.lane = e.lane
RETURNING s.user_id, s.lane
"""

_POSTPONE = """
UPDATE gateway.senders s
SET holder = NULL, lease_until = '-infinity',
    next_attempt_at = clock_timestamp() + make_interval(secs => p.delay)
FROM unnest($1::uuid[], $2::smallint[], $3::double precision[]) AS p (user_id, lane, delay)
WHERE s.user_id = p.user_id AND s.lane = p.lane AND s.holder = $4
"""

_GIVE_UP = """
UPDATE gateway.senders SET holder = NULL, lease_until = '-infinity' WHERE holder = $1
"""

_MESSAGE_ID = """
SELECT message_id FROM gateway.messages WHERE user_id = $1 AND message_key = $2
"""


class Leases:
    """The truth about who may send what, and what was sent."""

    def __init__(
        self, pool: Pool, gateway_id: UUID, lease_seconds: float, load_rows_max: int
    ) -> None:
        self._pool = pool
        self._gateway_id = gateway_id
        self._lease_seconds = lease_seconds
        self._load_rows_max = load_rows_max

    async def take_due(self, lane: Lane, chats_max: int) -> dict[UUID, tuple[int, list[OutboxRow]]]:
        """Take the chats of a lane that nobody sends to.

        Gives per user the count of arrivals and the pending rows. Raises TryAgain.
        """
        async with transaction(self._pool) as connection:
            taken = await connection.fetch(
                _TAKE_DUE, lane, self._gateway_id, self._lease_seconds, chats_max
            )
            rows = await self._pending(connection, lane, [row["user_id"] for row in taken])
        return {row["user_id"]: (row["arrivals"], rows.get(row["user_id"], [])) for row in taken}

    async def look_again(self, lane: Lane, user_id: UUID) -> tuple[int, list[OutboxRow]] | None:
        """Renew the lease of a chat and read all its pending rows; None when the lease is lost.

        Raises TryAgain.
        """
        async with transaction(self._pool) as connection:
            arrivals = await connection.fetchval(
                _KEEP, user_id, lane, self._gateway_id, self._lease_seconds
            )
            if arrivals is None:
                return None
            rows = await self._pending(connection, lane, [user_id])
        return arrivals, rows.get(user_id, [])

    async def end_lease(self, lane: Lane, user_id: UUID, arrivals: int) -> bool:
        """End a chat's lease if no more than so many arrivals are counted. Raises TryAgain."""

        async def work(connection: Connection) -> bool:
            rows = await connection.fetch(
                _END_LEASES, [user_id], [lane], [arrivals], self._gateway_id
            )
            return bool(rows)

        return await retry_transaction(self._pool, work)

    async def give_up_leases(self) -> None:
        """Let other gateways send what this one has taken. Raises TryAgain."""
        async with transaction(self._pool) as connection:
            await connection.execute(_GIVE_UP, self._gateway_id)

    async def mark(self, marks: Sequence[Mark]) -> list[bool]:
        """Write down what became of rows; per mark whether its chat's lease has ended here.

        Raises TryAgain.
        """

        async def work(connection: Connection) -> list[bool]:
            return await self._mark(connection, marks)

        return await retry_transaction(self._pool, work)

    async def message_id(self, user_id: UUID, message_key: str) -> int | None:
        """Find the Telegram message a worker knows by `message_key`. Raises TryAgain."""
        async with transaction(self._pool) as connection:
            found: int | None = await connection.fetchval(_MESSAGE_ID, user_id, message_key)
        return found

    async def _pending(
        self, connection: Connection, lane: Lane, user_ids: Sequence[UUID]
    ) -> dict[UUID, list[OutboxRow]]:
        found: dict[UUID, list[OutboxRow]] = {}
        if not user_ids:
            return found
        now = time.monotonic()
        for row in await connection.fetch(_PENDING_ROWS, user_ids, lane, self._load_rows_max):
            found.setdefault(row["user_id"], []).append(
                OutboxRow(
                    RowKey(lane, row["cause"], row["number"]),
                    row["user_id"],
                    row["telegram_id"],
                    reply_pb2.Reply.FromString(row["payload"]),
                    row["attempts"],
                    now - row["age_seconds"],
                )
            )
        return found

    async def _mark(self, connection: Connection, marks: Sequence[Mark]) -> list[bool]:
        await connection.execute(
            _MARK,
            [mark.row.key.lane for mark in marks],
            [mark.row.key.cause for mark in marks],
            [mark.row.key.number for mark in marks],
            [mark.state for mark in marks],
            [_kept(mark.failure) for mark in marks],
            [mark.is_counted for mark in marks],
        )
        named = [mark for mark in marks if mark.message_id and mark.row.reply.message_key]
        if named:
            await connection.execute(
                _KEEP_MESSAGES,
                [mark.row.user_id for mark in named],
                [mark.row.reply.message_key for mark in named],
                [mark.message_id for mark in named],
            )
        blocked = sorted({mark.row.user_id for mark in marks if mark.blocked})
        if blocked:
            await connection.execute(_BLOCK, blocked, "the user has blocked the bot")
        postponed = [mark for mark in marks if mark.postpone_seconds is not None]
        if postponed:
            await connection.execute(
                _POSTPONE,
                [mark.row.user_id for mark in postponed],
                [mark.row.key.lane for mark in postponed],
                [mark.postpone_seconds for mark in postponed],
                self._gateway_id,
            )
        return await self._end_leases(connection, marks)

    async def _end_leases(self, connection: Connection, marks: Sequence[Mark]) -> list[bool]:
        leases = [mark for mark in marks if mark.end_lease_at is not None]
        if not leases:
            return [mark.postpone_seconds is not None for mark in marks]
        ended = {
            (row["user_id"], row["lane"])
            for row in await connection.fetch(
                _END_LEASES,
                [mark.row.user_id for mark in leases],
                [mark.row.key.lane for mark in leases],
                [mark.end_lease_at for mark in leases],
                self._gateway_id,
            )
        }
        return [
            mark.postpone_seconds is not None
            or (mark.end_lease_at is not None and (mark.row.user_id, mark.row.key.lane) in ended)
            for mark in marks
        ]


def _kept(failure: str | None) -> str | None:
    """Make Telegram's words fit to be kept: one NUL would undo the marks of everybody's batch."""
    if failure is None:
        return None
    return clean(failure).replace("\0", "\ufffd")[:FAILURE_CHARACTERS_MAX]
