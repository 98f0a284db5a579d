"""Forgetting what is over, in bounded batches: each far shorter than the role's
transaction_timeout.
"""

from collections.abc import Mapping

from chassis.postgres import Pool, transaction

BATCH_ROWS_MAX = 2_000
"""Rows per transaction: some 20 ms."""

# Each takes the age in seconds and the most rows to forget.
_PURGES = {
    "updates_seen": """
        DELETE FROM gateway.updates_seen WHERE (bot_id, update_id) IN (
            SELECT bot_id, update_id FROM gateway.updates_seen
            WHERE seen_at < now() - make_interval(secs => $1)
            ORDER BY seen_at LIMIT $2 FOR UPDATE SKIP LOCKED)""",
    "inbox": """
        DELETE FROM gateway.inbox WHERE job_id IN (
            SELECT job_id FROM gateway.inbox
            WHERE done_at < now() - make_interval(secs => $1) AND outcome = 1 AND replay_of IS NULL
            ORDER BY done_at LIMIT $2 FOR UPDATE SKIP LOCKED)""",
    "inbox_set_aside": """
        DELETE FROM gateway.inbox WHERE job_id IN (
            SELECT job_id FROM gateway.inbox
            WHERE done_at < now() - make_interval(secs => $1)
              AND (outcome = 2 OR replay_of IS NOT NULL)
            ORDER BY done_at LIMIT $2 FOR UPDATE SKIP LOCKED)""",
    "outbox": """
        DELETE FROM gateway.outbox WHERE (lane, cause, number) IN (
            SELECT lane, cause, number FROM gateway.outbox
            WHERE done_at < now() - make_interval(secs => $1)
            ORDER BY done_at LIMIT $2 FOR UPDATE SKIP LOCKED)""",
    "rejected_updates": """
        DELETE FROM gateway.rejected_updates WHERE place IN (
            SELECT place FROM gateway.rejected_updates
            WHERE rejected_at < now() - make_interval(secs => $1)
            ORDER BY place LIMIT $2 FOR UPDATE SKIP LOCKED)""",
    "messages": """
        DELETE FROM gateway.messages WHERE (user_id, message_key) IN (
            SELECT user_id, message_key FROM gateway.messages
            WHERE kept_at < now() - make_interval(secs => $1)
            ORDER BY kept_at LIMIT $2 FOR UPDATE SKIP LOCKED)""",
}


class Housekeeping:
    """Purges by age."""

    def __init__(self, pool: Pool, ages_seconds: Mapping[str, float]) -> None:
        if ages_seconds.keys() != _PURGES.keys():
            raise ValueError(f"expected an age for each of {', '.join(_PURGES)}")
        self._pool = pool
        self._ages_seconds = ages_seconds

    async def purge(self) -> dict[str, tuple[int, bool]]:
        """Forget one batch of everything; how many rows of what, and whether there may be more.

        Raises TryAgain.
        """
        purged = {}
        for what, statement in _PURGES.items():
            async with transaction(self._pool) as connection:
                status = await connection.execute(
                    statement, self._ages_seconds[what], BATCH_ROWS_MAX
                )
            rows = int(status.rpartition(" ")[2])
            purged[what] = rows, rows == BATCH_ROWS_MAX
        return purged
