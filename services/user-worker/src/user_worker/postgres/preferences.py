"""What users chose for themselves, and its erasing."""

from uuid import UUID

import asyncpg

from chassis.postgres import Pool, fence
from kernel.sharding import Claim
from user_worker.postgres.answering import answering

_READ = "SELECT language, slippage_basis_points FROM worker.preferences WHERE user_id = $1"
_KEEP = """
INSERT INTO worker.preferences AS kept (user_id, pool, shard, language, slippage_basis_points)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (user_id) DO UPDATE SET
    language = coalesce(excluded.language, kept.language),
    slippage_basis_points = coalesce(excluded.slippage_basis_points, kept.slippage_basis_points),
    pool = excluded.pool, shard = excluded.shard, changed_at = clock_timestamp()
"""
_CANCEL_PLANS = """
UPDATE worker.plans SET state = 'cancelled', ended_at = clock_timestamp()
WHERE user_id = $1 AND pool = $2 AND shard = $3 AND ended_at IS NULL
"""
_END_COPIES = """
UPDATE worker.copies SET state = 'ended', ended_at = clock_timestamp()
WHERE user_id = $1 AND pool = $2 AND shard = $3 AND ended_at IS NULL
"""
_END_SHARE = """
UPDATE worker.shares SET ended_at = clock_timestamp()
WHERE user_id = $1 AND pool = $2 AND shard = $3 AND ended_at IS NULL
"""


class PostgresPreferences:
    """worker.preferences."""

    def __init__(self, connections: Pool) -> None:
        self._connections = connections

    async def language(self, user_id: UUID) -> str | None:
        """Read the language a user chose, if any."""
        row = await self._read(user_id)
        return None if row is None else row["language"]

    async def choose_language(self, claim: Claim, user_id: UUID, language: str) -> None:
        """Keep the choice."""
        await self._keep(claim, user_id, language, None)

    async def slippage_basis_points(self, user_id: UUID) -> int | None:
        """Read how far a price may move against the user's order, if he chose it."""
        row = await self._read(user_id)
        return None if row is None else row["slippage_basis_points"]

    async def choose_slippage(self, claim: Claim, user_id: UUID, basis_points: int) -> None:
        """Keep the choice."""
        await self._keep(claim, user_id, None, basis_points)

    async def forget(self, claim: Claim, user_id: UUID) -> None:
        """Erase the user's choices, alerts and the drafts that became no order, cancel what waits
        for a price, and end what orders by rule. Safe to repeat.

        Confirmed drafts are what receipts are made of: they stay, as the books do.
        """
        place = (user_id, claim.pool, claim.shard)
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            await connection.execute(
                "DELETE FROM worker.preferences WHERE user_id = $1 AND pool = $2 AND shard = $3",
                *place,
            )
            await connection.execute(
                "DELETE FROM worker.alerts WHERE user_id = $1 AND pool = $2 AND shard = $3", *place
            )
            await connection.execute(
                "UPDATE worker.resting_orders SET state = 'cancelled', ended_at = clock_timestamp()"
                " WHERE user_id = $1 AND pool = $2 AND shard = $3 AND state = 'waiting'",
                *place,
            )
            await connection.execute(
                "DELETE FROM worker.drafts"
                " WHERE user_id = $1 AND pool = $2 AND shard = $3 AND state <> 'confirmed'",
                *place,
            )
            for statement in (_CANCEL_PLANS, _END_COPIES, _END_SHARE):
                await connection.execute(statement, *place)

    async def _read(self, user_id: UUID) -> asyncpg.Record | None:
        async with answering(self._connections) as connection:
            return await connection.fetchrow(_READ, user_id)

    async def _keep(
        self, claim: Claim, user_id: UUID, language: str | None, basis_points: int | None
    ) -> None:
        """Keep a choice; None leaves the other one as it is."""
        async with answering(self._connections) as connection:
            await fence(connection, claim)
            await connection.execute(
                _KEEP, user_id, claim.pool, claim.shard, language, basis_points
            )
