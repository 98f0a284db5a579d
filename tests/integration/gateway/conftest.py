"""The surroundings of real gateways."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import pytest
from tests.integration.gateway.house import House

from devbox.database import Database
from devbox.telegram import Simulator


@pytest.fixture
async def house(database: Database, redis_url: str) -> AsyncIterator[House]:
    """The surroundings of gateways: start them with `open_gateway`."""
    async with (
        Simulator() as simulator,
        asyncpg.create_pool(database.owner_url, min_size=1, max_size=4) as sql,
        AsyncExitStack() as stack,
    ):
        yield House(database, redis_url, simulator, sql, stack)
