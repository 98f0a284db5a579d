"""A pricing that serves."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.fakes.exchanges import FakeExchanges, fake_exchanges

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

AWAY = {"redis": RedisSettings(redis_url=Secret("redis://127.0.0.1:1/0"))}
PATIENT = {"share_timeout_seconds": 10.0, "exchange_timeout_seconds": 10.0}
"""Nobody is taken for one who is away because the machine stood still."""
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


STEP = timedelta(milliseconds=250)


@pytest.fixture
async def exchanges() -> AsyncIterator[FakeExchanges]:
    """Both exchanges."""
    async with fake_exchanges() as served:
        yield served


@pytest.fixture
def follow(serve: Serve, exchanges: FakeExchanges) -> Serve:
    """Start a replica that asks the fake exchanges four times a second."""

    def started(**changes: Any) -> Any:
        chosen = {
            "sources": "exchanges",
            "exchange_instruments": ("BTC:2", "ETH:2"),
            "binance_url": f"{exchanges.url}/binance",
            "kraken_url": f"{exchanges.url}/kraken/",
            "binance_calls_per_minute": 1200,
            "kraken_calls_per_minute": 1200,
            "exchange_timeout_seconds": 0.5,
            "step_milliseconds": STEP // timedelta(milliseconds=1),
            "history_hours": 0,
        }
        return serve(**{**chosen, **changes})

    return started
