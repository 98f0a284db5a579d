"""What the gateway's own role cannot do, whatever its code tries."""

import asyncpg
import pytest
from tests.integration.gateway.house import House

from chassis.errors import CannotStart
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


async def test_a_gateway_does_not_start_on_a_placement_schema_too_old_for_it(house: House) -> None:
    """It would take updates and fail each of them: better one sentence at the start."""
    await house.sql.execute("DELETE FROM public.purser_migrations WHERE room = 'placement'")
    with pytest.raises(CannotStart, match="schema of placement"):
        await house.open_gateway()
