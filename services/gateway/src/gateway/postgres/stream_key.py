"""The key that seals stream entries."""

from chassis.postgres import Pool, transaction


async def read_stream_key(pool: Pool) -> bytes:
    """Read the key all gateways of this database share. Raises TryAgain."""
    async with transaction(pool, readonly=True) as connection:
        key: bytes = await connection.fetchval("SELECT key FROM gateway.stream_key")
    return key
