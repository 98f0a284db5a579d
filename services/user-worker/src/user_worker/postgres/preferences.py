"""What users chose for themselves."""

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
