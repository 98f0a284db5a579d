"""Typed operations over gRPC against a real PostgreSQL."""

import asyncio
from typing import Any
from uuid import uuid4

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
    as_owner,
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
from devbox.database import Database

MANY = 30


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
