"""The paper venue in pricing's process: one port, two services, one market."""

from decimal import Decimal

import msgspec
from tests.integration.paper_venue.conftest import amount, buy, submit
from tests.integration.stores import ClaimShard, run_program

from chassis.grpc_client import open_channel
from chassis.redis import RedisSettings
from chassis.settings import Secret
from devbox.database import Database
from pricing.main import running
from pricing.settings import Settings
from purser.pricing.v1.pricing_pb2 import GetQuotesRequest
from purser.pricing.v1.pricing_pb2_grpc import PricingServiceStub
from purser.venue.v1.venue_pb2 import ORDER_STATE_FILLED
from purser.venue.v1.venue_pb2_grpc import VenueServiceStub


async def test_orders_are_executed_at_the_prices_that_the_same_port_quotes(
    settings: Settings, claim_shard: ClaimShard, redis_url: str
) -> None:
    """Within the spread, the slippage and the steps between the two calls: half a percent."""
    chosen = msgspec.structs.replace(settings, redis=RedisSettings(redis_url=Secret(redis_url)))
    claim = await claim_shard(0)
    async with running(chosen) as server, open_channel(server.address) as channel:
        answer = await PricingServiceStub(channel).GetQuotes(
            GetQuotesRequest(symbols=["BTC"]), timeout=10
        )
        request = buy(claim, receive_min=amount("paper:BTC", "0"))
        outcome = await submit(VenueServiceStub(channel), request)

    assert ORDER_STATE_FILLED == outcome.state
    paid = Decimal(outcome.spent.value) / Decimal(outcome.received.value)
    quoted = Decimal(answer.quotes[0].price)
    assert quoted * Decimal("0.9955") < paid < quoted * Decimal("1.0055")


async def test_without_the_venues_database_the_process_says_what_is_missing(
    database: Database, redis_url: str
) -> None:
    """Pricing does not quietly leave the venue out."""
    status, output = await run_program(
        "pricing",
        PRICING_DATABASE_URL=database.url("purser_pricing"),
        PRICING_REDIS_URL=redis_url,
    )

    assert 2 == status
    assert "PRICING_VENUE_DATABASE_URL is missing" in output


async def test_it_refuses_instruments_nobody_can_read(database: Database, redis_url: str) -> None:
    """Exit status 1 and one sentence that shows a right one."""
    status, output = await run_program(
        "pricing",
        PRICING_DATABASE_URL=database.url("purser_pricing"),
        PRICING_VENUE_DATABASE_URL=database.url("purser_venue"),
        PRICING_REDIS_URL=redis_url,
        PRICING_VENUE_INSTRUMENTS="BTC:8",
    )

    assert (1, 1) == (status, output.count("for example BTC:8:400000000"))
