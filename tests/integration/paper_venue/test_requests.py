"""Previews, and requests that are malformed, over gRPC against a real PostgreSQL."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.integration.paper_venue.conftest import (
    TABLES,
    Serve,
    amount,
    buy,
    inquire,
    refused,
    submit,
    tombstone,
)
from tests.integration.stores import ClaimShard, rows

from chassis.grpc_client import reason_of
from devbox.database import Database
from purser.shard.v1.shard_pb2 import ShardClaim
from purser.venue.v1.venue_pb2 import (
    ORDER_SIDE_BUY,
    ORDER_SIDE_SELL,
    ORDER_SIDE_UNSPECIFIED,
    ORDER_STATE_FILLED,
    REFUSAL_REASON_TOO_LARGE,
    REFUSAL_REASON_TOO_SMALL,
    PreviewOrderRequest,
    RefusalReason,
)

MALFORMED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("claim", {"claim": None}),
    ("claim", {"claim": ShardClaim(pool="x", epoch=1)}),
    ("order_id", {"order_id": "not-a-uuid"}),
    ("user_id", {"user_id": ""}),
    ("side", {"side": ORDER_SIDE_UNSPECIFIED}),
    ("side", {"side": 7}),
    ("symbol", {"symbol": "\u202eCTB"}),
    ("symbol", {"symbol": ""}),
    ("spend.asset_id", {"spend": None}),
    ("spend.asset_id", {"spend": amount("paper:ETH", "1")}),
    ("spend.value", {"spend": amount("paper:USDT", "1e9")}),
    ("spend.value", {"spend": amount("paper:USDT", "NaN")}),
    ("spend.value", {"spend": amount("paper:USDT", "0")}),
    ("spend.value", {"spend": amount("paper:USDT", "-1")}),
    ("spend.value", {"spend": amount("paper:USDT", "0.0000001")}),
    # More digits than Python's own context keeps: they must not be rounded away unseen.
    ("spend.value", {"spend": amount("paper:USDT", "1234567890123456789012345678901.0000001")}),
    ("receive_min.asset_id", {"receive_min": None}),
    ("receive_min.asset_id", {"receive_min": amount("paper:USDT", "1")}),
    ("receive_min.value", {"receive_min": amount("paper:BTC", "-0.1")}),
    ("receive_min.value", {"receive_min": amount("paper:BTC", "0.000000001")}),
    ("receive_max", {"receive_max": amount("paper:BTC", "0.0018")}),
    ("receive_max", {"receive_max": amount("paper:USDT", "1")}),
    ("receive_max.value", {"receive_max": amount("paper:BTC", "0")}),
    ("receive_max.value", {"receive_max": amount("paper:BTC", "0.1000000001")}),
)


async def test_a_preview_says_what_a_submission_then_does(
    serve: Serve, claim_shard: ClaimShard
) -> None:
    """Sized by what is spent and by what is received; with its price and its quote's time."""
    claim = await claim_shard(0)
    async with serve() as venue:
        by_spend = await venue.PreviewOrder(
            PreviewOrderRequest(
                side=ORDER_SIDE_BUY, symbol="BTC", spend=amount("paper:USDT", "100")
            ),
            timeout=10,
        )
        filled = await submit(venue, buy(claim))
        by_receive = await venue.PreviewOrder(
            PreviewOrderRequest(
                side=ORDER_SIDE_SELL, symbol="BTC", receive=amount("paper:USDT", "100")
            ),
            timeout=10,
        )
        sold = await submit(
            venue,
            buy(
                claim,
                side=ORDER_SIDE_SELL,
                spend=by_receive.spent,
                receive_min=by_receive.received,
                receive_max=by_receive.received,
            ),
        )

    for seen, done in ((by_spend, filled), (by_receive, sold)):
        assert ORDER_STATE_FILLED == done.state
        assert (seen.spent, seen.received, seen.fee) == (done.spent, done.received, done.fee)
        assert abs(seen.stated_at.ToDatetime(tzinfo=UTC) - datetime.now(UTC)) < timedelta(minutes=1)
    assert amount("paper:USDT", "100") == by_receive.received
    assert Decimal(50025) < Decimal(by_spend.price) < Decimal(50026)
    assert Decimal(49974) < Decimal(by_receive.price) < Decimal(49975)


@pytest.mark.parametrize(
    ("spend", "reason", "bound"),
    [
        ("0.5", REFUSAL_REASON_TOO_SMALL, "1"),
        ("1000000.5", REFUSAL_REASON_TOO_LARGE, "1000000"),
    ],
)
async def test_a_preview_names_the_bound_that_was_met(
    spend: str, reason: RefusalReason.ValueType, bound: str, serve: Serve
) -> None:
    """In quote currency, so that the user can be told."""
    request = PreviewOrderRequest(
        side=ORDER_SIDE_BUY, symbol="BTC", spend=amount("paper:USDT", spend)
    )
    async with serve() as venue:
        seen = await venue.PreviewOrder(request, timeout=10)

    assert (reason, amount("paper:USDT", bound)) == (seen.refusal_reason, seen.bound)
    assert not seen.HasField("spent")


async def test_malformed_requests_name_the_field_and_leave_no_trace(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """INVALID_ARGUMENT before anything is decided, and nothing hostile is echoed."""
    claim = await claim_shard(0)
    async with serve() as venue:
        for field, change in MALFORMED:
            error = await refused(venue, buy(claim, **change))
            assert (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED") == (
                error.code(),
                reason_of(error),
            )
            assert (error.details() or "").startswith(f"{field}: expected ")
            assert (error.details() or "").isascii()

    assert await rows(database, TABLES) == [(0, 0)]


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("side", {"side": ORDER_SIDE_UNSPECIFIED}),
        ("symbol", {"symbol": "BTC\0"}),
        ("size", {"spend": None}),
        ("spend.value", {"spend": amount("paper:USDT", "-1")}),
        ("spend.value", {"spend": amount("paper:USDT", "0")}),
        ("spend.asset_id", {"spend": amount("paper:BTC", "1")}),
        ("receive.value", {"spend": None, "receive": amount("paper:BTC", "0.000000001")}),
        ("receive.asset_id", {"spend": None, "receive": amount("paper:USDT", "1")}),
    ],
)
async def test_a_malformed_preview_names_the_field(
    field: str, change: dict[str, Any], serve: Serve
) -> None:
    """As an order would."""
    good: dict[str, Any] = {
        "side": ORDER_SIDE_BUY,
        "symbol": "BTC",
        "spend": amount("paper:USDT", "1"),
    }
    async with serve() as venue:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await venue.PreviewOrder(PreviewOrderRequest(**(good | change)), timeout=10)

    assert grpc.StatusCode.INVALID_ARGUMENT is refusal.value.code()
    assert (refusal.value.details() or "").startswith(f"{field}: expected ")


@pytest.mark.parametrize("order_id", ["", "x", "{00000000-0000-0000-0000-000000000001}"])
async def test_an_order_id_is_a_uuid_wherever_it_is_named(
    order_id: str, serve: Serve, claim_shard: ClaimShard
) -> None:
    """Inquiries and tombstones are read as strictly as orders."""
    claim = await claim_shard(0)
    async with serve() as venue:
        for call in (inquire(venue, order_id), tombstone(venue, claim, order_id)):
            with pytest.raises(grpc.aio.AioRpcError, match="order_id: expected a UUID"):
                await call
