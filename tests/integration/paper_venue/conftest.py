"""A paper venue over gRPC at prices the test states, and shards to claim."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import grpc
import grpc.aio
import msgspec
import pytest
from tests.integration.stores import ClaimShard, make_claims

from chassis import telemetry
from chassis.grpc_client import call_idempotent, open_channel
from chassis.grpc_server import ServerSettings, serving
from chassis.postgres import PostgresSettings, open_pool
from chassis.redis import RedisSettings
from chassis.settings import Secret
from chassis.telemetry import TelemetrySettings
from devbox.database import Database
from kernel.sharding import Claim
from pricing.domain import Quote, Source
from pricing.errors import NoQuotes
from pricing.paper_venue.application import Quotes
from pricing.paper_venue.opening import open_venue
from pricing.paper_venue.postgres import PostgresOrders
from pricing.settings import Settings, VenueSettings
from purser.money.v1.money_pb2 import Amount
from purser.shard.v1.shard_pb2 import ShardClaim
from purser.venue.v1.venue_pb2 import (
    ORDER_SIDE_BUY,
    InquireOrderRequest,
    OrderOutcome,
    SubmitOrderRequest,
    TombstoneOrderRequest,
)
from purser.venue.v1.venue_pb2_grpc import VenueServiceStub, add_VenueServiceServicer_to_server

Connection = Any
"""asyncpg's connection; its stubs are generic in ways that only get in the way of a test."""
TABLES = "SELECT (SELECT count(*) FROM venue.users), (SELECT count(*) FROM venue.orders)"
"""Counts what the venue keeps."""
Serve = Callable[..., AbstractAsyncContextManager[VenueServiceStub]]


@dataclass
class StatedQuotes:
    """The quote side, as the test wants it."""

    prices: dict[str, str] = field(default_factory=lambda: {"BTC": "50000", "ETH": "2500.5"})
    age: timedelta = timedelta(0)
    silent: bool = False

    def latest(self, symbols: Sequence[str]) -> list[Quote]:
        """See application.Quotes."""
        if self.silent:
            raise NoQuotes(symbols)
        stated_at = datetime.now(UTC) - self.age
        return [
            Quote(symbol, "USDT", Decimal(self.prices[symbol]), stated_at, Source.SIMULATED)
            for symbol in symbols
            if symbol in self.prices
        ]


@pytest.fixture
def quotes() -> StatedQuotes:
    """Prices that stand still until the test moves them."""
    return StatedQuotes()


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[Connection]:
    """The owner of the database, who may look at everything."""
    connection = await asyncpg.connect(database.owner_url)
    yield connection
    await connection.close()


def settings_for(database: Database) -> Settings:
    """Pricing's settings for a database; nothing here needs its Redis."""
    return Settings(
        postgres=PostgresSettings(database_url=Secret(database.url("purser_pricing"))),
        venue=VenueSettings(venue_database_url=Secret(database.url("purser_venue"))),
        redis=RedisSettings(redis_url=Secret("redis://127.0.0.1:1/0")),
        server=ServerSettings(drain_timeout_seconds=1),
        telemetry=TelemetrySettings(),
    )


@asynccontextmanager
async def venue_on(
    settings: Settings, quotes: Quotes, now: Callable[[], datetime]
) -> AsyncIterator[grpc.aio.Channel]:
    """A venue with its prices and its clock; give a channel to it."""
    async with (
        telemetry.start("venue", settings.telemetry) as telling,
        open_venue(settings, quotes, now) as servicer,
        serving(
            settings.server,
            lambda server: add_VenueServiceServicer_to_server(servicer, server),
            telling,
        ) as server,
        open_channel(server.address) as channel,
    ):
        yield channel


@pytest.fixture
def settings(database: Database) -> Settings:
    """Pricing's settings for the test's database."""
    return settings_for(database)


@pytest.fixture
def serve(settings: Settings, quotes: StatedQuotes) -> Serve:
    """Start a venue on the test's database, with changes to its settings; give a stub."""

    @asynccontextmanager
    async def started(**changes: Any) -> AsyncIterator[VenueServiceStub]:
        chosen = msgspec.structs.replace(
            settings, venue=msgspec.structs.replace(settings.venue, **changes)
        )
        async with venue_on(chosen, quotes, lambda: datetime.now(UTC)) as channel:
            yield VenueServiceStub(channel)

    return started


@pytest.fixture
def claim_shard(database: Database) -> ClaimShard:
    """Claim shards as a worker would; each claim is newer."""
    return make_claims(database)


@asynccontextmanager
async def orders_in(
    database: Database, *, prepared_statements: bool = True
) -> AsyncIterator[PostgresOrders]:
    """The venue's store, without the venue."""
    settings = PostgresSettings(
        database_url=Secret(database.url("purser_venue")), prepared_statements=prepared_statements
    )
    pool = await open_pool(settings, "test")
    try:
        yield PostgresOrders(pool)
    finally:
        await pool.close()


def on_wire(claim: Claim) -> ShardClaim:
    """A claim as it travels."""
    return ShardClaim(pool=claim.pool, shard=claim.shard, epoch=claim.epoch)


def amount(asset_id: str, value: str) -> Amount:
    """An amount as it travels."""
    return Amount(asset_id=asset_id, value=value)


def buy(claim: Claim, order_id: UUID | None = None, /, **changes: Any) -> SubmitOrderRequest:
    """An order to buy bitcoin for 100 USDT, with changes."""
    fields: dict[str, Any] = {
        "claim": on_wire(claim),
        "order_id": str(order_id or uuid4()),
        "user_id": str(uuid4()),
        "side": ORDER_SIDE_BUY,
        "symbol": "BTC",
        "spend": amount("paper:USDT", "100"),
        "receive_min": amount("paper:BTC", "0.0019"),
    }
    return SubmitOrderRequest(**(fields | changes))


async def submit(venue: VenueServiceStub, request: SubmitOrderRequest) -> OrderOutcome:
    """Send an order; like the next two, again as a worker does, when the database has ended a
    transaction that took too long."""
    answer = await call_idempotent(lambda left: venue.SubmitOrder(request, timeout=left), 10)
    return OrderOutcome.FromString(answer.outcome.SerializeToString())


async def inquire(venue: VenueServiceStub, order_id: object) -> OrderOutcome:
    """Ask for an order."""
    request = InquireOrderRequest(order_id=str(order_id))
    answer = await call_idempotent(lambda left: venue.InquireOrder(request, timeout=left), 10)
    return OrderOutcome.FromString(answer.outcome.SerializeToString())


async def tombstone(venue: VenueServiceStub, claim: Claim, order_id: object) -> OrderOutcome:
    """Give an order up."""
    request = TombstoneOrderRequest(claim=on_wire(claim), order_id=str(order_id))
    answer = await call_idempotent(lambda left: venue.TombstoneOrder(request, timeout=left), 10)
    return OrderOutcome.FromString(answer.outcome.SerializeToString())


async def refused(venue: VenueServiceStub, request: SubmitOrderRequest) -> grpc.aio.AioRpcError:
    """Send an order, expecting an error."""
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await venue.SubmitOrder(request, timeout=10)
    return refusal.value
