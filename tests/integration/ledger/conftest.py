"""A ledger that serves, and shards to claim."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import grpc.aio
import pytest
from tests.integration.stores import ClaimShard, make_claims

from chassis.grpc_client import open_channel
from chassis.grpc_server import ServerSettings
from chassis.postgres import PostgresSettings
from chassis.settings import Secret
from chassis.telemetry import TelemetrySettings
from devbox.database import Database
from ledger.main import running
from ledger.settings import HousekeepingSettings, Settings
from purser.ledger.v1.ledger_pb2_grpc import LedgerServiceStub

Serve = Callable[[], AbstractAsyncContextManager[LedgerServiceStub]]


@asynccontextmanager
async def ledger_on(
    database: Database, housekeeping: HousekeepingSettings | None = None
) -> AsyncIterator[grpc.aio.Channel]:
    """A ledger on a database; give a channel to it."""
    settings = Settings(
        postgres=PostgresSettings(database_url=Secret(database.url("purser_ledger"))),
        server=ServerSettings(drain_timeout_seconds=1),
        telemetry=TelemetrySettings(),
        housekeeping=housekeeping or HousekeepingSettings(),
    )
    async with running(settings) as server, open_channel(server.address) as channel:
        yield channel


@pytest.fixture
def serve(database: Database) -> Serve:
    """Start a ledger on the test's database; give a stub that calls it."""

    @asynccontextmanager
    async def started() -> AsyncIterator[LedgerServiceStub]:
        async with ledger_on(database) as channel:
            yield LedgerServiceStub(channel)

    return started


@pytest.fixture
def claim_shard(database: Database) -> ClaimShard:
    """Claim shards as a worker would; each claim is newer."""
    return make_claims(database)
