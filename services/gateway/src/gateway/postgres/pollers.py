"""Which gateway polls for a bot: one row, a lease on the database's clock."""

from uuid import UUID

from chassis.postgres import Pool, transaction

_TAKE = """
INSERT INTO gateway.pollers AS p (bot_id, holder, lease_until)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (bot_id) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until
WHERE p.holder = excluded.holder OR p.lease_until < clock_timestamp()
RETURNING true
"""

_RELEASE = "DELETE FROM gateway.pollers WHERE bot_id = $1 AND holder = $2"


class Pollers:
    """The lease of polling for one bot."""

    def __init__(self, pool: Pool, bot_id: int, holder: UUID) -> None:
        self._pool = pool
        self._bot_id = bot_id
        self._holder = holder

    async def take(self, lease_seconds: float) -> bool:
        """Take or renew the lease; False while another gateway has it. Raises TryAgain."""
        async with transaction(self._pool) as connection:
            taken = await connection.fetchval(_TAKE, self._bot_id, self._holder, lease_seconds)
        return taken is True

    async def release(self) -> None:
        """Give the lease up, so that another gateway need not wait for its end. Raises TryAgain."""
        async with transaction(self._pool) as connection:
            await connection.execute(_RELEASE, self._bot_id, self._holder)
