"""A placement schema with a table of effects, and workers that claim in it."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from devbox.database import Database

POOL = "default.main"
LEASE_SECONDS = 30.0
ORPHAN_SECONDS = 3.0

Connection = Any
"""asyncpg's connection; its stubs are generic in ways that only get in the way of a test."""


@dataclass
class Run:
    """One run of a worker: a name with an incarnation of its own, on a connection of its own."""

    connection: Connection
    name: str
    incarnation: uuid.UUID = field(default_factory=uuid.uuid4)

    async def register(self, lease_seconds: float = LEASE_SECONDS) -> None:
        """Begin the lease."""
        await self._ask("register_worker($1, $2, $3, $4)", lease_seconds)

    async def heartbeat(self, lease_seconds: float = LEASE_SECONDS) -> bool:
        """Extend the lease; whether there was one to extend."""
        return bool(await self._ask("heartbeat($1, $2, $3, $4)", lease_seconds))

    async def drain(self) -> None:
        """Want no more shards."""
        await self._ask("drain_worker($1, $2, $3)")

    async def deregister(self) -> None:
        """End the run."""
        await self._ask("deregister_worker($1, $2, $3)")

    async def claim(self, shard: int, orphan_seconds: float = ORPHAN_SECONDS) -> int | None:
        """The new epoch, or None."""
        epoch: int | None = await self.connection.fetchval(
            "SELECT placement.claim_shard($1, $2, $3, $4, $5)",
            POOL,
            shard,
            self.name,
            self.incarnation,
            orphan_seconds,
        )
        return epoch

    async def release(self, shard: int, epoch: int) -> bool:
        """Whether it was held under this epoch."""
        released: bool = await self.connection.fetchval(
            "SELECT placement.release_shard($1, $2, $3, $4, $5)",
            POOL,
            shard,
            self.name,
            self.incarnation,
            epoch,
        )
        return released

    async def _ask(self, call: str, *more: object) -> object:
        return await self.connection.fetchval(
            f"SELECT placement.{call}",
            POOL,
            self.name,
            self.incarnation,
            *more,
        )


@dataclass
class Stage:
    """A database, and everybody who acts in it."""

    database: Database
    owner: Connection
    stack: AsyncExitStack

    async def connect(self, role: str | None = None) -> Connection:
        """A connection as `role`, or as the owner of everything; its transactions last until the
        test ends them."""
        url = self.database.owner_url if role is None else self.database.url(role)
        connection = await asyncpg.connect(url, server_settings={"transaction_timeout": "0"})
        self.stack.push_async_callback(connection.close)
        return connection

    async def run_of(self, name: str, *, registered: bool = True) -> Run:
        """A worker on a connection of its own."""
        run = Run(await self.connect("purser_worker"), name)
        if registered:
            await run.register()
        return run

    async def make_shards(self, count: int) -> None:
        """Shards nobody owns."""
        maker = await self.connect("purser_gateway")
        for shard in range(count):
            await maker.execute("SELECT placement.ensure_shard($1, $2)", POOL, shard)

    async def desire(self, shard: int, worker: str | None) -> None:
        """Name the worker that shall own a shard."""
        await self.owner.execute(
            "UPDATE placement.shards SET desired_owner = $3 WHERE pool = $1 AND shard = $2",
            POOL,
            shard,
            worker,
        )

    async def backdate(self, shard: int, seconds: float) -> None:
        """Make a shard ownerless for longer than it is."""
        await self.owner.execute(
            "UPDATE placement.shards SET ownerless_since = clock_timestamp() - "
            "make_interval(secs => $3) WHERE pool = $1 AND shard = $2",
            POOL,
            shard,
            seconds,
        )


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    """The stage, with a table `effects` that stores and workers may write."""
    async with AsyncExitStack() as stack:
        owner = await asyncpg.connect(database.owner_url)
        stack.push_async_callback(owner.close)
        await owner.execute(
            "CREATE TABLE public.effects (id bigserial, shard integer, epoch bigint, note text);"
            "GRANT INSERT, SELECT ON public.effects TO purser_ledger, purser_worker;"
            "GRANT USAGE ON SEQUENCE public.effects_id_seq TO purser_ledger, purser_worker;"
        )
        yield Stage(database, owner, stack)
