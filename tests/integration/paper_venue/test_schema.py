"""The venue's tables keep their promises whoever asks, and its role reaches nothing else."""

import json
from uuid import uuid4

import asyncpg
import pytest
from tests.integration.paper_venue.conftest import Connection, Serve, buy, submit
from tests.integration.stores import ClaimShard, rows

from devbox.database import Database
from pricing.paper_venue.domain import read_instruments
from pricing.settings import Settings

FORBIDDEN = (
    "UPDATE venue.orders SET state = 'tombstoned'",
    "DELETE FROM venue.orders",
    "UPDATE venue.users SET shard = 1",
    "DELETE FROM venue.users",
    "TRUNCATE venue.orders",
    "CREATE TABLE venue.mine ()",
    "SELECT * FROM pricing.candles",
    "SELECT * FROM ledger.accounts",
    "SELECT * FROM wallet.wallets",
    "SELECT * FROM placement.shards",
    "SELECT placement.claim_shard('p.p', 0, 'w', gen_random_uuid(), 3)",
)


async def test_the_venues_role_can_do_no_more_than_it_must(database: Database) -> None:
    """It adds outcomes and asks the fence; a stopped venue cannot block a takeover."""
    connection = await asyncpg.connect(database.url("purser_venue"))
    try:
        for statement in FORBIDDEN:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        assert await connection.fetchval("SHOW transaction_timeout") == "1s"
    finally:
        await connection.close()


async def test_pricings_role_does_not_reach_the_venue(database: Database) -> None:
    """Two roles in one process, neither of them the other."""
    connection = await asyncpg.connect(database.url("purser_pricing"))
    try:
        for statement in ("SELECT * FROM venue.orders", "SELECT * FROM venue.users"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE venue.orders SET received = received + 1",
        "DELETE FROM venue.orders",
        "UPDATE venue.users SET shard = 1",
        "DELETE FROM venue.users",
    ],
)
async def test_what_was_kept_never_changes(
    statement: str, serve: Serve, claim_shard: ClaimShard, owner: Connection
) -> None:
    """Not even for the owner of the database."""
    async with serve() as venue:
        await submit(venue, buy(await claim_shard(0)))
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute(statement)


@pytest.mark.parametrize(
    "change",
    [
        {"spent": "100.000001"},
        {"spent": "0"},
        {"received": "0.0018"},
        {"fee": "0.001999"},
        {"fee": None},
        {"receive_max": "0.0019"},
        {"state": "refused"},
        {"state": "tombstoned"},
        {"refusal": "slippage"},
        {"quote_price": None},
        {"quote_price": "NaN"},
        {"shard": 1},
        {"user_id": "00000000-0000-0000-0000-000000000001"},
    ],
)
async def test_a_fill_that_makes_no_sense_is_refused_by_the_database(
    change: dict[str, object], serve: Serve, claim_shard: ClaimShard, owner: Connection
) -> None:
    """More spent than the order had, less received than it asked for, half a state, a user of
    another shard."""
    async with serve() as venue:
        await submit(venue, buy(await claim_shard(0)))
    copy = (
        "INSERT INTO venue.orders SELECT (jsonb_populate_record(kept, $1::jsonb)).*"
        " FROM venue.orders AS kept"
    )
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await owner.execute(copy, json.dumps({"order_id": str(uuid4())} | change))

    await owner.execute(copy, json.dumps({"order_id": str(uuid4())}))


async def test_the_venues_assets_are_those_of_the_registry(
    database: Database, settings: Settings
) -> None:
    """The ledger is the authority; the venue, which never calls it, says the same ids and decimals
    for each symbol that the simulated market quotes."""
    registered = "SELECT asset_id, decimals FROM ledger.assets WHERE asset_id ~ '^paper:'"
    registry = {(asset_id, decimals) for asset_id, decimals in await rows(database, registered)}
    venue = settings.venue
    instruments = read_instruments(
        venue.venue_instruments, settings.quote_currency, venue.venue_currency_decimals
    )
    assets = [asset for i in instruments.values() for asset in (i.base, i.currency)]

    assert registry == {(asset.asset_id, asset.decimals) for asset in assets}
    assert {line.partition(":")[0] for line in settings.simulation_instruments} == set(instruments)
