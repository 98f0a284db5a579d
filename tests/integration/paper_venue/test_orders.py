"""VenueService over gRPC against a real PostgreSQL: one outcome per order id."""

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
    TABLES,
    Serve,
    StatedQuotes,
    amount,
    buy,
    inquire,
    orders_in,
    refused,
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
from purser.venue.v1.venue_pb2 import (
    ORDER_SIDE_SELL,
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
    RefusalReason,
    SubmitOrderRequest,
)


def proposal(request: SubmitOrderRequest, claim: Claim) -> Proposal:
    """A refusal of an order, ready to be kept."""
    order = read_order(request, {})
    refusal = Outcome(State.REFUSED, refusal=Refusal.SLIPPAGE)
    return Proposal(claim, order.order_id, refusal, order)


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
