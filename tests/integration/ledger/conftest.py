"""A ledger that serves, and shards to claim."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from chassis.grpc_client import open_channel
from chassis.grpc_server import ServerSettings
from chassis.postgres import PostgresSettings
from chassis.settings import Secret
from chassis.telemetry import TelemetrySettings
from devbox.database import Database
from kernel.sharding import Claim
from ledger.main import running
from ledger.settings import Settings
from purser.ledger.v1.ledger_pb2_grpc import LedgerServiceStub

POOL = "default.main"
Serve = Callable[[], AbstractAsyncContextManager[LedgerServiceStub]]
ClaimShard = Callable[[int], Awaitable[Claim]]


@pytest.fixture
def serve(database: Database) -> Serve:
    """Start a ledger on the test's database; give a stub that calls it."""

    @asynccontextmanager
    async def started() -> AsyncIterator[LedgerServiceStub]:
        settings = Settings(
            postgres=PostgresSettings(database_url=Secret(database.url("purser_ledger"))),
            server=ServerSettings(drain_timeout_seconds=1),
            telemetry=TelemetrySettings(),
        )
        async with running(settings) as server, open_channel(server.address) as channel:
            yield LedgerServiceStub(channel)

    return started


@pytest.fixture
async def claim_shard(database: Database) -> ClaimShard:
    """Claim a shard as a worker would, through placement's own functions; each claim is newer."""

    async def claim(shard: int) -> Claim:
        run = (POOL, f"worker-{uuid4()}", uuid4())
        connection = await asyncpg.connect(database.owner_url)
        try:
            await connection.execute("SELECT placement.ensure_shard($1, $2)", POOL, shard)
            await connection.execute("UPDATE placement.shards SET desired_owner = $1", run[1])
            await connection.execute("SELECT placement.register_worker($1, $2, $3, 60)", *run)
            epoch = await connection.fetchval(
                "SELECT placement.claim_shard($1, $4, $2, $3, 3)", *run, shard
            )
            # Gone without a word: its shard is free for the next claim, its epoch the newest.
            await connection.execute("SELECT placement.deregister_worker($1, $2, $3)", *run)
        finally:
            await connection.close()
        return Claim(POOL, shard, epoch)

    return claim
