"""How often a job was begun by owners that did not live to end it."""

from uuid import UUID

from chassis.postgres import Pool, fence
from kernel.sharding import Claim
from user_worker.postgres.answering import answering


class PostgresAttempts:
    """worker.attempts."""

    def __init__(self, connections: Pool) -> None:
        self._connections = connections

    async def begin(self, claim: Claim, job_id: UUID) -> int:
        """Count before running a job; gives how often it had been counted before.

        Rows older than a day are of jobs whose owner died just after ending them: they go. A row is
        its newest owner's shard's, so that a count follows a job whose user was moved.
        """
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            await connection.execute(
                "DELETE FROM worker.attempts WHERE pool = $1 AND shard = $2"
                " AND counted_at < clock_timestamp() - interval '1 day'",
                *(claim.pool, claim.shard),
            )
            begun: int = await connection.fetchval(
                "INSERT INTO worker.attempts AS a (job_id, pool, shard) VALUES ($1, $2, $3)"
                " ON CONFLICT (job_id) DO UPDATE"
                " SET begun = a.begun + 1, counted_at = clock_timestamp(),"
                " pool = excluded.pool, shard = excluded.shard"
                " RETURNING begun",
                *(job_id, claim.pool, claim.shard),
            )
        return begun - 1

    async def forgive(self, claim: Claim, job_id: UUID) -> None:
        """Take the count back: the job ended, or an outage was the reason."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            await connection.execute("DELETE FROM worker.attempts WHERE job_id = $1", job_id)
