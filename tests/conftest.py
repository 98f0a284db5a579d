"""Real servers for the tests, embedded: one PostgreSQL and one Valkey per test process, started on
first use.

Nothing here uses a server that happens to be on the machine. All rooms' migrations run once, into a
template; a test gets a database of its own by copying it. The servers forget everything at a crash
(`durable=False`), and lie in memory where the machine has a folder for that: a copy is some three
hundred files, and hundreds of tests take one.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
import structlog
from hypothesis import HealthCheck, settings
from redis.asyncio import Redis

from devbox.database import ensure_database, ensure_logins, migrate_rooms
from devbox.roles import ROLES, Database
from devbox.servers import PostgresServer, ValkeyServer, embedded_postgres, embedded_valkey

TESTS = Path(__file__).parent
TEMPLATE = "purser_template"
MEMORY_FOLDER = Path("/dev/shm")
MEMORY_FREE_MIN_BYTES = 2 << 30
"""Three servers take some 200 MB each; a machine that is short of memory has better uses for it."""


# How long the machine takes says nothing of what is tested.
settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def logging_as_in_a_new_process() -> None:
    """A server started earlier in the same test process has set the level of its own log."""
    structlog.reset_defaults()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread whole houses among what waits, and keep what is short for the end.

    Test processes take file after file in this order. Several houses at once would stand in each
    other's way, and a long file that begins last would keep all but one process idle.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    of: dict[str, list[Path]] = {}
    for file in files:
        of.setdefault(file.relative_to(TESTS).parts[0], []).append(file)
    houses, rooms = of.pop("e2e", []), of.pop("integration", [])
    between = len(rooms) // (len(houses) + 1)
    ordered = []
    for house in houses:
        ordered += [house, *rooms[:between]]
        del rooms[:between]
    for rest in (rooms, *of.values()):
        ordered += rest
    items[:] = [item for file in ordered for item in files[file]]


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
    prefix, place = "purser-postgres-", _fast_folder()
    if place is not None:
        _remove_what_the_dead_left(place, prefix)
    with tempfile.TemporaryDirectory(prefix=f"{prefix}{os.getpid()}-", dir=place) as folder:
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
    # Copying the files beats writing each page to the log first, as the default does.
    await _administer(server, f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}" STRATEGY file_copy')
    yield Database(server.owner_url(name), postgres_cluster.passwords)
    await _administer(server, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def redis_url(valkey_server: ValkeyServer) -> str:
    """The address of an empty Redis."""
    async with Redis.from_url(valkey_server.url()) as redis:
        await redis.flushall()
    return valkey_server.url()


def _remove_what_the_dead_left(place: Path, prefix: str) -> None:
    """A test process that is killed leaves its folder, and memory is not what to leave it in."""
    for folder in place.glob(f"{prefix}*-*"):
        pid = folder.name.removeprefix(prefix).partition("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _fast_folder() -> Path | None:
    """Where what is forgotten anyhow is best kept; None means wherever temporary files go."""
    if not os.access(MEMORY_FOLDER, os.W_OK | os.X_OK):
        return None
    is_roomy = shutil.disk_usage(MEMORY_FOLDER).free >= MEMORY_FREE_MIN_BYTES
    return MEMORY_FOLDER if is_roomy else None


async def _administer(server: PostgresServer, statement: str) -> None:
    connection = await asyncpg.connect(server.owner_url())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
