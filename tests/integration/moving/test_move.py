"""One move: what goes, what stays, who may do it, and what a move that fails changes: nothing."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from tests.integration.moving.household import (
    AWAY,
    FAST,
    HOME,
    KEYS,
    MAIN,
    OTHER,
    ROOM,
    claim,
    move,
    settle,
    where,
)
from tests.integration.stores import pool_of

from chassis.errors import StaleClaim, TryAgain
from chassis.postgres import Pool, fence, transaction
from devbox.database import Database
from gateway.domain import ShardRoom
from gateway.errors import MoveOvertaken, RoomsDisagree
from gateway.postgres import Moves, UndoneJobs
from kernel.sharding import Claim, ShardKey
from user_worker.postgres import PostgresAttempts

Sql = Any
SERVICES = (
    *("purser_gateway", "purser_worker", "purser_pricing", "purser_venue", "purser_wallet"),
    *("purser_ledger", "purser_operator"),
)
FUNCTIONS = (
    "placement.lock_shards(ARRAY['default.main'], ARRAY[0])",
    "placement.revoke_shards(ARRAY['default.main'], ARRAY[0])",
    "gateway.lock_to_move('{}', 'default.main', 0, 'default.fast', 0, 50)",
    "gateway.move_users('{}', 'default.main', 0, 'default.fast', 0)",
    "worker.move_users('{}', 'default.main', 0, 'default.fast', 0)",
    "venue.move_users('{}', '{}', 'default.main', 0, 'default.fast', 0)",
    "ledger.move_users('{}', 'default.main', 0, 'default.fast', 0)",
    "wallet.move_users('{}', 'default.main', 0, 'default.fast', 0)",
)


async def test_everything_that_can_still_change_goes_and_history_stays(
    sql: Sql, mover: Pool
) -> None:
    """In every room, whatever state it is in; a neighbour's things stay."""
    household, neighbour = await settle(sql, 1), await settle(sql, 2)
    assert household.goes.keys() | household.stays.keys() == KEYS.keys()
    await move(mover, household.user_id)
    for table, ids in household.goes.items():
        assert {AWAY} == await where(sql, table, ids), table
    for table, ids in household.stays.items():
        assert {HOME} == await where(sql, table, ids), table
    for table, ids in (dict(neighbour.goes) | dict(neighbour.stays)).items():
        assert {HOME} == await where(sql, table, ids), table


async def test_no_table_that_names_a_shard_is_forgotten(sql: Sql) -> None:
    """A new one must be moved, or be named here with the reason why not."""
    rows = await sql.fetch(
        "SELECT table_schema || '.' || table_name AS name FROM information_schema.columns"
        " JOIN information_schema.tables USING (table_schema, table_name)"
        " WHERE column_name = 'shard' AND table_type = 'BASE TABLE'"
    )
    about_shards = {"placement.shards", "gateway.shards"}
    by_job = {"worker.attempts"}
    said_by_the_move = {"wallet.audit_log", "worker.moved_users"}
    others = about_shards | by_job | said_by_the_move
    assert {row["name"] for row in rows} == KEYS.keys() | others


async def test_money_and_keys_stay_as_they_are(sql: Sql, mover: Pool) -> None:
    """Only the shard changes, and the wallet's audit says so."""
    household = await settle(sql, 1)
    look = (
        "SELECT a.posted, a.held, w.address, w.wrapped_data_key, w.sealed_key, w.key_id"
        " FROM ledger.accounts a JOIN wallet.wallets w USING (user_id)"
    )
    before = await sql.fetch(look)
    await move(mover, household.user_id)
    assert before == await sql.fetch(look)
    audit = await sql.fetchrow("SELECT action, user_id, pool, shard, epoch FROM wallet.audit_log")
    assert ("user_moved", household.user_id, FAST, 0, 1) == tuple(audit)


async def test_undone_jobs_are_the_new_owners(sql: Sql, mover: Pool, database: Database) -> None:
    """Addressed to him, with all that was in them and their places; the old one is told of none."""
    household = await settle(sql, 1)
    await move(mover, household.user_id)
    there = Claim(FAST, 0, await claim(sql, AWAY))
    here = Claim(MAIN, 0, await claim(sql, HOME))
    async with pool_of(database, "purser_gateway") as gateway:
        undone = UndoneJobs(gateway, 1_000_000, b"key")
        told, none = await undone.fetch([there, here], 100, cursors=True)
        read = [await undone.read(there, UUID(job.job_id)) for job in told.jobs]
    for jobs in (told.jobs, read):
        assert [(FAST, 0, 3), (FAST, 0, 4)] == [(j.pool, j.shard, j.user_seq) for j in jobs]
        assert ["what was typed 3", "what was typed 4"] == [job.text.text for job in jobs]
    assert [(str(household.user_id), 3)] == [(c.user_id, c.next_user_seq) for c in told.cursors]
    assert ([], []) == (list(none.jobs), list(none.cursors))


async def test_whoever_moves_users_neither_reads_nor_writes_their_jobs(sql: Sql) -> None:
    """No function of any room that the role may call takes or gives a payload: who could write one
    could trade in a user's name.
    """
    rows = await sql.fetch(
        "SELECT p.oid::regprocedure::text AS function FROM pg_proc p"
        " WHERE p.pronamespace::regnamespace::text IN"
        " ('placement', 'gateway', 'worker', 'venue', 'ledger', 'wallet')"
        " AND has_function_privilege('purser_user_mover', p.oid, 'EXECUTE')"
        " AND coalesce(p.proallargtypes, p.proargtypes::oid[]) || p.prorettype"
        " && ARRAY['bytea'::regtype::oid, 'bytea[]'::regtype::oid]"
    )
    assert [] == [row["function"] for row in rows]


async def test_both_shards_are_taken_from_their_owners(
    sql: Sql, mover: Pool, database: Database
) -> None:
    """Whatever was claimed before is stale, in these two shards and in no other."""
    household = await settle(sql, 1)
    claims = {key: Claim(key.pool, key.shard, await claim(sql, key)) for key in (HOME, AWAY, OTHER)}
    await move(mover, household.user_id)
    async with pool_of(database, "purser_ledger") as ledger:
        for key in (HOME, AWAY):
            with pytest.raises(StaleClaim):
                async with transaction(ledger) as connection:
                    await fence(connection, claims[key])
        async with transaction(ledger) as connection:
            await fence(connection, claims[OTHER])
    rows = await sql.fetch("SELECT pool, shard, epoch, owner FROM placement.shards ORDER BY 1, 2")
    assert [(FAST, 0, 2, None), (MAIN, 0, 2, None), (MAIN, 1, 1, "worker-0")] == [
        tuple(row) for row in rows
    ]
    for key in (HOME, AWAY):
        assert await claim(sql, key) == 3


@pytest.mark.parametrize(
    ("desired", "is_alive", "next_desired"),
    [(None, True, "owner"), ("dead", True, "owner"), ("living", True, "living")],
)
async def test_a_shard_goes_on_with_a_worker_that_lives(
    desired: str | None, is_alive: bool, next_desired: str, sql: Sql, mover: Pool
) -> None:
    """The one it is wished for at, else the one it was taken from: it may claim at once."""
    household = await settle(sql, 1)
    await claim(sql, OTHER, "living")
    await claim(sql, HOME, "owner")
    await sql.execute("UPDATE placement.shards SET desired_owner = $1 WHERE shard = 0", desired)
    await move(mover, household.user_id)
    found = await sql.fetchval(
        "SELECT desired_owner FROM placement.shards WHERE pool = $1 AND shard = 0", MAIN
    )
    assert next_desired == found


async def test_the_directory_counts_who_is_where(sql: Sql, mover: Pool) -> None:
    """And tells the planner."""
    households = [await settle(sql, number) for number in (1, 2, 3)]
    await move(mover, households[0].user_id, households[2].user_id)
    for table in ("gateway.shards", "placement.shards"):
        rows = await sql.fetch(f"SELECT pool, shard, users FROM {table} WHERE shard = 0")  # noqa: S608
        assert {(MAIN, 0, 1), (FAST, 0, 2)} == {tuple(row) for row in rows}


async def test_a_user_who_is_gone_is_not_moved_again(sql: Sql, mover: Pool) -> None:
    """Nobody is moved from where they are not, and the others of the batch stay, too."""
    household, other = await settle(sql, 1), await settle(sql, 2)
    await move(mover, household.user_id)
    with pytest.raises(MoveOvertaken):
        await move(mover, household.user_id, other.user_id)
    assert {HOME} == await where(sql, "gateway.users", [other.user_id])


async def test_a_shard_is_never_overfilled(sql: Sql, mover: Pool) -> None:
    """Somebody may have come meanwhile."""
    households = [await settle(sql, number) for number in (1, 2)]
    with pytest.raises(MoveOvertaken):
        await move(mover, *(h.user_id for h in households), room=ShardRoom(AWAY, 2, 1))
    assert 0 == await sql.fetchval("SELECT users FROM gateway.shards WHERE pool = $1", FAST)


@pytest.mark.parametrize("table", ["ledger.users", "wallet.wallets", "venue.users"])
async def test_a_room_that_knows_better_stops_the_whole_move(
    table: str, sql: Sql, mover: Pool
) -> None:
    """Nothing is changed anywhere, and no shard is taken from its owner."""
    household = await settle(sql, 1)
    epoch = await claim(sql, HOME)
    async with sql.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(f"UPDATE {table} SET shard = 1")  # noqa: S608 (names of ours)
    with pytest.raises(RoomsDisagree):
        await move(mover, household.user_id)
    for name, ids in household.goes.items():
        assert {OTHER if name == table else HOME} == await where(sql, name, ids), name
    assert epoch == await sql.fetchval(
        "SELECT epoch FROM placement.shards WHERE pool = $1 AND shard = 0", MAIN
    )


@pytest.mark.parametrize("role", SERVICES)
async def test_no_service_can_move_anybody(role: str, sql: Sql, database: Database) -> None:
    """By none of the functions."""
    connection = await asyncpg.connect(database.url(role))
    for function in FUNCTIONS:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(f"SELECT {function}")
    await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE gateway.users SET shard = 1",
        "UPDATE ledger.users SET shard = 1",
        "UPDATE placement.shards SET epoch = 9",
        "SELECT payload FROM gateway.inbox",
        "SELECT display_name FROM gateway.users",
        "SELECT sealed_key FROM wallet.wallets",
        "SELECT posted FROM ledger.accounts",
        "DELETE FROM gateway.users",
        "SELECT placement.revoke_shards(ARRAY['default.main'], ARRAY[0])",
    ],
)
async def test_whoever_moves_users_can_do_no_more(
    statement: str, sql: Sql, database: Database
) -> None:
    """Not read what was typed, not touch money, not take a shard for nothing."""
    await settle(sql, 1)
    connection = await asyncpg.connect(database.url("purser_user_mover"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize(
    "table", ["ledger.users", "wallet.wallets", "venue.users", "gateway.users"]
)
async def test_nobody_is_moved_without_the_epochs(table: str, sql: Sql) -> None:
    """Not even by the owner of the database."""
    await settle(sql, 1)
    with pytest.raises(asyncpg.RestrictViolationError):
        await sql.execute(f"UPDATE {table} SET shard = 1")  # noqa: S608 (names of ours)


async def test_a_move_waits_for_writes_under_way_and_gives_up_soon(sql: Sql, mover: Pool) -> None:
    """Nothing is changed by one that gave up; it can be tried again at once."""
    household = await settle(sql, 1)
    epoch = await claim(sql, HOME)
    moves = Moves(mover)
    async with sql.acquire() as connection, connection.transaction():
        await connection.execute("SELECT placement.fence($1, $2, $3)", *_of(HOME), epoch)
        with pytest.raises(TryAgain) as raised:
            await moves.move([household.user_id], HOME, ROOM)
        assert not moves.took_too_long(raised.value)
    await moves.move([household.user_id], HOME, ROOM)
    assert {AWAY} == await where(sql, "ledger.users", [household.user_id])


async def test_a_write_that_waits_for_a_move_is_refused(sql: Sql, mover: Pool) -> None:
    """It was begun under an epoch that is over when it gets its turn."""
    household = await settle(sql, 1)
    epoch = await claim(sql, HOME)
    async with sql.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE wallet.audit_log IN EXCLUSIVE MODE")
        moving = asyncio.create_task(move(mover, household.user_id))
        await _until(sql, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        writing = asyncio.create_task(
            sql.execute("SELECT placement.fence($1, $2, $3)", *_of(HOME), epoch)
        )
        await _until(
            sql, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'advisory')"
        )
    await moving
    with pytest.raises(asyncpg.PostgresError, match="stale epoch"):
        await writing


async def test_what_a_move_interrupts_is_not_held_against_a_job(sql: Sql, mover: Pool) -> None:
    """Three moves in a row must not have a job set aside; what died before stays counted."""
    household = await settle(sql, 1)
    once, often = sorted(household.goes["gateway.inbox"])[:2]
    await sql.execute("INSERT INTO worker.attempts VALUES ($1, $2, $3, 1)", once, *_of(HOME))
    await sql.execute("INSERT INTO worker.attempts VALUES ($1, $2, $3, 3)", often, *_of(AWAY))
    await move(mover, household.user_id)
    rows = await sql.fetch("SELECT job_id, begun FROM worker.attempts")
    assert [(often, 2)] == [tuple(row) for row in rows]


async def test_a_count_of_tries_follows_its_job(sql: Sql, mover: Pool, database: Database) -> None:
    """A job that dies where its user is now is neither forgiven by moves of the shard it left, nor
    held to account for those of its own."""
    household, neighbour, newcomer = [await settle(sql, n) for n in (1, 2, 3)]
    job = min(household.goes["gateway.inbox"])
    await sql.execute("INSERT INTO worker.attempts VALUES ($1, $2, $3, 2)", job, *_of(HOME))
    await move(mover, household.user_id)
    there = Claim(FAST, 0, await claim(sql, AWAY))
    async with pool_of(database, "purser_worker") as worker:
        # Once before it moved, the one the move interrupted is forgiven; once there.
        assert 1 == await PostgresAttempts(worker).begin(there, job)

    await move(mover, neighbour.user_id, room=ShardRoom(OTHER, 50, 50))
    assert 2 == await sql.fetchval("SELECT begun FROM worker.attempts")
    await move(mover, newcomer.user_id)
    assert 1 == await sql.fetchval("SELECT begun FROM worker.attempts")


def _of(key: ShardKey) -> tuple[str, int]:
    return key.pool, key.shard


async def _until(sql: Sql, question: str) -> None:
    async with asyncio.timeout(5):
        while not await sql.fetchval(question):  # noqa: ASYNC110 (it is the server's business)
            await asyncio.sleep(0.01)
