"""The race the fence is for, stepped by hand on two real connections, in both orders.

A worker checks its claim and writes; between the two another run claims the shard. A write is stale
when it commits after that claim. The same steps are walked with three ways of checking: the
schema's function, and the two mistakes it avoids. If the mistakes were not caught, the steps would
prove nothing about the function.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

import asyncpg
import pytest

POOL = "default.main"
STALE_EPOCH = "PF001"
WRITE = "INSERT INTO public.effects (shard, epoch, note) VALUES (0, $1, 'write')"


class Check(Protocol):
    """A way of checking before writing, in an open transaction; both raise or return whether."""

    async def check(self, connection: Any, epoch: int) -> bool:
        """Before the write."""

    async def write(self, connection: Any, epoch: int) -> bool:
        """The write, or whether it was one."""


class Fenced:
    """`placement.fence`, then the write."""

    async def check(self, connection: Any, epoch: int) -> bool:
        """The lock, then the epoch in a statement of its own."""
        try:
            await connection.execute("SELECT placement.fence($1, 0, $2)", POOL, epoch)
        except asyncpg.PostgresError as refused:
            if refused.sqlstate != STALE_EPOCH:
                raise
            return False
        return True

    async def write(self, connection: Any, epoch: int) -> bool:
        """Nothing more to ask."""
        await connection.execute(WRITE, epoch)
        return True


class WithoutLock:
    """A mistake: the epoch is read in a statement of its own, but nothing keeps it."""

    async def check(self, connection: Any, epoch: int) -> bool:
        """True a moment ago."""
        return bool(
            await connection.fetchval(
                "SELECT epoch = $2 FROM placement.shards WHERE pool = $1 AND shard = 0",
                POOL,
                epoch,
            )
        )

    async def write(self, connection: Any, epoch: int) -> bool:
        """The moment is over."""
        await connection.execute(WRITE, epoch)
        return True


class InsideTheWrite:
    """A mistake: lock and epoch in the write's own statement, whose snapshot is from before the
    wait."""

    async def check(self, connection: Any, epoch: int) -> bool:
        """All is left to the write."""
        return True

    async def write(self, connection: Any, epoch: int) -> bool:
        """Waits for the lock, then compares what it saw before it waited."""
        done = await connection.execute(
            "WITH locked AS MATERIALIZED ("
            "  SELECT pg_advisory_xact_lock_shared(hashtextextended($1 || '/0', 5927))"
            ") INSERT INTO public.effects (shard, epoch, note) SELECT 0, $2, 'write' FROM locked"
            "  WHERE EXISTS (SELECT FROM placement.shards"
            "                WHERE pool = $1 AND shard = 0 AND epoch = $2)",
            POOL,
            epoch,
        )
        return bool(done == "INSERT 0 1")


@dataclass
class Race:
    """A shard owned under epoch 1, whose owner's run is over, and a run that may claim it."""

    stage: Any
    store: Any
    claimant: Any


@pytest.fixture
async def race(stage: Any) -> Race:
    """The actors, before the first step."""
    await stage.make_shards(1)
    first = await stage.run_of("w-0")
    await stage.desire(0, "w-0")
    assert await first.claim(0) == 1
    # The same worker registers anew: its older run, still writing, no longer owns anything.
    claimant = await stage.run_of("w-0")
    # As the owner, who may read what a mistaken check reads; the function asks for no right.
    store = await stage.connect()
    return Race(stage, store, claimant)


async def waits_for_a_lock(stage: Any, connection: Any) -> bool:
    """Whether this connection waits for another one's advisory lock now."""
    return bool(
        await stage.owner.fetchval(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)",
            connection.get_server_pid(),
        )
    )


async def until_done_or_waiting(stage: Any, connection: Any, task: "asyncio.Task[Any]") -> None:
    """Let the task go as far as it can by itself."""
    async with asyncio.timeout(10):
        while not (task.done() or await waits_for_a_lock(stage, connection)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def accepts_stale_write_when_the_claim_comes_between(race: Race, way: Check) -> bool:
    """Check; claim; write. Whether the write committed after the claim had."""
    transaction = race.store.transaction()
    await transaction.start()
    allowed = await way.check(race.store, 1)
    claim = asyncio.create_task(race.claimant.claim(0))
    await until_done_or_waiting(race.stage, race.claimant.connection, claim)
    claimed_first = claim.done()
    written = allowed and await way.write(race.store, 1)
    await transaction.commit()
    assert await claim == 2
    return bool(claimed_first and written)


async def accepts_stale_write_that_waited_for_the_claim(race: Race, way: Check) -> bool:
    """Claim, not committed; check and write wait for it; commit. Whether the write went through."""
    claiming = race.claimant.connection.transaction()
    await claiming.start()
    assert await race.claimant.claim(0) == 2

    async def check_and_write() -> bool:
        async with race.store.transaction():
            return await way.check(race.store, 1) and await way.write(race.store, 1)

    writing = asyncio.create_task(check_and_write())
    await until_done_or_waiting(race.stage, race.store, writing)
    written_before = writing.done()
    await claiming.commit()
    return await writing and not written_before


async def test_a_claim_between_check_and_write_waits_for_the_write(race: Race) -> None:
    """The write is not stale: it commits first. The next one under that epoch is refused."""
    assert not await accepts_stale_write_when_the_claim_comes_between(race, Fenced())

    assert [row["epoch"] for row in await race.store.fetch("SELECT epoch FROM effects")] == [1]
    assert not await Fenced().check(race.store, 1)
    assert await Fenced().check(race.store, 2)


async def test_a_write_that_waited_for_a_claim_is_refused(race: Race) -> None:
    """It sees the epoch as it is after its wait, not as it was before."""
    assert not await accepts_stale_write_that_waited_for_the_claim(race, Fenced())

    assert await race.store.fetchval("SELECT count(*) FROM effects") == 0


async def test_these_steps_catch_a_check_without_the_lock(race: Race) -> None:
    """The mistake lets the stale write through, so the steps above can see one."""
    assert await accepts_stale_write_when_the_claim_comes_between(race, WithoutLock())


async def test_these_steps_catch_a_check_inside_the_write(race: Race) -> None:
    """Lock and all: a statement's snapshot is from before its wait."""
    assert await accepts_stale_write_that_waited_for_the_claim(race, InsideTheWrite())


async def test_a_batch_is_fenced_as_one_by_one(race: Race) -> None:
    """One answer per claim, in order; what is answered true stays so until the end."""
    await race.stage.make_shards(3)
    other = await race.stage.run_of("w-1")
    await race.stage.backdate(1, 10)
    assert await other.claim(1) == 1

    transaction = race.store.transaction()
    await transaction.start()
    answers = await race.store.fetchval(
        "SELECT placement.fence_batch($1, $2, $3)", [POOL] * 4, [0, 1, 1, 2], [1, 2, 1, 0]
    )
    claim = asyncio.create_task(race.claimant.claim(0))
    await until_done_or_waiting(race.stage, race.claimant.connection, claim)

    assert answers == [True, False, True, False]
    assert not claim.done()
    await transaction.commit()
    assert await claim == 2


async def test_a_write_without_an_epoch_is_refused_even_for_a_shard_that_is_not_there(
    race: Race,
) -> None:
    """NULL equals nothing, not even the epoch of nothing."""
    for shard, epoch in ((0, None), (99, None), (99, 1), (0, 0)):
        with pytest.raises(asyncpg.PostgresError) as refused:
            await race.store.execute("SELECT placement.fence($1, $2, $3)", POOL, shard, epoch)
        assert refused.value.sqlstate == STALE_EPOCH


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_fence_and_claim_insist_on_read_committed(race: Race, isolation: Any) -> None:
    """Under an older snapshot both would judge by what is no longer so."""
    for connection, call in (
        (race.store, "fence('default.main', 0, 1)"),
        (race.store, "fence_batch('{default.main}', '{0}', '{1}')"),
        (race.claimant.connection, f"claim_shard('default.main', 0, 'w', '{'0' * 32}', 3)"),
    ):
        with pytest.raises(asyncpg.PostgresError) as refused:
            async with connection.transaction(isolation=isolation):
                await connection.execute(f"SELECT placement.{call}")
        assert refused.value.sqlstate == "PF002"
