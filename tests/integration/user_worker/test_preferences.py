"""Choices in a real database: kept under a claim, erased on wish, with what is not theirs kept."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest
from tests.integration.stores import ClaimShard, make_claims, pool_of

from chassis.postgres import Pool
from devbox.database import Database
from user_worker.errors import ClaimLost
from user_worker.postgres import PostgresPreferences

ANN, BEN = UUID(int=1), UUID(int=2)


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Pool]:
    """The worker's pool, under its role."""
    async with pool_of(database, "purser_worker") as pool:
        yield pool


@pytest.fixture
def claim_shard(database: Database) -> ClaimShard:
    """Claim shards as a worker would; each claim is newer."""
    return make_claims(database)


async def test_each_choice_is_kept_apart_from_the_other(
    store: Pool, claim_shard: ClaimShard
) -> None:
    """None before it is made; the later one counts."""
    preferences, claim = PostgresPreferences(store), await claim_shard(0)
    assert await preferences.language(ANN) is None
    assert await preferences.slippage_basis_points(ANN) is None
    await preferences.choose_slippage(claim, ANN, 50)
    assert await preferences.language(ANN) is None
    await preferences.choose_language(claim, ANN, "de")
    await preferences.choose_slippage(claim, ANN, 300)

    assert "de" == await preferences.language(ANN)
    assert 300 == await preferences.slippage_basis_points(ANN)
    assert await preferences.slippage_basis_points(BEN) is None


async def test_a_stale_claim_chooses_and_erases_nothing(
    store: Pool, claim_shard: ClaimShard
) -> None:
    """Whatever the newer owner wrote stays."""
    preferences, stale = PostgresPreferences(store), await claim_shard(0)
    await preferences.choose_slippage(await claim_shard(0), ANN, 50)
    for write in (
        preferences.choose_language(stale, ANN, "de"),
        preferences.choose_slippage(stale, ANN, 300),
        preferences.forget(stale, ANN),
    ):
        with pytest.raises(ClaimLost):
            await write

    assert 50 == await preferences.slippage_basis_points(ANN)
    assert await preferences.language(ANN) is None


async def test_forgetting_erases_choices_and_drafts_that_became_no_order(
    database: Database, store: Pool, claim_shard: ClaimShard
) -> None:
    """What was confirmed is what a receipt is made of, and stays; so does all of others. Again
    does no harm.
    """
    preferences, claim = PostgresPreferences(store), await claim_shard(0)
    for user_id in (ANN, BEN):
        await preferences.choose_language(claim, user_id, "de")
    connection = await asyncpg.connect(database.owner_url)
    states = ("open", "confirmed", "cancelled", "expired")
    for user_id in (ANN, BEN):
        for number, state in enumerate(states):
            await _insert_draft(connection, user_id, number, state)
    await preferences.forget(claim, ANN)
    await preferences.forget(claim, ANN)
    rows = await connection.fetch("SELECT user_id, state FROM worker.drafts ORDER BY user_id")
    await connection.close()

    assert await preferences.language(ANN) is None
    assert "de" == await preferences.language(BEN)
    assert ["confirmed"] == [row["state"] for row in rows if row["user_id"] == ANN]
    assert sorted(states) == sorted(row["state"] for row in rows if row["user_id"] == BEN)


async def _insert_draft(
    connection: "asyncpg.Connection[asyncpg.Record]", user_id: UUID, number: int, state: str
) -> None:
    values = {
        "draft_id": uuid4(),
        "job_id": uuid4(),
        "user_id": user_id,
        "pool": "default.main",
        "shard": 0,
        "receipt": f"0000-000{number}",
        "side": "buy",
        "symbol": "BTC",
        "size_kind": "money",
        "size_value": Decimal(100),
        "spend_asset_id": "paper:USDT",
        "spend_symbol": "USDT",
        "spend": Decimal(100),
        "receive_asset_id": "paper:BTC",
        "receive_symbol": "BTC",
        "receive": Decimal("0.001"),
        "fee": Decimal("0.000001"),
        "receive_min": Decimal("0.00099"),
        "price": Decimal(100_000),
        "slippage_basis_points": 100,
        "is_simulated": True,
        "expires_at": datetime(2026, 11, 26, tzinfo=UTC),
        "state": state,
    }
    places = ", ".join(f"${place}" for place in range(1, len(values) + 1))
    await connection.execute(
        f"INSERT INTO worker.drafts ({', '.join(values)}) VALUES ({places})",  # noqa: S608
        *values.values(),
    )
