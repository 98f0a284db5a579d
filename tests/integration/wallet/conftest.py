"""A wallet that serves, and shards to claim."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.stores import ClaimShard, make_claims

from chassis.grpc_client import open_channel
from chassis.grpc_server import ServerSettings
from chassis.postgres import PostgresSettings
from chassis.settings import Secret
from chassis.telemetry import TelemetrySettings
from devbox.database import Database
from purser.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from wallet.key_encryption import make_key_file
from wallet.main import running
from wallet.settings import Settings

Serve = Callable[[], AbstractAsyncContextManager[WalletServiceStub]]


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
def claim_shard(database: Database) -> ClaimShard:
    """Claim shards as a worker would; each claim is newer."""
    return make_claims(database)
