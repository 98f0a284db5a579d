"""Whose claim may order for whom, over gRPC against a real PostgreSQL."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import grpc
import grpc.aio
import pytest
from tests.integration.paper_venue.conftest import (
    TABLES,
    Serve,
    StatedQuotes,
    buy,
    refused,
    submit,
    tombstone,
)
from tests.integration.stores import ClaimShard, rows

from chassis.grpc_client import reason_of
from devbox.database import Database
from purser.venue.v1.venue_pb2 import (
    ORDER_STATE_TOMBSTONED,
)


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
