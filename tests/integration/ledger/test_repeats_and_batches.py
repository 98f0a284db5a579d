"""The same key once more, and many operations at once, over gRPC against a real PostgreSQL."""

import asyncio
import random
from decimal import Decimal
from uuid import UUID, uuid4

import grpc
import grpc.aio
from tests.integration.books import assert_balanced
from tests.integration.ledger.conftest import Serve
from tests.integration.ledger.operations import (
    USDT,
    apply,
    as_owner,
    balances,
    buy,
    fee,
    hold,
    new_user,
    outcomes,
    release,
)
from tests.integration.stores import ClaimShard, pool_of, rows

from chassis.grpc_client import reason_of
from chassis.postgres import Pool
from devbox.database import Database
from kernel.money import AssetId
from kernel.sharding import Claim
from ledger.domain.assets import Registry
from ledger.domain.operations import Amount, Fee, Operation, Outcome, Request
from ledger.errors import BooksRefused
from ledger.postgres import Batches, Records
from purser.ledger.v1.ledger_pb2 import Operation as Message
from purser.ledger.v1.ledger_pb2_grpc import LedgerServiceStub

MANY = 30


async def test_a_retry_after_a_lost_answer_gives_the_first_answer_refusals_included(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """Also on another ledger, and under the claim of the shard's next owner."""
    claim, order = await claim_shard(0), uuid4()
    async with serve() as one, serve() as other:
        user = await new_user(one, claim)
        operations = [hold(user, order, "100"), fee(user, "5000", "too much"), release(user, order)]
        first = await apply(one, claim, *operations)
        newer = await claim_shard(0)
        again = await apply(other, newer, *operations)

    assert [(r.outcome, r.transfer_id, r.replayed) for r in again] == [
        (r.outcome, r.transfer_id, True) for r in first
    ]
    assert [bool(r.transfer_id) for r in first] == [True, False, True]
    await assert_balanced(database)


async def test_a_commit_whose_answer_was_lost_is_found_by_the_retry(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """The caller hangs up while the batch is being written; the effect stands once."""
    claim = await claim_shard(0)
    async with serve() as ledger:
        user = await new_user(ledger, claim)
        keys = [f"lost:{number}" for number in range(MANY)]
        calls = [asyncio.create_task(apply(ledger, claim, fee(user, "1", key))) for key in keys]
        await asyncio.sleep(0.005)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        retried = [await outcomes(ledger, claim, fee(user, "1", key)) for key in keys]
        left = await balances(ledger, user)

    assert {outcome.rstrip("*") for (outcome,) in retried} == {"APPLIED"}
    assert left["USDT"] == (str(1000 - MANY), "0")
    await assert_balanced(database)


async def test_the_same_key_on_two_ledgers_at_once_has_one_effect(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """However they meet: one applies, all others replay its answer."""
    claim = await claim_shard(0)
    async with serve() as one, serve() as other:
        user = await new_user(one, claim)
        for number in range(10):
            answers = await asyncio.gather(
                *(
                    apply(ledger, claim, fee(user, "1", f"once:{number}"))
                    for ledger in (one, other) * 5
                )
            )
            assert len({answer[0].transfer_id for answer in answers}) == 1
            assert sorted(answer[0].replayed for answer in answers) == [False] + [True] * 9
        assert (await balances(one, user))["USDT"] == ("990", "0")

    await assert_balanced(database)


async def test_one_key_for_two_users_on_two_ledgers_at_once_has_one_effect(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """No account lock orders these: the key's own row does, and the later one is a mismatch."""
    claims = [await claim_shard(0), await claim_shard(1)]
    async with serve() as one, serve() as other:
        users = [await new_user(one, claim) for claim in claims]
        for number in range(10):
            answers = await asyncio.gather(
                outcomes(one, claims[0], fee(users[0], "1", f"shared:{number}")),
                outcomes(other, claims[1], fee(users[1], "1", f"shared:{number}")),
            )
            assert sorted(answers) == [["APPLIED"], ["IDEMPOTENCY_MISMATCH"]]

    await assert_balanced(database)


async def test_one_order_for_two_users_at_once_has_one_hold(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """The index one_hold_per_order decides between ledgers; the later one is a mismatch."""
    claims = [await claim_shard(0), await claim_shard(1)]
    async with serve() as one, serve() as other:
        users = [await new_user(one, claim) for claim in claims]
        for number in range(10):
            order = uuid4()
            answers = await asyncio.gather(
                outcomes(one, claims[0], hold(users[0], order, "1", key=f"one:{number}")),
                outcomes(other, claims[1], hold(users[1], order, "1", key=f"other:{number}")),
            )
            assert sorted(answers) == [["APPLIED"], ["IDEMPOTENCY_MISMATCH"]]

    await assert_balanced(database)


async def test_duplicates_and_disorder_leave_the_same_books(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """Every operation sent three times, to two ledgers, out of order where order is free."""
    claim = await claim_shard(0)
    async with serve() as one, serve() as other:
        user = await new_user(one, claim)
        orders = [uuid4() for _ in range(20)]
        holds = [hold(user, order, "10") for order in orders]
        fills = [buy(user, order, "9.5", "0.001", "0.00001") for order in orders]
        for step in (holds, fills):
            calls = [
                outcomes(ledger, claim, operation)
                for ledger in (one, other, one)
                for operation in random.sample(step, len(step))
            ]
            answers = [name for (name,) in await asyncio.gather(*calls)]
            assert sorted(set(answers)) == ["APPLIED", "APPLIED*"]
            assert answers.count("APPLIED") == len(orders)
        assert await balances(one, user) == {"USDT": ("810", "0"), "BTC": ("0.0198", "0")}

    assert await rows(database, "SELECT count(*), sum(spent) FROM ledger.trades") == [(20, 190)]
    await assert_balanced(database)


async def test_one_request_the_database_refuses_does_not_fail_its_neighbours(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """A CHECK the decision did not foresee: the batch is halved until the culprit is alone."""
    claim = await claim_shard(0)
    async with serve() as ledger:
        users = [await new_user(ledger, claim) for _ in range(7)]
    await as_owner(
        database,
        f"ALTER TABLE ledger.accounts ADD CONSTRAINT surprise CHECK (user_id <> '{users[3]}'"
        " OR asset_id <> 'paper:USDT' OR posted >= 1000)",
    )
    requests = [Request(claim, [_fee(user)]) for user in users]
    async with pool_of(database, "purser_ledger") as pool:
        registry = await Records(pool).list_assets()
        results = await Batches(pool).apply(requests, registry)

    refused = results.pop(3)
    assert isinstance(refused, BooksRefused)
    assert "surprise" in str(refused)
    applied = [result for result in results if isinstance(result, list)]
    assert [answers[0].outcome for answers in applied] == [Outcome.APPLIED] * 6
    await assert_balanced(database)


def _fee(user: UUID) -> Operation:
    return Operation(f"fee:{uuid4()}", Fee(user, Amount(AssetId(USDT), Decimal(1))))


async def test_a_batch_costs_the_same_number_of_statements_whatever_its_size(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """One or three hundred requests: what grows is the statements' arrays."""
    claim = await claim_shard(0)
    async with serve() as ledger:
        users = [await new_user(ledger, claim) for _ in range(20)]
    async with pool_of(database, "purser_ledger") as pool:
        registry = await Records(pool).list_assets()
        counts = []
        for size in (1, 1, 300):
            requests = [Request(claim, [_fee(users[n % 20])]) for n in range(size)]
            counts.append(await _statements(pool, requests, registry))

    # The first batch of a connection also asks what the types of the arrays are.
    assert counts[1] == counts[2]
    assert 5 < counts[1] < 12


async def _statements(pool: Pool, requests: list[Request], registry: Registry) -> int:
    """How many statements the batch sends."""
    count = 0

    def tell(_: object) -> None:
        nonlocal count
        count += 1

    async with pool.acquire() as connection:
        connection.add_query_logger(tell)
    try:
        for result in await Batches(pool).apply(requests, registry):
            assert isinstance(result, list)
    finally:
        async with pool.acquire() as connection:
            connection.remove_query_logger(tell)
    return count


async def test_a_takeover_during_a_batch_waits_for_it_or_refuses_it(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """Claims and batches interleaved: every answer is either applied or stale, and the sum fits."""
    claim = await claim_shard(0)
    async with serve() as ledger:
        user = await new_user(ledger, claim)

        async def charge(using: Claim) -> int:
            applied = 0
            for _ in range(20):
                try:
                    applied += await outcomes(ledger, using, fee(user, "1")) == ["APPLIED"]
                except grpc.aio.AioRpcError as error:
                    if reason_of(error) != "STALE_EPOCH":
                        raise
            return applied

        async def take_over() -> int:
            await asyncio.sleep(0.02)
            return await charge(await claim_shard(0))

        counts = await asyncio.gather(charge(claim), charge(claim), take_over())
        left = await balances(ledger, user)

    assert counts[2] == 20
    assert left["USDT"] == (str(1000 - sum(counts)), "0")
    await assert_balanced(database)


async def test_a_ledger_that_is_away_is_told_as_unavailable(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """Connections cut in the middle: callers are told to come again, and then find one effect."""
    claim = await claim_shard(0)
    async with serve() as ledger:
        user = await new_user(ledger, claim)
        keys = [f"cut:{number}" for number in range(MANY)]
        calls = [asyncio.create_task(apply(ledger, claim, fee(user, "1", key))) for key in keys]
        await asyncio.sleep(0.004)
        await rows(
            database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename = 'purser_ledger'",
        )
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                assert isinstance(answer, grpc.aio.AioRpcError)
                assert answer.code() is grpc.StatusCode.UNAVAILABLE
        retried = [await _until_answered(ledger, claim, fee(user, "1", key)) for key in keys]
        left = await balances(ledger, user)

    assert {name.rstrip("*") for name in retried} == {"APPLIED"}
    assert left["USDT"] == (str(1000 - MANY), "0")
    await assert_balanced(database)


async def _until_answered(ledger: LedgerServiceStub, claim: Claim, operation: Message) -> str:
    for _ in range(10):
        try:
            return (await outcomes(ledger, claim, operation))[0]
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            await asyncio.sleep(0.05)
    raise AssertionError("never answered")
