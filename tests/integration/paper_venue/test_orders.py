"""VenueService over gRPC against a real PostgreSQL: one outcome per order id."""

import grpc
import grpc.aio
import pytest
from tests.integration.paper_venue.conftest import (
    Serve,
    StatedQuotes,
    amount,
    buy,
    inquire,
    submit,
)
from tests.integration.stores import ClaimShard, rows

from devbox.database import Database
from purser.venue.v1.venue_pb2 import (
    ORDER_STATE_FILLED,
    OrderOutcome,
    SubmitOrderRequest,
)
from purser.venue.v1.venue_pb2_grpc import VenueServiceStub

TABLES = "SELECT (SELECT count(*) FROM venue.users), (SELECT count(*) FROM venue.orders)"


async def refused(venue: VenueServiceStub, request: SubmitOrderRequest) -> grpc.aio.AioRpcError:
    """Send an order, expecting an error."""
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await submit(venue, request)
    return refusal.value


async def test_an_order_is_executed_once_and_a_replay_gives_the_first_fill(
    serve: Serve, claim_shard: ClaimShard, quotes: StatedQuotes, database: Database
) -> None:
    """However often it comes, and wherever the market went: the answer that was lost is given."""
    request = buy(await claim_shard(0))
    async with serve() as venue, serve() as other:
        first = await submit(venue, request)
        quotes.prices["BTC"] = "99999"
        again = await submit(other, request)
        asked = await inquire(other, request.order_id)

    # 100 / 50025 / (1 + 100/400,000,000), rounded down; a thousandth of it, rounded up.
    assert first == OrderOutcome(
        state=ORDER_STATE_FILLED,
        spent=amount("paper:USDT", "100"),
        received=amount("paper:BTC", "0.001999"),
        fee=amount("paper:BTC", "0.000002"),
    )
    assert first == again == asked
    assert await rows(database, TABLES) == [(1, 1)]
    assert await rows(database, "SELECT quote_price, price > 50025 FROM venue.orders") == [
        (50000, True)
    ]
