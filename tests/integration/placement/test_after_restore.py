"""What a dump brings back of placement, and why `after-restore` comes before anybody serves."""

from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest

from chassis.errors import CannotStart
from chassis.settings import Secret
from shard_operator.restoring import doing
from shard_operator.restoring.postgres import EPOCH_STEP, fence_off

POOL = "default.main"
FENCE = "SELECT placement.fence($1, 0, $2)"


async def _let_time_pass(stage: Any) -> None:
    """A dump's leases are over by the time it is restored."""
    await stage.owner.execute(
        "UPDATE placement.workers SET lease_until = clock_timestamp() - interval '1 hour'"
    )


async def _restored(stage: Any) -> None:
    await fence_off(Secret(stage.database.owner_url))


async def _refused(stage: Any, *epochs: int) -> None:
    for epoch in epochs:
        with pytest.raises(asyncpg.PostgresError, match="stale epoch"):
            await stage.owner.execute(FENCE, POOL, epoch)


async def test_without_it_a_worker_of_the_time_before_shares_an_epoch_with_the_new_owner(
    stage: Any,
) -> None:
    """The danger: the dump knows epoch 1, the worker was given 2 after it, and 2 comes next."""
    await stage.make_shards(1)
    await stage.desire(0, "w-0")
    run = await stage.run_of("w-0")
    assert await run.claim(0) == 1
    await _let_time_pass(stage)
    later = await stage.run_of("w-0")
    assert await later.claim(0) == 2

    await stage.owner.execute(FENCE, POOL, 2)


async def test_whoever_held_an_epoch_before_is_refused_ever_after(stage: Any) -> None:
    """That of the dump and any that was given out after it, before and after the next claim."""
    await stage.make_shards(1)
    await stage.desire(0, "w-0")
    run = await stage.run_of("w-0")
    assert await run.claim(0) == 1
    await _let_time_pass(stage)

    await _restored(stage)

    after = await stage.run_of("w-0")
    await _refused(stage, 1, 2, 1000)
    assert await after.claim(0) == EPOCH_STEP + 2
    await _refused(stage, 1, 2, 1000)
    await stage.owner.execute(FENCE, POOL, EPOCH_STEP + 2)


async def test_nobody_owns_anything_and_the_wished_owner_claims_at_once(stage: Any) -> None:
    """Users wait for no orphan's time, and an old run's heartbeat finds nothing."""
    await stage.make_shards(1)
    await stage.desire(0, "w-0")
    run = await stage.run_of("w-0")
    assert await run.claim(0) == 1
    await _let_time_pass(stage)

    await _restored(stage)

    assert not await run.heartbeat()
    assert await stage.owner.fetchval("SELECT count(*) FROM placement.workers") == 0
    assert await (await stage.run_of("w-0")).claim(0) == EPOCH_STEP + 2


async def test_a_transaction_that_has_a_number_of_the_old_server_still_raises_epochs(
    stage: Any,
) -> None:
    """Servers count their transactions anew: a move's number comes back."""
    await stage.make_shards(1)
    await _restored(stage)
    async with stage.owner.transaction():
        before = await stage.owner.fetchval("SELECT epoch FROM placement.shards")
        await stage.owner.execute("SELECT placement.revoke_shards($1, $2)", [POOL], [0])
        after = await stage.owner.fetchval("SELECT epoch FROM placement.shards")
        revoked_in = await stage.owner.fetchval("SELECT revoked_in::text FROM placement.shards")
    assert after == before + 1
    assert revoked_in is not None

    await _restored(stage)
    assert await stage.owner.fetchval("SELECT revoked_in FROM placement.shards") is None


async def test_a_database_in_use_is_left_alone(stage: Any) -> None:
    """The wrong address costs nobody anything."""
    await stage.make_shards(1)
    await stage.desire(0, "w-0")
    assert await (await stage.run_of("w-0")).claim(0) == 1

    with pytest.raises(CannotStart, match="in use, leases of workers: 1"):
        await _restored(stage)

    await stage.owner.execute(FENCE, POOL, 1)


@pytest.mark.parametrize(
    ("environ", "status", "sentence"),
    [
        ({}, doing.EXIT_BAD_SETTINGS, "OPERATOR_MIGRATION_DATABASE_URL"),
        (
            {"PURSER_MIGRATION_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x?sslmode=disable"},
            doing.EXIT_FAILED,
            "cannot connect to PostgreSQL",
        ),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    capsys: pytest.CaptureFixture[str], environ: Mapping[str, str], status: int, sentence: str
) -> None:
    """And a status a script can tell apart."""
    assert doing.do(environ) == status
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("\n") == 1
