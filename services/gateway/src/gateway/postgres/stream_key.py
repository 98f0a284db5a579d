"""The key that seals stream entries."""

from chassis.postgres import Connection, Pool, retry_transaction


async def read_stream_key(pool: Pool) -> bytes:
    """Read the key all gateways of this database share. Raises TryAgain."""

    async def read(connection: Connection) -> bytes:
        key: bytes = await connection.fetchval("SELECT key FROM gateway.stream_key")
        return key

    return await retry_transaction(pool, read, readonly=True)
