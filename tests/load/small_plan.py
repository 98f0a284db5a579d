"""Purser on the cheap plan: one of each part, managed servers with small limits outside.

The servers are real ones held to what free tiers give: PostgreSQL behind a transaction pooler that
lets `SERVER_CONNECTIONS_MAX` through, and a Redis of 30 MB that refuses writes when it is full. The
settings of the parts are read from the chart's values, so what is measured is what is installed.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import psutil  # type: ignore[import-untyped]  # carries no types
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError
from tests.e2e.live_run import AUDITOR, DATABASE_GONE
from tests.fakes.authority import Pair
from tests.load.pooler import Pooler, pooler, require_pgbouncer

from chassis.ending import end_tasks
from devbox.database import ensure_database
from devbox.keyring import ensure_secret
from devbox.roles import ROLES
from devbox.servers import PostgresServer, ValkeyServer, embedded_postgres, embedded_valkey
from devbox.servers.postgresql import OWNER, make_url

VALUES = Path(__file__).parents[2] / "charts" / "purser" / "values-small.yaml"
USERS = 500
REDIS_MEGABYTES_MAX = 30
DATABASE = "purser"
SAMPLE_SECONDS = 0.2
FILLING_BYTES = (1 << 20, 1 << 12, 1 << 6)
"""What a full Redis is filled with: large pieces, then smaller ones into what is left."""
REFUSED_OF_PARTS = "errorstat_OOM"

_SESSIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = $1 AND backend_type = 'client backend' AND application_name <> $2
"""
_SIZES = """
SELECT n.nspname AS schema, c.relname AS name, pg_total_relation_size(c.oid) AS bytes
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname IN
    ('placement', 'gateway', 'worker', 'pricing', 'venue', 'wallet', 'ledger')
"""


@dataclass(frozen=True, slots=True)
class SmallServers:
    """The servers of one run, as a person would be given them."""

    postgres: PostgresServer
    valkey: ValkeyServer
    pooler: Pooler
    data: Path
    """The folder of the run, which holds the roles' passwords already."""

    @property
    def owner_url(self) -> str:
        """Give the owner's address past the pooler, for an auditor."""
        return self.postgres.owner_url(DATABASE)

    @property
    def passwords(self) -> dict[str, str]:
        """Give the password of each of `ROLES`."""
        return _passwords(self.data)

    @property
    def environ(self) -> dict[str, str]:
        """Give what a run is started with: these servers, and the chart's settings."""
        password = self.postgres.owner_password
        return settings_of_the_chart() | {
            "PURSER_DATABASE_URL": make_url(OWNER, password, self.pooler.port, DATABASE),
            "PURSER_REDIS_URL": self.valkey.url(),
            "DEVBOX_WORKERS_MAX": "1",
        }


class Seen(msgspec.Struct, kw_only=True):
    """The most that was seen of what is limited."""

    server_connections: int = 0
    client_connections: int = 0
    redis_megabytes: float = 0.0
    redis_refusals: int = 0
    samples: int = 0


def settings_of_the_chart() -> dict[str, str]:
    """Read every part's settings of the small plan."""
    import yaml

    values: dict[str, Any] = yaml.safe_load(VALUES.read_text())
    parts = [part for part in values.values() if isinstance(part, dict)]
    return {name: str(value) for part in parts for name, value in part.get("settings", {}).items()}


@contextlib.asynccontextmanager
async def small_servers(
    folder: Path, certificate: Pair | None = None
) -> AsyncIterator[SmallServers]:
    """Serve all three, the pooler by TLS where it has a certificate; skips where there is no
    pooler.
    """
    require_pgbouncer()
    data = folder / "data"
    passwords = _passwords(data)
    async with contextlib.AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(
            embedded_postgres(folder / "postgres", owner_password=secrets.token_urlsafe(32))
        )
        await ensure_database(postgres.owner_url(), DATABASE)
        valkey = await stack.enter_async_context(
            embedded_valkey(folder / "valkey", password=secrets.token_urlsafe(32), durable=False)
        )
        async with Redis.from_url(valkey.url()) as redis:
            await redis.config_set("maxmemory", f"{REDIS_MEGABYTES_MAX}mb")
        pooling = await stack.enter_async_context(
            pooler(
                folder / "pooler",
                database=DATABASE,
                server_port=postgres.port,
                passwords=passwords | {OWNER: postgres.owner_password},
                certificate=certificate,
            )
        )
        yield SmallServers(postgres, valkey, pooling, data)


def _passwords(data: Path) -> dict[str, str]:
    return {role: ensure_secret(data / "secrets", f"{role}.password") for role in ROLES}


@contextlib.asynccontextmanager
async def looking_at(servers: SmallServers) -> AsyncIterator[Seen]:
    """Keep the most of each limited thing until the block ends."""
    seen = Seen()
    task = asyncio.create_task(_look(servers, seen))
    try:
        yield seen
    finally:
        await end_tasks({task})
        async with Redis.from_url(servers.valkey.url()) as redis:
            memory, refused = await redis.info("memory"), await redis.info("errorstats")
        seen.redis_megabytes = memory["used_memory_peak"] / 2**20
        seen.redis_refusals = refused.get(REFUSED_OF_PARTS, {}).get("count", 0)


async def _look(servers: SmallServers, seen: Seen) -> None:
    connection = await auditor(servers)
    try:
        while True:
            with contextlib.suppress(*DATABASE_GONE):
                sessions = await connection.fetchval(_SESSIONS, DATABASE, AUDITOR)
                seen.server_connections = max(seen.server_connections, sessions)
            seen.client_connections = max(seen.client_connections, clients_of(servers.pooler.port))
            seen.samples += 1
            await asyncio.sleep(SAMPLE_SECONDS)
    finally:
        connection.terminate()


async def auditor(servers: SmallServers) -> Any:
    """Open a connection past the pooler, as the owner; the caller closes it."""
    return await asyncpg.connect(servers.owner_url, server_settings={"application_name": AUDITOR})


def clients_of(port: int) -> int:
    """Count who is connected to a port of this machine."""
    return sum(
        1
        for connection in psutil.net_connections("tcp4")
        if connection.laddr.port == port and connection.status == psutil.CONN_ESTABLISHED
    )


@contextlib.asynccontextmanager
async def full(servers: SmallServers) -> AsyncIterator[None]:
    """Fill Redis with a stranger's keys until it refuses, and take them away at the end.

    What its own users free meanwhile is filled up again.
    """
    async with Redis.from_url(servers.valkey.url()) as redis:
        strangers: list[str] = []
        await _fill(redis, strangers)
        task = asyncio.create_task(_keep_full(redis, strangers))
        try:
            yield
        finally:
            await end_tasks({task})
            for first in range(0, len(strangers), 500):
                await redis.unlink(*strangers[first : first + 500])


async def _keep_full(redis: Any, strangers: list[str]) -> None:
    while True:
        await asyncio.sleep(SAMPLE_SECONDS)
        await _fill(redis, strangers)


async def _fill(redis: Any, strangers: list[str]) -> None:
    for size in FILLING_BYTES:
        with contextlib.suppress(OutOfMemoryError):
            while True:
                name = f"stranger:{len(strangers)}"
                await redis.set(name, os.urandom(size))
                strangers.append(name)


async def packed_sizes(servers: SmallServers) -> dict[str, int]:
    """Read the bytes of each table with its indexes, and of the whole database under the name "".

    Packed, so that what was changed a moment ago does not count twice; call it when all is quiet.
    """
    connection = await auditor(servers)
    try:
        await connection.execute("VACUUM FULL")
        rows = await connection.fetch(_SIZES)
        whole = await connection.fetchval("SELECT pg_database_size($1)", DATABASE)
    finally:
        await connection.close()
    return {f"{row['schema']}.{row['name']}": row["bytes"] for row in rows} | {"": whole}
