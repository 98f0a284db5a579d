"""Forgetting a user: the words go, what the service needs to go on stays.

Gone are the texts of ended jobs and of what was said, the updates kept aside, the name and the
language. Rows stay where something counts on them, emptied: an ended job answers a repeated Deliver
call, a sent notice is known by its event id, and a message can still be edited by its key. Jobs
under way and replies not yet sent are left alone, so the answer to the very request still goes out;
the purge by age takes them later, as it takes the emptied rows.

A week of somebody's words may be many rows, so they go in bounded transactions, each under the
fence. A call that is cut short has forgotten a part; the next one goes on from there.
"""

from uuid import UUID

from chassis.errors import NotFound
from chassis.postgres import Connection, Pool, fence, retry_transaction
from kernel.sharding import Claim

BATCH_ROWS_MAX = 200
"""Rows per transaction: some 10 ms, and far below the second a transaction may last when each of
them is a picture."""

_NAME = """
UPDATE gateway.users SET display_name = '', language_code = ''
WHERE user_id = $1 AND pool = $2 AND shard = $3
RETURNING bot_id, telegram_id
"""

# The key of the row before is where the next look begins: emptied rows are passed once, not again
# by every batch.
_JOBS = """
WITH words AS (
    SELECT job_id FROM gateway.inbox
    WHERE user_id = $1 AND user_seq > $2 AND done_at IS NOT NULL
      AND (octet_length(payload) > 0 OR error IS NOT NULL)
    ORDER BY user_seq LIMIT $3
)
UPDATE gateway.inbox i SET payload = '', press_answer = NULL, error = NULL
FROM words w WHERE i.job_id = w.job_id
RETURNING i.user_seq
"""

_SAID = """
WITH words AS (
    SELECT lane, cause, number FROM gateway.outbox
    WHERE user_id = $1 AND state > 0 AND octet_length(payload) > 0 LIMIT $2
)
UPDATE gateway.outbox o SET payload = '', failure = NULL
FROM words w WHERE o.lane = w.lane AND o.cause = w.cause AND o.number = w.number
RETURNING 1
"""

_REJECTED = """
DELETE FROM gateway.rejected_updates WHERE place IN (
    SELECT place FROM gateway.rejected_updates WHERE bot_id = $1 AND telegram_id = $2 LIMIT $3)
RETURNING 1
"""


class Forgetting:
    """Erases what is kept of a user."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def forget(self, claim: Claim, user_id: UUID) -> None:
        """Forget a user of the claim's shard; doing it again is no harm.

        Raises StaleClaim, NotFound, TryAgain.
        """

        async def name(connection: Connection) -> tuple[int, int]:
            await fence(connection, claim)
            row = await connection.fetchrow(_NAME, user_id, claim.pool, claim.shard)
            if row is None:
                raise NotFound("no such user in that shard")
            return row["bot_id"], row["telegram_id"]

        sender = await retry_transaction(self._pool, name)
        newest_seq = 0
        while places := await self._batch(claim, _JOBS, user_id, newest_seq):
            newest_seq = max(places)
        while await self._batch(claim, _SAID, user_id):
            pass
        while await self._batch(claim, _REJECTED, *sender):
            pass

    async def _batch(self, claim: Claim, statement: str, *arguments: object) -> list[int]:
        """Forget up to `BATCH_ROWS_MAX` rows; what the statement returns of each."""

        async def work(connection: Connection) -> list[int]:
            await fence(connection, claim)
            rows = await connection.fetch(statement, *arguments, BATCH_ROWS_MAX)
            return [row[0] for row in rows]

        return await retry_transaction(self._pool, work)
