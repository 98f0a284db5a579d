"""Ends of orders to be told of. Each row has its own mark, so the order of commits does not matter;
rows that were relayed a week ago go.
"""

from collections.abc import Sequence
from uuid import UUID

from chassis.postgres import Pool, fence
from kernel.sharding import Claim
from user_worker.postgres.answering import answering
from user_worker.postgres.trading_rows import SELECT_ORDER, seen_of
from user_worker.trading_ports import EndEvent

_UNRELAYED = f"""
SELECT claims.n, e.event_id, ended.*
FROM unnest($1::text[], $2::integer[]) WITH ORDINALITY AS claims (pool, shard, n)
JOIN worker.events e
    ON e.pool = claims.pool AND e.shard = claims.shard AND e.relayed_at IS NULL
CROSS JOIN LATERAL ({SELECT_ORDER} WHERE o.order_id = e.order_id) AS ended
ORDER BY e.made_at LIMIT $3
"""  # noqa: S608 (columns of ours)
_MARK = """
UPDATE worker.events SET relayed_at = clock_timestamp()
WHERE event_id = ANY($1) AND pool = $2 AND shard = $3 AND relayed_at IS NULL
"""
_FORGET_OLD = """
DELETE FROM worker.events WHERE pool = $1 AND shard = $2
    AND relayed_at < clock_timestamp() - interval '7 days'
"""


class PostgresEvents:
    """worker.events."""

    def __init__(self, connections: Pool) -> None:
        self._connections = connections

    async def unrelayed(self, claims: Sequence[Claim], count_max: int) -> Sequence[EndEvent]:
        """Read the events of some shards that were not relayed yet, oldest first."""
        async with answering(self._connections) as connection:
            rows = await connection.fetch(
                _UNRELAYED, [c.pool for c in claims], [c.shard for c in claims], count_max
            )
        return [
            EndEvent(row["event_id"], claims[row["n"] - 1], seen_of(row).order, row["language"])
            for row in rows
        ]

    async def mark_relayed(self, claim: Claim, event_ids: Sequence[UUID]) -> None:
        """Mark events of one shard as relayed. Safe to repeat."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            await connection.execute(_MARK, list(event_ids), claim.pool, claim.shard)
            await connection.execute(_FORGET_OLD, claim.pool, claim.shard)
