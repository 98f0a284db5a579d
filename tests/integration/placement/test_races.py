"""Transitions that meet: stepped by hand on two real connections under READ COMMITTED.

The fence's own race is in `test_fence`; here are the others: a release and a claim, a heartbeat and
a claim, an assignment and a claim, two claims, and runs of one name.
"""

import asyncio
import uuid
from typing import Any

import asyncpg
import pytest
from tests.integration.placement.test_fence import until_done_or_waiting

from chassis.postgres import PostgresSettings, open_pool
from chassis.settings import Secret
from devbox.database import Database
from user_worker.errors import NameTaken
from user_worker.postgres import PostgresPlacement

POOL = "default.main"
SHORT_LEASE_SECONDS = 0.3


async def owned_by(stage: Any, name: str) -> Any:
    """A run that owns shard 0 under epoch 1."""
    await stage.make_shards(1)
    await stage.desire(0, name)
    run = await stage.run_of(name)
    assert await run.claim(0) == 1
    return run


async def test_a_claim_beside_a_release_finds_the_shard_owned_or_free_never_between(
    stage: Any,
) -> None:
    """The release is not committed: the claim does not wait, it finds the owner; afterwards it
    has the next epoch. Its waking is the release's notification, which comes with the commit.
    """
    old = await owned_by(stage, "w-0")
    await stage.desire(0, "w-1")
    new = await stage.run_of("w-1")
    releasing = old.connection.transaction()
    await releasing.start()
    assert await old.release(0, 1)

    assert await asyncio.wait_for(new.claim(0), 5) is None
    await releasing.commit()
    assert await new.claim(0) == 2


async def test_a_release_that_met_a_newer_claim_frees_nothing(stage: Any) -> None:
    """The lease was over and another worker has it; the late release waits, then does nothing."""
    old = await owned_by(stage, "w-0")
    await stage.desire(0, "w-1")
    new = await stage.run_of("w-1")
    await old.register(SHORT_LEASE_SECONDS)
    await asyncio.sleep(SHORT_LEASE_SECONDS + 0.05)
    claiming = new.connection.transaction()
    await claiming.start()
    assert await new.claim(0) == 2

    release = asyncio.create_task(old.release(0, 1))
    await until_done_or_waiting(stage, old.connection, release)
    assert not release.done()
    await claiming.commit()

    assert not await release
    assert ("w-1", 2) == tuple(
        await stage.owner.fetchrow("SELECT owner, epoch FROM placement.shards")
    )


async def test_a_heartbeat_committed_after_the_lease_saves_nothing_once_claimed(
    stage: Any,
) -> None:
    """The row was extended in time, but nobody saw it: the epoch decides, not the lease."""
    old = await owned_by(stage, "w-0")
    await old.heartbeat(SHORT_LEASE_SECONDS)
    await stage.desire(0, "w-1")
    new = await stage.run_of("w-1")
    beating = old.connection.transaction()
    await beating.start()
    assert await old.heartbeat()
    await asyncio.sleep(SHORT_LEASE_SECONDS + 0.05)

    assert await asyncio.wait_for(new.claim(0), 5) == 2
    await beating.commit()

    store = await stage.connect("purser_ledger")
    with pytest.raises(asyncpg.PostgresError) as refused:
        await store.execute("SELECT placement.fence($1, 0, 1)", POOL)
    assert refused.value.sqlstate == "PF001"


async def test_of_two_claims_at_once_one_is_made(stage: Any) -> None:
    """The second waits for the first and then finds a living owner."""
    await stage.make_shards(1)
    await stage.backdate(0, 10)
    first, second = await stage.run_of("w-0"), await stage.run_of("w-1")
    claiming = first.connection.transaction()
    await claiming.start()
    assert await first.claim(0) == 1
    claim = asyncio.create_task(second.claim(0))
    await until_done_or_waiting(stage, second.connection, claim)
    assert not claim.done()
    await claiming.commit()

    assert await claim is None


async def test_a_claim_that_waited_for_an_assignment_obeys_it(stage: Any) -> None:
    """Assigned elsewhere while it waited for the row: the shard is not this worker's any more."""
    await stage.make_shards(1)
    await stage.desire(0, "w-0")
    run = await stage.run_of("w-0")
    operator = await stage.connect("purser_operator")
    assigning = operator.transaction()
    await assigning.start()
    assert await operator.fetchval("SELECT placement.assign_shard($1, 0, 'w-0', 'w-1')", POOL)
    claim = asyncio.create_task(run.claim(0))
    await until_done_or_waiting(stage, run.connection, claim)
    assert not claim.done()
    await assigning.commit()

    assert await claim is None


async def test_a_restarted_worker_finds_its_shards_where_they_were(stage: Any) -> None:
    """They are nobody's orphans until it has had its time; it has them back at once."""
    await owned_by(stage, "w-0")
    stranger = await stage.run_of("w-1")
    again = await stage.run_of("w-0")

    assert await stranger.claim(0) is None
    assert await again.claim(0) == 2

    youngest = await stage.run_of("w-0")
    await asyncio.sleep(0.1)
    assert await stranger.claim(0, orphan_seconds=0.05) == 3
    assert await youngest.claim(0) is None


async def test_of_two_processes_with_one_name_the_younger_stays(
    stage: Any, database: Database
) -> None:
    """The older one thaws, finds itself replaced, and waits: else each would end the other's run
    again and again, and every second all their shards would be dropped.
    """
    await stage.make_shards(1)
    settings = PostgresSettings(database_url=Secret(database.url("purser_worker")))
    pool = await open_pool(settings, "test")
    try:
        older = PostgresPlacement(pool, POOL, 40, 20)
        younger = PostgresPlacement(pool, POOL, 40, 20)
        first, second, third = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
        await older.register("w-0", first, 10)
        await younger.register("w-0", second, SHORT_LEASE_SECONDS)
        assert not await older.heartbeat("w-0", first, 10)

        with pytest.raises(NameTaken):
            await older.register("w-0", third, 10)
        assert await younger.heartbeat("w-0", second, SHORT_LEASE_SECONDS)
        await asyncio.sleep(SHORT_LEASE_SECONDS + 0.05)
        await older.register("w-0", third, 10)
        assert await older.heartbeat("w-0", third, 10)
    finally:
        await pool.close()


async def test_a_worker_registers_anew_over_its_own_former_run(
    stage: Any, database: Database
) -> None:
    """Its lease was refused or counted as over here; in the database it may still be ahead."""
    settings = PostgresSettings(database_url=Secret(database.url("purser_worker")))
    pool = await open_pool(settings, "test")
    try:
        placement = PostgresPlacement(pool, POOL, 40, 20)
        former, present = uuid.uuid4(), uuid.uuid4()
        await placement.register("w-0", former, 10)
        await placement.register("w-0", present, 10)
        assert not await placement.heartbeat("w-0", former, 10)
        assert await placement.heartbeat("w-0", present, 10)
    finally:
        await pool.close()
