"""A process that stands still in the middle of a transaction goes on afterwards."""

import asyncio
import time

import asyncpg
import pytest
from tests.integration.gateway.house import House

from chassis.errors import TryAgain
from chassis.postgres import PostgresSettings, open_pool, transaction, translate
from chassis.settings import Secret


async def test_a_transaction_the_server_ended_meanwhile_is_to_be_tried_again(house: House) -> None:
    """The role's transaction_timeout is one second; the next transaction works."""
    settings = PostgresSettings(database_url=Secret(house.database.url("purser_gateway")))
    pool = await open_pool(settings, "test")
    try:
        with pytest.raises(TryAgain):  # noqa: PT012 (it is the commit that raises)
            async with transaction(pool) as connection:
                await connection.execute("SELECT 1")
                time.sleep(1.3)  # noqa: ASYNC251 (the whole process stands still)
                await asyncio.sleep(0)  # read the farewell, not yet the end of the connection
        async with transaction(pool) as connection:
            assert await connection.fetchval("SELECT 3") == 3
    finally:
        await pool.close()


def test_the_drivers_word_for_a_farewell_it_has_read_means_try_again() -> None:
    """Seen when the error was read and the end of the connection was not yet."""
    words = "cannot switch to state 15; another operation (2) is in progress"
    assert isinstance(translate(asyncpg.InternalClientError(words)), TryAgain)
