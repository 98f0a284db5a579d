"""What several tests of the shelf stand on."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.fakes.authority import Authority

from chassis import grpc_renewal, tls
from chassis.postgres import (
    Pool,
    PostgresSettings,
    open_pool,
    transaction,
)
from chassis.settings import Secret
from devbox.database import Database

LOOK_SECONDS = 0.1


def owner_settings(database: Database, **changes: Any) -> PostgresSettings:
    """Of a pool with the rights of the database's owner."""
    return PostgresSettings(database_url=Secret(database.owner_url), **changes)


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    """A pool of the owner of a database of this test alone, with a table to write to."""
    pool = await open_pool(owner_settings(database, connections_max=4), "test")
    async with transaction(pool) as connection:
        await connection.execute("CREATE TABLE public.notes (id integer PRIMARY KEY, text text)")
    yield pool
    await pool.close()


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look at the files more often than a process does, and forget them afterwards."""
    monkeypatch.setattr(tls, "RELOAD_SECONDS", LOOK_SECONDS)
    monkeypatch.setattr(grpc_renewal, "SETTLE_SECONDS", 0.05)
    tls.certificates_of.cache_clear()
    yield
    tls.certificates_of.cache_clear()


@pytest.fixture(scope="module")
def authority() -> Authority:
    """One for all tests of a module: making it takes a while."""
    return Authority()
