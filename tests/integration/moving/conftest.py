"""Two pools in a real database, its owner, and somebody who may move users."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from tests.integration.moving.household import open_pools
from tests.integration.stores import pool_of

from chassis.postgres import Pool
from devbox.database import Database


@pytest.fixture
async def sql(database: Database) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    """The owner of the database, in which both pools are open."""
    async with asyncpg.create_pool(database.owner_url, min_size=1, max_size=6) as sql:
        await open_pools(sql)
        yield sql


@pytest.fixture
async def mover(database: Database) -> AsyncIterator[Pool]:
    """The role that moves users."""
    async with pool_of(database, "purser_user_mover") as pool:
        yield pool
