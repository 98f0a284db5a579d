"""Real servers for the tests, embedded: one PostgreSQL and one Valkey per test process, started on
first use.

Nothing here uses a server that happens to be on the machine. All rooms' migrations run once, into a
template; a test gets a database of its own by copying it (some 40 ms). The servers forget
everything at a crash (`durable=False`), which is what makes them fast.
"""

import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from devbox.database import ensure_database, ensure_logins, migrate_rooms
from devbox.roles import ROLES, Database
from devbox.servers import PostgresServer, ValkeyServer, embedded_postgres, embedded_valkey

TEMPLATE = "purser_template"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With PURSER_TEST_STRICT=1 whatever skips has failed, for whatever reason."""
    report = yield
    if report.skipped and os.environ.get("PURSER_TEST_STRICT") == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"PURSER_TEST_STRICT=1 allows no skip. {reason}"
    return report


@dataclass(frozen=True, slots=True)
class Cluster:
    """The test process's PostgreSQL with its template."""

    server: PostgresServer
    passwords: dict[str, str]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_cluster() -> AsyncIterator[Cluster]:
    """A PostgreSQL with the migrated template and roles that can log in."""
    passwords = {role: secrets.token_urlsafe(32) for role in ROLES}
    with tempfile.TemporaryDirectory(prefix="purser-postgres-") as folder:
        async with embedded_postgres(
            Path(folder), owner_password=secrets.token_urlsafe(32), durable=False
        ) as server:
            await ensure_database(server.owner_url(), TEMPLATE)
            await migrate_rooms(server.owner_url(TEMPLATE))
            await ensure_logins(server.owner_url(TEMPLATE), passwords)
            yield Cluster(server, passwords)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def valkey_server() -> AsyncIterator[ValkeyServer]:
    """A Valkey that keeps nothing on disk."""
    with tempfile.TemporaryDirectory(prefix="purser-valkey-") as folder:
        async with embedded_valkey(
            Path(folder), password=secrets.token_urlsafe(32), durable=False
        ) as server:
            yield server


@pytest.fixture
async def database(postgres_cluster: Cluster) -> AsyncIterator[Database]:
    """A migrated database of this test alone; `.url(role)` and `.owner_url` are its addresses."""
    name = f"test_{secrets.token_hex(6)}"
    server = postgres_cluster.server
    await _administer(server, f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"')
    yield Database(server.owner_url(name), postgres_cluster.passwords)
    await _administer(server, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def redis_url(valkey_server: ValkeyServer) -> str:
    """The address of an empty Redis."""
    async with Redis.from_url(valkey_server.url()) as redis:
        await redis.flushall()
    return valkey_server.url()


async def _administer(server: PostgresServer, statement: str) -> None:
    connection = await asyncpg.connect(server.owner_url())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
