"""Two who want different things of one order id: one outcome, and both are told it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import grpc
import grpc.aio
import pytest
from tests.integration.paper_venue.conftest import (
    Connection,
    Serve,
    StatedQuotes,
    buy,
    inquire,
    orders_in,
    submit,
    tombstone,
)
from tests.integration.stores import POOL, ClaimShard, rows

from chassis.errors import TryAgain
from chassis.grpc_client import reason_of
from devbox.database import Database
from pricing.paper_venue.application import BatchLimits, Venue
from pricing.paper_venue.domain import Kept, Outcome, Proposal, Terms, read_instruments
from pricing.paper_venue.postgres import PostgresOrders
from pricing.paper_venue.wire import read_order
from purser.venue.v1.venue_pb2 import (
    ORDER_STATE_FILLED,
    ORDER_STATE_NOT_FOUND,
    ORDER_STATE_TOMBSTONED,
    OrderOutcome,
    OrderState,
)

TOMBSTONE = """
    INSERT INTO venue.orders (order_id, pool, shard, state) VALUES ($1, $2, $3, 'tombstoned')
"""
FILL = """
    INSERT INTO venue.orders
    SELECT (jsonb_populate_record(kept, jsonb_build_object('order_id', $1::uuid))).*
    FROM venue.orders AS kept WHERE state = 'filled'
"""


@pytest.fixture
async def rival(database: Database) -> AsyncIterator[Connection]:
    """Another venue's connection, stepped by hand."""
    connection = await asyncpg.connect(database.url("purser_venue"))
    await connection.execute("SET transaction_timeout = 0")
    yield connection
    await connection.close()


async def until_the_venue_waits(owner: Connection) -> None:
    """Wait until one of the venue's own connections waits for a lock of another's."""
    waiting = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'purser-venue' AND wait_event_type = 'Lock')"
    )
    async with asyncio.timeout(10):
        while not await owner.fetchval(waiting):  # noqa: ASYNC110 (another process's state)
            await asyncio.sleep(0.005)


async def after(
    owner: Connection, call: Awaitable[OrderOutcome], end: Awaitable[None]
) -> OrderOutcome:
    """Begin a call, let it wait for the rival, end the rival's transaction; the call's answer."""
    calling = asyncio.ensure_future(call)
    await until_the_venue_waits(owner)
    assert not calling.done()
    await end
    return await calling


@pytest.mark.parametrize(
    ("end", "state"),
    [("commit", ORDER_STATE_TOMBSTONED), ("rollback", ORDER_STATE_FILLED)],
)
async def test_a_submission_that_waited_for_a_tombstone_follows_it(
    end: str,
    state: OrderState.ValueType,
    serve: Serve,
    claim_shard: ClaimShard,
    owner: Connection,
    rival: Connection,
) -> None:
    """The tombstone was first, though it was not committed yet when the order was decided; what is
    rolled back never was."""
    request = buy(claim := await claim_shard(0))
    async with serve() as venue:
        given_up = rival.transaction()
        await given_up.start()
        await rival.execute(TOMBSTONE, UUID(request.order_id), claim.pool, claim.shard)
        outcome = await after(owner, submit(venue, request), getattr(given_up, end)())
        kept = await inquire(venue, request.order_id)

    assert state == outcome.state
    assert outcome == kept


async def test_a_tombstone_that_waited_for_an_execution_is_told_of_it(
    serve: Serve, claim_shard: ClaimShard, owner: Connection, rival: Connection
) -> None:
    """The money moved; whoever wanted to give up must go on with the fill."""
    claim, order_id = await claim_shard(0), uuid4()
    async with serve() as venue:
        model = await submit(venue, buy(claim))
        executed = rival.transaction()
        await executed.start()
        await rival.execute(FILL, order_id)
        outcome = await after(owner, tombstone(venue, claim, order_id), executed.commit())

    assert model == outcome


async def test_submissions_and_tombstones_at_once_end_with_one_outcome_each(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """A hundred ids, two venues, each id submitted and given up on both: all four hear the same,
    and it is what is kept."""
    claim, user_id = await claim_shard(0), str(uuid4())
    requests = [buy(claim, user_id=user_id) for _ in range(100)]
    async with serve() as one, serve() as other:
        answers = await asyncio.gather(
            *(
                asyncio.gather(
                    *(
                        call
                        for place, venue in enumerate((one, other))
                        for call in in_turn(
                            (number + place) % 2 == 0,
                            submit(venue, request),
                            tombstone(venue, claim, request.order_id),
                        )
                    )
                )
                for number, request in enumerate(requests)
            )
        )
        kept = [await inquire(one, request.order_id) for request in requests]

    states = {outcome.state for outcome in kept}
    assert {ORDER_STATE_FILLED, ORDER_STATE_TOMBSTONED} == states
    for outcomes, outcome in zip(answers, kept, strict=True):
        assert [outcome] * 4 == list(outcomes)
    assert await rows(database, "SELECT count(*) FROM venue.orders") == [(100,)]


def in_turn(first: bool, *calls: Any) -> Sequence[Any]:
    """The calls in this order or in the other."""
    return calls if first else calls[::-1]


async def test_one_order_sent_forty_times_at_once_is_executed_once(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """Over two venues."""
    request = buy(await claim_shard(0))
    async with serve() as one, serve() as other:
        outcomes = await asyncio.gather(*(submit(v, request) for v in (one, other) * 20))

    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert await rows(database, "SELECT count(*), sum(spent) FROM venue.orders") == [(1, 100)]


async def test_a_claim_between_check_and_write_makes_the_submission_stale(
    serve: Serve, claim_shard: ClaimShard, owner: Connection
) -> None:
    """It waits for the claim at the fence, sees the epoch as it is after its wait, and writes
    nothing."""
    request = buy(claim := await claim_shard(0))
    async with serve() as venue:
        await submit(venue, buy(claim))
        async with owner.transaction():
            await owner.execute(
                "SELECT pg_advisory_xact_lock(placement.lock_key($1, $2))", POOL, claim.shard
            )
            submitting = asyncio.ensure_future(submit(venue, request))
            await until_the_venue_waits(owner)
            await owner.execute("UPDATE placement.shards SET epoch = epoch + 1")
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await submitting
        outcome = await inquire(venue, request.order_id)

    assert "STALE_EPOCH" == reason_of(refusal.value)
    assert ORDER_STATE_NOT_FOUND == outcome.state


class LosesAnswers:
    """A store whose transactions commit and whose answers are lost."""

    def __init__(self, orders: PostgresOrders) -> None:
        self._orders = orders
        self.loses = True

    async def keep(self, proposals: Sequence[Proposal]) -> Sequence[Kept | Exception]:
        """Commit, then break off as a connection does."""
        kept = await self._orders.keep(proposals)
        if self.loses:
            raise TryAgain("the connection to the database was lost")
        return kept

    async def find(self, order_id: UUID) -> Outcome | None:
        """See application.OrderStore."""
        return await self._orders.find(order_id)


async def test_an_order_whose_answer_was_lost_is_found_as_it_was_executed(
    claim_shard: ClaimShard, database: Database, quotes: StatedQuotes
) -> None:
    """UNAVAILABLE is unknown: an inquiry tells the fill, and so does the same order again, at the
    old price."""
    claim = await claim_shard(0)
    order = read_order(buy(claim), {})
    async with orders_in(database) as orders:
        store = LosesAnswers(orders)
        venue = Venue(
            read_instruments(["BTC:8:400000000"], "USDT", 6),
            Terms(5, 10, Decimal(1), Decimal(1000), timedelta(seconds=10)),
            quotes,
            store,
            BatchLimits(entries_max=10, queue_max=10),
            now=lambda: datetime.now(UTC),
        )
        async with venue.batcher:
            with pytest.raises(TryAgain):
                await venue.submit(claim, order)
            quotes.prices["BTC"] = "90000"
            asked = await venue.inquire(order.order_id)
            store.loses = False
            again = await venue.submit(claim, order)

    assert asked is not None
    assert asked == again
    assert asked.fill is not None
    assert Decimal("0.001999") == asked.fill.received.value
