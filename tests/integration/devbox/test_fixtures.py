"""The fixtures that other integration tests stand on."""

import asyncpg
import pytest
from redis.asyncio import Redis

from devbox.roles import Database


async def test_a_role_reaches_placement_only_through_what_it_was_granted(
    database: Database,
) -> None:
    """The operator's role reads placement and may not write shards: tests run with real rights."""
    connection = await asyncpg.connect(database.url("purser_operator"))
    try:
        assert await connection.fetchval("SELECT count(*) FROM placement.shards") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE placement.shards SET epoch = 9")
    finally:
        await connection.close()


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_gets_an_empty_database(database: Database, turn: int) -> None:
    """What one test writes, the next one does not see."""
    connection = await asyncpg.connect(database.owner_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM placement.shards") == 0
        await connection.execute("SELECT placement.ensure_shard('default.main', 0)")
    finally:
        await connection.close()


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_gets_an_empty_redis(redis_url: str, turn: int) -> None:
    """What one test leaves in Redis, the next one does not see."""
    async with Redis.from_url(redis_url) as redis:
        assert await redis.dbsize() == 0
        await redis.set("left", "behind")


async def test_a_wrong_password_is_refused(database: Database) -> None:
    """The servers ask for the password: a test with the wrong role fails instead of passing."""
    right = database.url("purser_operator")
    wrong = right.replace(database.passwords["purser_operator"], "x" * 43)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(wrong)
