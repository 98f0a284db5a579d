"""What users chose for themselves, and its erasing."""

from uuid import UUID

from chassis.postgres import Pool, fence
from kernel.sharding import Claim
from user_worker.postgres.answering import answering


class PostgresPreferences:
    """worker.preferences."""

    def __init__(self, connections: Pool) -> None:
        self._connections = connections

    async def language(self, user_id: UUID) -> str | None:
        """Read the language a user chose, if any."""
        async with answering(self._connections) as connection:
            language: str | None = await connection.fetchval(
                "SELECT language FROM worker.preferences WHERE user_id = $1", user_id
            )
        return language

    async def choose_language(self, claim: Claim, user_id: UUID, language: str) -> None:
        """Keep the choice."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            await connection.execute(
                "INSERT INTO worker.preferences (user_id, pool, shard, language)"
                " VALUES ($1, $2, $3, $4) ON CONFLICT (user_id) DO UPDATE"
                " SET language = excluded.language, pool = excluded.pool, shard = excluded.shard,"
                " changed_at = clock_timestamp()",
                *(user_id, claim.pool, claim.shard, language),
            )

    async def slippage_basis_points(self, user_id: UUID) -> int | None:
        """Read how far a price may move against the user's order, if he chose it."""
        async with answering(self._connections) as connection:
            basis_points: int | None = await connection.fetchval(
                "SELECT slippage_basis_points FROM worker.preferences WHERE user_id = $1", user_id
            )
        return basis_points

    async def choose_slippage(self, claim: Claim, user_id: UUID, basis_points: int) -> None:
        """Keep the choice."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            await connection.execute(
                "INSERT INTO worker.preferences (user_id, pool, shard, slippage_basis_points)"
                " VALUES ($1, $2, $3, $4) ON CONFLICT (user_id) DO UPDATE"
                " SET slippage_basis_points = excluded.slippage_basis_points,"
                " pool = excluded.pool, shard = excluded.shard, changed_at = clock_timestamp()",
                *(user_id, claim.pool, claim.shard, basis_points),
            )

    async def forget(self, claim: Claim, user_id: UUID) -> None:
        """Erase the user's choices and the drafts that became no order. Safe to repeat.

        Confirmed drafts are what receipts are made of: they stay, as the books do.
        """
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            await connection.execute(
                "DELETE FROM worker.preferences WHERE user_id = $1 AND pool = $2 AND shard = $3",
                *(user_id, claim.pool, claim.shard),
            )
            await connection.execute(
                "DELETE FROM worker.drafts"
                " WHERE user_id = $1 AND pool = $2 AND shard = $3 AND state <> 'confirmed'",
                *(user_id, claim.pool, claim.shard),
            )
