"""What time does to the books."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from uuid import uuid4

import asyncpg
import pytest
from tests.integration.books import assert_balanced
from tests.integration.ledger.conftest import Serve
from tests.integration.ledger.operations import (
    BTC,
    USDT,
    balances,
    buy,
    expire,
    fee,
    hold,
    later,
    new_user,
    outcomes,
)
from tests.integration.stores import ClaimShard, pool_of, rows

from chassis.postgres import Pool
from devbox.database import Database
from kernel.money import AssetId
from ledger.postgres import Housekeeping
from ledger.postgres.housekeeping import SAFE_SECONDS, SWEEP_HOLDS_MAX

SOON = 0.2


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    """Connections as the ledger's role."""
    async with pool_of(database, "purser_ledger") as pool:
        yield pool


async def test_the_sweep_gives_expired_holds_back_and_leaves_the_others(
    serve: Serve, claim_shard: ClaimShard, database: Database, pool: Pool
) -> None:
    """With no claim: also when the shard has no owner. A hold without a time stays for ever."""
    claim, lasting = await claim_shard(0), uuid4()
    async with serve() as ledger:
        user = await new_user(ledger, claim)
        holds = [hold(user, uuid4(), "10", expires_at=later()) for _ in range(5)]
        assert set(await outcomes(ledger, claim, hold(user, lasting, "7"), *holds)) == {"APPLIED"}
        housekeeping = Housekeeping(pool)
        assert await housekeeping.expire_holds() == 0
        await expire(database)
        assert await housekeeping.expire_holds() == 5
        assert await housekeeping.expire_holds() == 0
        assert await balances(ledger, user) == {"USDT": ("1000", "7"), "BTC": ("0", "0")}

    await assert_balanced(database)


async def test_a_step_of_the_sweep_is_bounded(
    serve: Serve, claim_shard: ClaimShard, database: Database, pool: Pool
) -> None:
    """However many holds are over: the rest is the next step's."""
    claim, many = await claim_shard(0), SWEEP_HOLDS_MAX + 50
    async with serve() as ledger:
        user = await new_user(ledger, claim)
        for first in range(0, many, 50):
            at = later()
            some = [hold(user, uuid4(), "1", expires_at=at) for _ in range(min(50, many - first))]
            assert set(await outcomes(ledger, claim, *some)) == {"APPLIED"}
    await expire(database)
    housekeeping = Housekeeping(pool)

    assert [await housekeeping.expire_holds() for _ in range(3)] == [SWEEP_HOLDS_MAX, 50, 0]
    await assert_balanced(database)


async def test_sweeps_and_callers_race_and_each_hold_ends_once(
    serve: Serve, claim_shard: ClaimShard, database: Database, pool: Pool
) -> None:
    """Two sweeps and a caller who fills, at the moment the holds expire."""
    claim = await claim_shard(0)
    async with serve() as ledger:
        user = await new_user(ledger, claim)
        orders = [uuid4() for _ in range(40)]
        at = later()
        await outcomes(ledger, claim, *(hold(user, o, "10", expires_at=at) for o in orders))
        await expire(database, in_seconds=SOON)
        housekeeping = Housekeeping(pool)
        sweeps = [asyncio.create_task(_sweep(housekeeping)) for _ in range(2)]
        await asyncio.sleep(SOON - 0.1)
        filled = [await outcomes(ledger, claim, buy(user, o, "10", "0.1")) for o in orders]
        expired = sum(await asyncio.gather(*sweeps))
        lazily = len(orders) - expired - filled.count(["APPLIED"])
        assert lazily >= 0

    assert filled.count(["APPLIED"]) + filled.count(["EXPIRED"]) == len(orders)
    assert await rows(
        database, "SELECT count(*) FROM ledger.transfers WHERE state IN ('posted', 'expired')"
        " AND operation = 'hold'",
    ) == [(40,)]  # fmt: skip
    await assert_balanced(database)


async def _sweep(housekeeping: Housekeeping) -> int:
    expired = 0
    for _ in range(30):
        expired += await housekeeping.expire_holds()
        await asyncio.sleep(0.02)
    return expired


async def test_a_serving_ledger_sweeps_by_itself(
    serve: Serve, claim_shard: ClaimShard, database: Database
) -> None:
    """At its start, and then again and again."""
    claim = await claim_shard(0)
    async with serve() as ledger:
        user = await new_user(ledger, claim)
        held = hold(user, uuid4(), "10", expires_at=later())
        assert await outcomes(ledger, claim, held) == ["APPLIED"]
    await expire(database)
    async with serve() as ledger, asyncio.timeout(10):
        while (await balances(ledger, user))["USDT"] != ("1000", "0"):  # noqa: ASYNC110 (the
            await asyncio.sleep(0.02)  # ledger's own task has no event for us)

    await assert_balanced(database)


async def test_a_system_accounts_balance_is_its_roll_up_and_later_entries(
    serve: Serve, claim_shard: ClaimShard, database: Database, pool: Pool
) -> None:
    """The same before, between and after roll-ups; all of them sum to zero with the users'."""
    claim = await claim_shard(0)
    housekeeping = Housekeeping(pool, safe_seconds=0)
    async with serve() as ledger:
        user = await new_user(ledger, claim)
        assert await _system(housekeeping) == {"faucet": -1000, "venue": 0, "fees": 0}
        assert await housekeeping.roll_up() is not None
        assert await housekeeping.roll_up() is None
        order = uuid4()
        await outcomes(ledger, claim, hold(user, order, "100"), buy(user, order, "90", "2", "0.5"))
        await outcomes(ledger, claim, fee(user, "3"))
        expected = {"faucet": -1000, "venue": 90, "fees": 3}
        assert await _system(housekeeping) == expected
        rolled_up = await housekeeping.roll_up()
        assert rolled_up is not None
        assert not rolled_up.is_full
        assert await _system(housekeeping) == expected
        assert await _system(housekeeping, BTC) == {
            "faucet": 0, "venue": -2, "fees": Decimal("0.5"),
        }  # fmt: skip
        shown = await balances(ledger, user)
        assert Decimal(shown["USDT"][0]) + sum((await _system(housekeeping)).values()) == 0

    kept = "SELECT system, asset_id, trim_scale(balance) FROM ledger.system_rollups ORDER BY 1, 2"
    assert await rows(database, kept) == [
        ("faucet", USDT, -1000),
        ("fees", BTC, Decimal("0.5")),
        ("fees", USDT, 3),
        ("venue", BTC, -2),
        ("venue", USDT, 90),
    ]
    assert await rows(
        database, "SELECT count(DISTINCT rolled_up_to) FROM ledger.system_rollups"
    ) == [(1,)]
    await assert_balanced(database)


async def _system(housekeeping: Housekeeping, asset_id: str = USDT) -> dict[str, Decimal]:
    return {
        system: await housekeeping.system_balance(system, AssetId(asset_id))
        for system in ("faucet", "venue", "fees")
    }


async def test_what_is_recent_is_not_rolled_up_yet(
    serve: Serve, claim_shard: ClaimShard, pool: Pool
) -> None:
    """A transfer gets its time before it is visible: the roll-up must not run past it."""
    claim = await claim_shard(0)
    async with serve() as ledger:
        await new_user(ledger, claim)

    assert await Housekeeping(pool).roll_up() is None
    assert await Housekeeping(pool, safe_seconds=0).roll_up() is not None


async def test_the_roll_ups_distance_is_far_above_what_a_transaction_may_last(
    database: Database,
) -> None:
    """Both are configured; together they make the roll-up right."""
    connection = await asyncpg.connect(database.url("purser_ledger"))
    timeout = await connection.fetchval("SHOW transaction_timeout")
    await connection.close()

    assert timeout == "1s"
    assert SAFE_SECONDS >= 10


async def test_two_ledgers_roll_up_every_entry_once(
    serve: Serve, claim_shard: ClaimShard, database: Database, pool: Pool
) -> None:
    """At the same moment: one works, the other leaves it."""
    claim = await claim_shard(0)
    housekeeping = Housekeeping(pool, safe_seconds=0)
    async with serve() as ledger:
        user = await new_user(ledger, claim)
        for _ in range(10):
            await outcomes(ledger, claim, fee(user, "1"))
            await asyncio.gather(*(housekeeping.roll_up() for _ in range(4)))

    assert await _system(housekeeping) == {"faucet": -1000, "venue": 0, "fees": 10}
    await assert_balanced(database)
