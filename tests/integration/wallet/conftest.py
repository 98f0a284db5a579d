"""A wallet that serves, and shards to claim."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
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
from purser.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from wallet.key_encryption import make_key_file
from wallet.main import running
from wallet.settings import Settings

POOL = "default.main"
Serve = Callable[[], AbstractAsyncContextManager[WalletServiceStub]]
ClaimShard = Callable[[int], Awaitable[Claim]]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A new key-encryption key."""
    path = tmp_path / "key-encryption-key"
    make_key_file(path)
    return path


@pytest.fixture
def settings(database: Database, key_file: Path) -> Settings:
    """Settings for the test's database and key."""
    return Settings(
        key_encryption_key_file=key_file,
        postgres=PostgresSettings(database_url=Secret(database.url("purser_wallet"))),
        server=ServerSettings(drain_timeout_seconds=1),
        telemetry=TelemetrySettings(log_level="debug"),
    )


@pytest.fixture
def serve(settings: Settings) -> Serve:
    """Start wallet on the test's database; give a stub that calls it."""

    @asynccontextmanager
    async def started() -> AsyncIterator[WalletServiceStub]:
        async with running(settings) as server, open_channel(server.address) as channel:
            yield WalletServiceStub(channel)

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
