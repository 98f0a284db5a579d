"""What the gateway's own role cannot do, whatever its code tries."""

import asyncpg
import pytest

from devbox.database import Database


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE gateway.users SET shard = 1",
        "UPDATE gateway.users SET pool = 'default.other'",
        "UPDATE gateway.users SET user_id = gen_random_uuid()",
        "DELETE FROM gateway.users",
        "UPDATE placement.shards SET epoch = epoch + 1",
        "SELECT placement.claim_shard('default.main', 0, 'w', gen_random_uuid(), 0)",
        "SELECT placement.assign_shard('default.main', 0, NULL, 'w')",
    ],
)
async def test_the_gateway_moves_no_user_and_claims_no_shard(
    database: Database, statement: str
) -> None:
    """A user's shard is what the stores' fences rest on."""
    connection = await asyncpg.connect(database.url("purser_gateway"))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
