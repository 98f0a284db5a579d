"""A pricing that serves."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec
import pytest

from chassis.grpc_client import open_channel
from chassis.grpc_server import ServerSettings
from chassis.postgres import PostgresSettings
from chassis.redis import RedisSettings
from chassis.settings import Secret
from chassis.telemetry import TelemetrySettings
from devbox.database import Database
from pricing.main import running
from pricing.settings import Settings, VenueSettings
from purser.pricing.v1.pricing_pb2_grpc import PricingServiceStub

Serve = Callable[..., AbstractAsyncContextManager[PricingServiceStub]]


@pytest.fixture
def settings(database: Database, redis_url: str) -> Settings:
    """Settings for the test's database and Redis, with a quick market."""
    return Settings(
        step_milliseconds=100,
        postgres=PostgresSettings(database_url=Secret(database.url("purser_pricing"))),
        venue=VenueSettings(venue_database_url=Secret(database.url("purser_venue"))),
        redis=RedisSettings(redis_url=Secret(redis_url)),
        server=ServerSettings(drain_timeout_seconds=1),
        telemetry=TelemetrySettings(),
    )


@pytest.fixture
def serve(settings: Settings) -> Serve:
    """Start pricing on the test's servers, with changes to its settings; give a stub."""

    @asynccontextmanager
    async def started(**changes: Any) -> AsyncIterator[PricingServiceStub]:
        chosen = msgspec.structs.replace(settings, **changes)
        async with running(chosen) as server, open_channel(server.address) as channel:
            yield PricingServiceStub(channel)

    return started
