"""A PostgreSQL and a Valkey of one house alone, which can therefore be taken away and given back.

Away means two things that hurt in different ways: a stopped server refuses connections at once, a
frozen one lets everybody wait. A server that comes back has its old address.
"""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # carries no types
from redis.asyncio import Redis
from tests.cluster.signals import frozen

from devbox.database import ensure_database, ensure_logins, migrate_rooms
from devbox.roles import ROLES, Database
from devbox.servers.postgresql import PostgresServer, start_postgres, stop_postgres
from devbox.servers.valkey import ValkeyServer, start_valkey, stop_valkey

DATABASE = "purser"


@dataclass
class Servers:
    """What the house keeps everything in."""

    database: Database
    _folder: Path
    _postgres: PostgresServer
    _valkey: ValkeyServer

    @property
    def redis_url(self) -> str:
        """The address of Redis, with its password: never log it."""
        return self._valkey.url()

    @asynccontextmanager
    async def postgres_stopped(self) -> AsyncIterator[None]:
        """There is no PostgreSQL for as long as the context lasts."""
        await stop_postgres(self._postgres)
        try:
            yield
        finally:
            self._postgres = await start_postgres(
                self._folder,
                owner_password=self._postgres.owner_password,
                port=self._postgres.port,
                durable=False,
            )

    @contextmanager
    def postgres_frozen(self) -> Iterator[None]:
        """PostgreSQL takes connections and says nothing for as long as the context lasts."""
        with frozen(psutil.Process(self._postgres.process.pid)):
            yield

    @asynccontextmanager
    async def redis_stopped(self) -> AsyncIterator[None]:
        """There is no Redis for as long as the context lasts; it comes back empty."""
        await stop_valkey(self._valkey)
        try:
            yield
        finally:
            self._valkey = await start_valkey(
                self._folder,
                password=self._valkey.password,
                port=self._valkey.port,
                durable=False,
            )

    @contextmanager
    def redis_frozen(self) -> Iterator[None]:
        """Redis takes connections and says nothing for as long as the context lasts."""
        with frozen(psutil.Process(self._valkey.process.pid)):
            yield

    async def flush_redis(self) -> None:
        """Lose all that Redis holds."""
        async with Redis.from_url(self.redis_url) as redis:
            await redis.flushall()

    async def close(self) -> None:
        """Stop both."""
        await stop_valkey(self._valkey)
        await stop_postgres(self._postgres)


@asynccontextmanager
async def own_servers(folder: Path) -> AsyncIterator[Servers]:
    """Both servers, the database migrated, the roles able to log in."""
    passwords = {role: secrets.token_urlsafe(32) for role in ROLES}
    password = secrets.token_urlsafe(32)
    postgres = await start_postgres(folder, owner_password=password, durable=False)
    try:
        await ensure_database(postgres.owner_url(), DATABASE)
        database = Database(postgres.owner_url(DATABASE), passwords)
        await migrate_rooms(database.owner_url)
        await ensure_logins(database.owner_url, passwords)
        valkey = await start_valkey(folder, password=secrets.token_urlsafe(32), durable=False)
    except BaseException:
        await stop_postgres(postgres)
        raise
    servers = Servers(database, folder, postgres, valkey)
    try:
        yield servers
    finally:
        await servers.close()
