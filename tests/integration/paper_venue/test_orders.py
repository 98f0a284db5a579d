"""VenueService over gRPC against a real PostgreSQL: one outcome per order id."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import grpc.aio
import pytest
from tests.integration.paper_venue.conftest import (
    Serve,
    StatedQuotes,
    amount,
    buy,
    inquire,
    orders_in,
    submit,
    tombstone,
)
from tests.integration.stores import ClaimShard, rows

from chassis.errors import ShardMismatch, StaleClaim
from chassis.grpc_client import reason_of
from devbox.database import Database
from kernel.sharding import Claim
from pricing.domain import Quote, Source
from pricing.paper_venue.domain import Kept, Outcome, Proposal, Refusal, State
from pricing.paper_venue.errors import AnotherOrder
from pricing.paper_venue.wire import read_order
from purser.shard.v1.shard_pb2 import ShardClaim
from purser.venue.v1.venue_pb2 import (
    ORDER_SIDE_BUY,
    ORDER_SIDE_SELL,
    ORDER_SIDE_UNSPECIFIED,
    ORDER_STATE_FILLED,
    ORDER_STATE_NOT_FOUND,
    ORDER_STATE_REFUSED,
    ORDER_STATE_TOMBSTONED,
    REFUSAL_REASON_SLIPPAGE,
    REFUSAL_REASON_STALE_PRICE,
    REFUSAL_REASON_TOO_LARGE,
    REFUSAL_REASON_TOO_SMALL,
    REFUSAL_REASON_UNKNOWN_SYMBOL,
    OrderOutcome,
    PreviewOrderRequest,
    RefusalReason,
    SubmitOrderRequest,
)
from purser.venue.v1.venue_pb2_grpc import VenueServiceStub

TABLES = "SELECT (SELECT count(*) FROM venue.users), (SELECT count(*) FROM venue.orders)"


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


def proposal(request: SubmitOrderRequest, claim: Claim) -> Proposal:
    """A refusal of an order, ready to be kept."""
    order = read_order(request, {})
    refusal = Outcome(State.REFUSED, refusal=Refusal.SLIPPAGE)
    return Proposal(claim, order.order_id, refusal, order)


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


@pytest.mark.parametrize(
    ("change", "prices", "reason"),
    [
        ({"receive_min": amount("paper:BTC", "0.002")}, {}, REFUSAL_REASON_SLIPPAGE),
        ({"spend": amount("paper:USDT", "0.5")}, {}, REFUSAL_REASON_TOO_SMALL),
        ({"spend": amount("paper:USDT", "1000001")}, {}, REFUSAL_REASON_TOO_LARGE),
        ({"symbol": "PEPE"}, {}, REFUSAL_REASON_UNKNOWN_SYMBOL),
        ({}, {"age": timedelta(seconds=11)}, REFUSAL_REASON_STALE_PRICE),
    ],
)
async def test_a_refusal_is_durable(
    change: dict[str, Any],
    prices: dict[str, Any],
    reason: RefusalReason.ValueType,
    serve: Serve,
    claim_shard: ClaimShard,
    quotes: StatedQuotes,
) -> None:
    """What would have been right later is refused as it was at first."""
    request = buy(await claim_shard(0), **change)
    for name, value in prices.items():
        setattr(quotes, name, value)
    async with serve() as venue:
        first = await submit(venue, request)
    quotes.prices |= {"BTC": "1", "PEPE": "1"}
    quotes.age = timedelta(0)
    async with serve(
        venue_order_worth_min=0,
        venue_order_worth_max=10_000_000,
        venue_instruments=("BTC:8:400000000", "PEPE:8:1000000"),
    ) as venue:
        again = await submit(venue, request) if "symbol" not in change else first
        asked = await inquire(venue, request.order_id)

    assert first == OrderOutcome(state=ORDER_STATE_REFUSED, refusal_reason=reason)
    assert first == again == asked


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": str(uuid4())},
        {"spend": amount("paper:USDT", "100.000001")},
        {"receive_min": amount("paper:BTC", "0.0018")},
        {"receive_max": amount("paper:BTC", "1")},
        {
            "side": ORDER_SIDE_SELL,
            "spend": amount("paper:BTC", "0.1"),
            "receive_min": amount("paper:USDT", "1"),
        },
    ],
)
async def test_an_order_id_stands_for_one_order(
    change: dict[str, Any], serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """The same id with another body is an error, and not even its user is written down."""
    claim, order_id, user_id = await claim_shard(0), uuid4(), str(uuid4())
    async with serve() as venue:
        first = await submit(venue, buy(claim, order_id, user_id=user_id))
        error = await refused(venue, buy(claim, order_id, **({"user_id": user_id} | change)))
        asked = await inquire(venue, order_id)

    assert (error.code(), reason_of(error)) == (grpc.StatusCode.ALREADY_EXISTS, "ANOTHER_ORDER")
    assert first == asked
    assert await rows(database, TABLES) == [(1, 1)]


async def test_the_next_owner_of_the_shard_gets_the_first_outcome(
    serve: Serve, claim_shard: ClaimShard, quotes: StatedQuotes
) -> None:
    """The claim is no part of an order; the older one may not even ask for it again."""
    old = await claim_shard(0)
    order_id, user_id = uuid4(), str(uuid4())
    async with serve() as venue:
        first = await submit(venue, buy(old, order_id, user_id=user_id))
        new = await claim_shard(0)
        quotes.prices["BTC"] = "40000"
        again = await submit(venue, buy(new, order_id, user_id=user_id))
        error = await refused(venue, buy(old, order_id, user_id=user_id))

    assert first == again
    assert (error.code(), reason_of(error)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "STALE_EPOCH",
    )


async def test_a_stale_claim_executes_and_tombstones_nothing(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """Epoch 0, which a message without an epoch carries, is stale too."""
    stale = await claim_shard(0)
    await claim_shard(0)
    async with serve() as venue:
        requests = (buy(stale), buy(replace(stale, epoch=0)))
        errors = [await refused(venue, request) for request in requests]
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await tombstone(venue, stale, uuid4())

    assert ["STALE_EPOCH"] * 3 == [reason_of(error) for error in (*errors, refusal.value)]
    assert await rows(database, TABLES) == [(0, 0)]


async def test_a_valid_claim_of_another_shard_cannot_order_for_a_user(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """Nor meet an order of the user's, whichever way."""
    home, other = await claim_shard(0), await claim_shard(1)
    order_id, user_id = uuid4(), str(uuid4())
    async with serve() as venue:
        await submit(venue, buy(home, order_id, user_id=user_id))
        errors = [
            await refused(venue, buy(other, user_id=user_id)),
            await refused(venue, buy(other, order_id, user_id=user_id)),
        ]
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await tombstone(venue, other, order_id)

    assert [(grpc.StatusCode.FAILED_PRECONDITION, "SHARD_MISMATCH")] * 3 == [
        (error.code(), reason_of(error)) for error in (*errors, refusal.value)
    ]
    assert await rows(database, "SELECT user_id::text, shard FROM venue.users") == [(user_id, 0)]
    assert await rows(database, TABLES) == [(1, 1)]


async def test_orders_go_with_their_user_to_another_shard(
    serve: Serve, claim_shard: ClaimShard, quotes: StatedQuotes, database: Database
) -> None:
    """The new shard gets the first outcome, of a tombstone too; the old one gets nothing more."""
    home, _ = await claim_shard(0), await claim_shard(1)
    order_id, given_up, user_id = uuid4(), uuid4(), str(uuid4())
    async with serve() as venue:
        first = await submit(venue, buy(home, order_id, user_id=user_id))
        await tombstone(venue, home, given_up)
        await rows(
            database,
            f"SELECT venue.move_users('{{{user_id}}}', '{{{order_id},{given_up}}}',"
            " 'default.main', 0, 'default.main', 1)",
        )
        old, new = await claim_shard(0), await claim_shard(1)
        quotes.prices["BTC"] = "40000"
        again = await submit(venue, buy(new, order_id, user_id=user_id))
        told = await tombstone(venue, new, order_id)
        still = await submit(venue, buy(new, given_up, user_id=user_id))
        errors = [
            await refused(venue, buy(old, order_id, user_id=user_id)),
            await refused(venue, buy(old, user_id=user_id)),
            await refused(venue, buy(old, given_up, user_id=str(uuid4()))),
            await refused(venue, buy(home, user_id=user_id)),
        ]

    assert first == again
    assert first == told
    assert ORDER_STATE_TOMBSTONED == still.state
    assert ["SHARD_MISMATCH"] * 3 + ["STALE_EPOCH"] == [reason_of(error) for error in errors]
    assert await rows(database, TABLES) == [(1, 2)]


async def test_two_shards_that_bring_a_new_user_at_once_make_one_home(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """In one batch and over two venues: whoever came first; the other's orders are refused."""
    claims, user_id = [await claim_shard(0), await claim_shard(1)], str(uuid4())
    async with serve() as one, serve() as other:
        answers = await asyncio.gather(
            *(
                submit(venue, buy(claim, user_id=user_id))
                for venue in (one, other)
                for claim in claims
                for _ in range(5)
            ),
            return_exceptions=True,
        )

    errors = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert ["SHARD_MISMATCH"] * 10 == [reason_of(error) for error in errors]
    assert await rows(database, TABLES) == [(1, 10)]


async def test_an_order_never_seen_is_not_found_and_that_is_no_error(serve: Serve) -> None:
    """Not an outcome either: it may be submitted a moment later."""
    async with serve() as venue:
        outcome = await inquire(venue, uuid4())

    assert OrderOutcome(state=ORDER_STATE_NOT_FOUND) == outcome


async def test_a_tombstone_keeps_an_order_from_being_executed(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """For ever, however often either comes."""
    request = buy(claim := await claim_shard(0))
    async with serve() as venue:
        outcomes = [
            await tombstone(venue, claim, request.order_id),
            await submit(venue, request),
            await tombstone(venue, claim, request.order_id),
            await inquire(venue, request.order_id),
        ]

    assert [OrderOutcome(state=ORDER_STATE_TOMBSTONED)] * 4 == outcomes
    assert await rows(database, "SELECT state, spent FROM venue.orders") == [("tombstoned", None)]


async def test_a_tombstone_for_an_order_with_an_outcome_is_answered_with_it(
    serve: Serve, claim_shard: ClaimShard
) -> None:
    """Filled stays filled, refused stays refused."""
    claim = await claim_shard(0)
    requests = [buy(claim), buy(claim, receive_min=amount("paper:BTC", "1"))]
    async with serve() as venue:
        submitted = [await submit(venue, request) for request in requests]
        given_up = [await tombstone(venue, claim, request.order_id) for request in requests]

    assert [ORDER_STATE_FILLED, ORDER_STATE_REFUSED] == [outcome.state for outcome in submitted]
    assert submitted == given_up


async def test_without_a_price_the_outcome_is_open(
    serve: Serve, claim_shard: ClaimShard, quotes: StatedQuotes
) -> None:
    """UNAVAILABLE, nothing kept; the same order is executed when prices are back."""
    request = buy(await claim_shard(0))
    quotes.silent = True
    async with serve() as venue:
        error = await refused(venue, request)
        between = await inquire(venue, request.order_id)
        quotes.silent = False
        outcome = await submit(venue, request)

    assert grpc.StatusCode.UNAVAILABLE is error.code()
    assert [ORDER_STATE_NOT_FOUND, ORDER_STATE_FILLED] == [between.state, outcome.state]


async def test_an_order_spends_no_more_than_its_most_to_receive_takes(
    serve: Serve, claim_shard: ClaimShard
) -> None:
    """The rest of what was held for it stays with the user."""
    request = buy(
        await claim_shard(0),
        receive_min=amount("paper:BTC", "0.001"),
        receive_max=amount("paper:BTC", "0.001"),
    )
    async with serve() as venue:
        outcome = await submit(venue, request)

    assert amount("paper:BTC", "0.001") == outcome.received
    # 50.025 at the ask, and a part in eight millions for its size, rounded up.
    assert amount("paper:USDT", "50.025007") == outcome.spent


@pytest.mark.parametrize("prepared", [True, False])
async def test_neighbours_in_a_transaction_are_answered_each_for_itself(
    prepared: bool, claim_shard: ClaimShard, database: Database
) -> None:
    """Good, stale, foreign, repeated, changed and given up, with and without a pooler between."""
    stale = await claim_shard(0)
    home, other = await claim_shard(0), await claim_shard(1)
    user_id, known = str(uuid4()), uuid4()
    first = proposal(buy(home, known, user_id=user_id), home)
    mixed = [
        proposal(buy(home, user_id=user_id), home),
        proposal(buy(stale, user_id=user_id), stale),
        proposal(buy(other, user_id=user_id), other),
        replace(first, outcome=Outcome(State.REFUSED, refusal=Refusal.TOO_LARGE)),
        proposal(buy(home, known, user_id=user_id, symbol="ETH"), home),
        proposal(buy(other), other),
        Proposal(home, uuid4(), Outcome(State.TOMBSTONED)),
    ]
    async with orders_in(database, prepared_statements=prepared) as orders:
        await orders.keep([first])
        # And once more, as another transaction finds it.
        answers = [await orders.keep(mixed) for _ in range(2)]

    def said(answer: Kept | Exception) -> object:
        return answer.outcome.state if isinstance(answer, Kept) else type(answer)

    expected = [
        State.REFUSED,
        StaleClaim,
        ShardMismatch,
        State.REFUSED,
        AnotherOrder,
        State.REFUSED,
        State.TOMBSTONED,
    ]
    assert [expected, expected] == [[said(answer) for answer in batch] for batch in answers]
    assert Kept(first.outcome, is_first=False) == answers[0][3]
    firsts = [[a.is_first for a in batch if isinstance(a, Kept)] for batch in answers]
    assert [[True, False, True, True], [False] * 4] == firsts
    assert await rows(database, TABLES) == [(2, 4)]


async def test_a_row_the_database_refuses_does_not_hold_up_its_neighbours(
    claim_shard: ClaimShard, database: Database
) -> None:
    """A price no column can hold, from a source gone mad, fails its own order alone."""
    claim = await claim_shard(0)
    mad = Quote("BTC", "USDT", Decimal(10) ** 40, datetime.now(UTC), Source.EXCHANGES)
    good = proposal(buy(claim), claim)
    bad = replace(proposal(buy(claim), claim), quote=mad)
    async with orders_in(database) as orders:
        answers = await orders.keep([bad, good])

    assert isinstance(answers[0], asyncpg.NumericValueOutOfRangeError)
    assert Kept(good.outcome, is_first=True) == answers[1]


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
