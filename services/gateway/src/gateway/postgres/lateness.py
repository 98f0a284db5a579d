"""Whether answers are late or a shard is behind, anywhere: what notices are held back for.

All gateways share Telegram's patience and the workers, so the look is at what the database knows of
all of them. A row of `senders` names a chat with something to be said. It is late when it should
have been taken long ago, or when Telegram has put it off. Shards are visited by skipping through
the index of what is undone, so a look costs a probe for each shard that has work, and a walk of a
shard's backlog no further than the bound.
"""

from dataclasses import dataclass

from chassis.postgres import Pool, transaction

SHARDS_LOOKED_AT_MAX = 500
"""Shards with work, per look: some milliseconds. With more of them at once than that, users are
being answered and some shard not looked at is no reason to stop."""

_IS_LATE = """
SELECT count(*) >= $2 FROM (
    SELECT FROM gateway.senders WHERE lane = 1
      AND next_attempt_at NOT BETWEEN clock_timestamp() - make_interval(secs => $1)
          AND clock_timestamp()
    LIMIT $2
) AS late
"""

_IS_BEHIND = """
WITH RECURSIVE busy AS (
    (SELECT pool, shard FROM gateway.inbox WHERE done_at IS NULL ORDER BY pool, shard LIMIT 1)
    UNION ALL
    SELECT n.pool, n.shard FROM busy b CROSS JOIN LATERAL (
        SELECT i.pool, i.shard FROM gateway.inbox i
        WHERE i.done_at IS NULL AND (i.pool, i.shard) > (b.pool, b.shard)
        ORDER BY i.pool, i.shard LIMIT 1
    ) AS n
)
SELECT EXISTS (
    SELECT FROM (SELECT pool, shard FROM busy LIMIT $2) AS b WHERE EXISTS (
        SELECT FROM gateway.inbox i
        WHERE i.pool = b.pool AND i.shard = b.shard AND i.done_at IS NULL
        OFFSET $1 - 1 LIMIT 1
    )
)
"""


@dataclass(frozen=True, slots=True)
class LatenessLimits:
    """From when on notices wait."""

    answer_seconds: float
    late_chats: int
    shard_jobs: int


class Lateness:
    """Looks whether users wait."""

    def __init__(self, pool: Pool, limits: LatenessLimits) -> None:
        self._pool = pool
        self._limits = limits

    async def is_late(self) -> bool:
        """Whether answers or jobs wait, so that notices should. Raises TryAgain."""
        limits = self._limits
        async with transaction(self._pool, readonly=True) as connection:
            late: bool = await connection.fetchval(
                _IS_LATE, limits.answer_seconds, limits.late_chats
            )
            if late:
                return True
            behind: bool = await connection.fetchval(
                _IS_BEHIND, limits.shard_jobs, SHARDS_LOOKED_AT_MAX
            )
        return behind
