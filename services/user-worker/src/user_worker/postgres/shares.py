"""Who lets others copy his trades."""

from typing import Any
from uuid import UUID, uuid4

from chassis.postgres import Connection, Pool, fence
from kernel.identifiers import new_uuid7
from kernel.sharding import Claim
from user_worker.domain.orders import receipt_of
from user_worker.domain.rules import Share
from user_worker.postgres.answering import answering

_SHARE = """
INSERT INTO worker.shares (share_id, user_id, pool, shard, code) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (user_id) WHERE ended_at IS NULL DO NOTHING
"""
_READ = """
SELECT s.code, s.shared_at, (
    SELECT count(*) FROM worker.copies c WHERE c.share_id = s.share_id AND c.state = 'active'
) AS followers
FROM worker.shares s WHERE s.user_id = $1 AND s.ended_at IS NULL
"""
_STOP = """
UPDATE worker.shares SET ended_at = clock_timestamp()
WHERE user_id = $1 AND pool = $2 AND shard = $3 AND ended_at IS NULL RETURNING share_id
"""


class PostgresShares:
    """worker.shares."""

    def __init__(self, connections: Pool) -> None:
        self._connections = connections

    async def share(self, claim: Claim, user_id: UUID) -> Share:
        """Let others copy a user's trades by a code, or find what he shares by."""
        # Made like a receipt: forty random bits that nobody guesses within the inbound limits.
        code = receipt_of(uuid4())
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            await connection.execute(_SHARE, new_uuid7(), user_id, claim.pool, claim.shard, code)
            share = await _read(connection, user_id)
        if share is None:
            raise LookupError(f"user {user_id} shares nothing")
        return share

    async def stop(self, claim: Claim, user_id: UUID) -> bool:
        """Let nobody copy him any more; says whether somebody might have."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            rows = await connection.fetch(_STOP, user_id, claim.pool, claim.shard)
        return bool(rows)

    async def of_user(self, user_id: UUID) -> Share | None:
        """Read by what a user shares, if he does."""
        async with answering(self._connections) as connection:
            return await _read(connection, user_id)


async def _read(connection: Connection, user_id: UUID) -> Share | None:
    row: Any = await connection.fetchrow(_READ, user_id)
    return None if row is None else Share(row["code"], row["shared_at"], row["followers"])
