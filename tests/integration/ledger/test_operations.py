"""Typed operations over gRPC against a real PostgreSQL."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import grpc
import grpc.aio
import pytest
from tests.integration.books import assert_balanced
from tests.integration.ledger.conftest import Serve
from tests.integration.ledger.operations import (
    BTC,
    ETH,
    USDT,
    apply,
    balances,
    buy,
    expire,
    faucet,
    fee,
    hold,
    later,
    linked,
    new_user,
    outcomes,
    release,
    sell,
)
from tests.integration.stores import ClaimShard, rows

from chassis.grpc_client import reason_of
from chassis.postgres import Pool, PostgresSettings, open_pool
from chassis.settings import Secret
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


@asynccontextmanager
async def pool_of(database: Database) -> AsyncIterator[Pool]:
    """Connections as the ledger's role."""
    settings = PostgresSettings(database_url=Secret(database.url("purser_ledger")))
    pool = await open_pool(settings, "test")
    try:
        yield pool
    finally:
        await pool.close()


async def test_a_trade_is_a_hold_and_a_fill_and_the_books_balance(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """What is not spent of the hold comes back, and the fee is taken from what was received."""
    claim, first, second, third = await claim_shard(0), uuid4(), uuid4(), uuid4()
    async with serve() as ledger:
        user = await new_user(ledger, claim)
        assert await outcomes(ledger, claim, hold(user, first, "100")) == ["APPLIED"]
        assert await balances(ledger, user) == {"USDT": ("1000", "100"), "BTC": ("0", "0")}

        fill = buy(user, first, "99.5", "0.002", "0.00001")
        assert await outcomes(ledger, claim, fill) == ["APPLIED"]
        assert await balances(ledger, user) == {"USDT": ("900.5", "0"), "BTC": ("0.00199", "0")}

        fill = sell(user, second, "0.001", "60", "0.06")
        assert (
            await outcomes(ledger, claim, hold(user, second, "0.001", BTC), fill) == ["APPLIED"] * 2
        )
        assert await balances(ledger, user) == {"USDT": ("960.44", "0"), "BTC": ("0.00099", "0")}

        assert (
            await outcomes(ledger, claim, hold(user, third, "960.44"), release(user, third))
            == ["APPLIED"] * 2
        )
        assert await balances(ledger, user) == {"USDT": ("960.44", "0"), "BTC": ("0.00099", "0")}

    await assert_balanced(database)


async def test_the_last_unit_of_a_large_amount_survives_every_step(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """12345678901.000000000000000001 in, held, spent, and back: Python's default would lose it."""
    value, claim, order = "12345678901.000000000000000001", await claim_shard(0), uuid4()
    await as_owner(database, "UPDATE ledger.assets SET faucet_max = 1e20 WHERE symbol = 'ETH'")
    async with serve() as ledger:
        user = await new_user(ledger, claim, assets=(USDT, ETH))
        given = await outcomes(ledger, claim, faucet(user, value, asset_id=ETH))
        held = await outcomes(ledger, claim, hold(user, order, value, ETH))
        standing = await balances(ledger, user)
        charged = await outcomes(
            ledger, claim, release(user, order), fee(user, "0.000000000000000001", asset_id=ETH)
        )
        left = await balances(ledger, user)

    assert given == held == ["APPLIED"]
    assert charged == ["APPLIED", "APPLIED"]
    assert standing["ETH"] == (value, value)
    assert left["ETH"] == ("12345678901", "0")
    await assert_balanced(database)


async def as_owner(database: Database, statement: str) -> None:
    """Do what only the database's owner can."""
    connection = await asyncpg.connect(database.owner_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_an_amount_finer_than_its_asset_is_refused_before_anything_is_written(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """The whole call, naming the field; the good operation beside it did nothing."""
    claim = await claim_shard(0)
    async with serve() as ledger:
        user = await new_user(ledger, claim)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await apply(ledger, claim, fee(user, "1"), fee(user, "0.0000001"))
        assert await balances(ledger, user) == {"USDT": ("1000", "0"), "BTC": ("0", "0")}

    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.details() == (
        "operations[1].fee.amount.value: expected at most 6 digits after the point"
    )


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


async def test_a_stale_claim_is_refused_alone(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """Its neighbours in the same batch go on, and it has left no key."""
    stale = await claim_shard(0)
    async with serve() as ledger:
        user = await new_user(ledger, stale)
        claim, other = await claim_shard(0), await claim_shard(1)
        neighbour = await new_user(ledger, other)
        calls: list[Any] = []
        for number in range(MANY):
            calls.append(apply(ledger, stale, fee(user, "1", f"key:{number}")))
            calls.append(apply(ledger, claim, fee(user, "1", f"fresh:{number}")))
            calls.append(apply(ledger, other, fee(neighbour, "1")))
        answers = await asyncio.gather(*calls, return_exceptions=True)
        errors = [a for a in answers if isinstance(a, grpc.aio.AioRpcError)]
        assert [reason_of(error) for error in errors] == ["STALE_EPOCH"] * MANY
        assert await outcomes(ledger, claim, fee(user, "1", "key:0")) == ["APPLIED"]
        assert (await balances(ledger, user))["USDT"] == (str(1000 - MANY - 1), "0")
        assert (await balances(ledger, neighbour))["USDT"] == (str(1000 - MANY), "0")

    await assert_balanced(database)


async def test_a_valid_claim_of_another_shard_moves_nothing_and_burns_no_key(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """The rightful caller can use the same key afterwards."""
    home, other, order = await claim_shard(0), await claim_shard(1), uuid4()
    async with serve() as ledger:
        user = await new_user(ledger, home)
        await outcomes(ledger, home, hold(user, order, "10"))
        foreign = [fee(user, "1", "key"), release(user, order), faucet(user, "1")]
        assert await outcomes(ledger, other, *foreign) == ["SHARD_MISMATCH"] * 3
        assert (await balances(ledger, user))["USDT"] == ("1000", "10")
        assert await outcomes(ledger, home, *foreign) == ["APPLIED"] * 3

    await assert_balanced(database)


async def test_a_linked_group_moves_nothing_when_one_of_it_is_refused(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """And the refusal is durable: the same group again is answered the same."""
    claim, order = await claim_shard(0), uuid4()
    async with serve() as ledger:
        user = await new_user(ledger, claim)
        group = linked(hold(user, order, "10"), fee(user, "991"), release(user, order))
        beside = fee(user, "1")
        expected = ["LINKED_FAILED", "INSUFFICIENT_FUNDS", "LINKED_FAILED"]
        assert await outcomes(ledger, claim, *group, beside) == [*expected, "APPLIED"]
        assert await outcomes(ledger, claim, *group) == [f"{name}*" for name in expected]
        assert await balances(ledger, user) == {"USDT": ("999", "0"), "BTC": ("0", "0")}

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


async def test_a_fill_opens_the_missing_account_unless_somebody_else_is_at_it(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """The first purchase of an asset needs no account made before; an EnsureAccounts under way is
    waited for, and its account is used.
    """
    claim, first, second = await claim_shard(0), uuid4(), uuid4()
    async with serve() as ledger:
        user = await new_user(ledger, claim, assets=(USDT,))
        other = await new_user(ledger, claim, assets=(USDT,))
        fill = buy(user, first, "10", "0.1")
        assert await outcomes(ledger, claim, hold(user, first, "10"), fill) == ["APPLIED"] * 2
        await outcomes(ledger, claim, hold(other, second, "10"))
        owner = await asyncpg.connect(database.owner_url)
        async with owner.transaction():
            await owner.execute(
                "INSERT INTO ledger.accounts (account_id, user_id, asset_id, kind)"
                " VALUES (gen_random_uuid(), $1, 'paper:BTC', 'spot')",
                other,
            )
            filling = asyncio.create_task(outcomes(ledger, claim, buy(other, second, "10", "0.1")))
            await asyncio.sleep(0.2)
            assert not filling.done()
        assert await filling == ["APPLIED"]
        await owner.close()
        for who in (user, other):
            assert await balances(ledger, who) == {"USDT": ("990", "0"), "BTC": ("0.1", "0")}

    await assert_balanced(database)


async def test_an_expired_hold_is_given_back_when_it_is_touched(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """By whoever comes first; the money can be spent at once, the order cannot be filled."""
    claim, order = await claim_shard(0), uuid4()
    async with serve() as ledger:
        user = await new_user(ledger, claim)
        held = hold(user, order, "1000", expires_at=later())
        assert await outcomes(ledger, claim, held) == ["APPLIED"]
        assert await outcomes(ledger, claim, fee(user, "1")) == ["INSUFFICIENT_FUNDS"]
        await expire(database)
        assert await outcomes(
            ledger, claim, buy(user, order, "1000", "1"), fee(user, "1"), release(user, order), held
        ) == ["EXPIRED", "APPLIED", "EXPIRED", "APPLIED*"]
        assert await balances(ledger, user) == {"USDT": ("999", "0"), "BTC": ("0", "0")}

    assert await rows(database, "SELECT state FROM ledger.transfers WHERE operation = 'hold'") == [
        ("expired",)
    ]
    await assert_balanced(database)


async def test_users_and_accounts_that_are_not_there_are_not_found(
    serve: Serve, claim_shard: ClaimShard
) -> None:
    """An asset nobody registered included."""
    claim, order = await claim_shard(0), uuid4()
    async with serve() as ledger:
        user = await new_user(ledger, claim)
        assert (
            await outcomes(
                ledger,
                claim,
                fee(uuid4(), "1"),
                fee(user, "1", asset_id=ETH),
                faucet(user, "1", asset_id="paper:NOBODY"),
                release(user, order),
                hold(user, order, "1", asset_id="evm:1:native"),
            )
            == ["NOT_FOUND"] * 5
        )


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
    async with pool_of(database) as pool:
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
    async with pool_of(database) as pool:
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


async def test_the_books_are_asked_by_key_however_they_grew(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """A plan made on empty tables must not read them whole for ever: no sequential scans."""
    claim = await claim_shard(0)
    async with serve() as ledger:
        user = await new_user(ledger, claim)
        for _ in range(10):
            order = uuid4()
            await outcomes(ledger, claim, hold(user, order, "1"), buy(user, order, "1", "0.1"))

    # A session tells its figures when it ends, which may be a moment after its client has gone.
    async with asyncio.timeout(10):
        while await rows(database, _SESSIONS):  # noqa: ASYNC110  # another program's sessions
            await asyncio.sleep(0.05)
    assert await rows(database, f"{_SCANS} AND relname = 'transfers' AND idx_scan > 0") != []
    assert await rows(database, f"{_SCANS} AND seq_scan > 0") == []


_SESSIONS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    " AND usename = 'purser_ledger'"
)
_SCANS = (
    "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE schemaname = 'ledger'"
    " AND relname IN ('idempotency_keys', 'transfers', 'accounts', 'trades', 'positions')"
)


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
