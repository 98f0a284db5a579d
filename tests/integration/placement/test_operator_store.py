"""What the operator reads and writes in `placement`, and how it measures streams."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from chassis.postgres import PostgresSettings, open_pool
from chassis.redis import RedisSettings, open_redis
from chassis.settings import Secret
from chassis.streams import append, remove
from devbox.database import Database
from devbox.servers import ValkeyServer
from kernel.names import jobs_stream
from kernel.sharding import ShardKey
from shard_operator.backlog import MEASURE_TIMEOUT_SECONDS, StreamBacklog
from shard_operator.errors import PlacementAway
from shard_operator.planning import Change, ShardPlacement
from shard_operator.postgres import PostgresPlacement, listen_placement
from shard_operator.usershard import ScaleTarget, UserShard, UserShardSpec
from shard_operator.weighing import weight_of

POOL = "default.main"


@pytest.fixture
async def store(database: Database) -> AsyncIterator[PostgresPlacement]:
    """The store, with the operator's own rights."""
    settings = PostgresSettings(database_url=Secret(database.url("purser_operator")))
    pool = await open_pool(settings, "test")
    yield PostgresPlacement(pool)
    await pool.close()


def user_shard(users_per_shard: int = 50) -> UserShard:
    """A spec."""
    spec = UserShardSpec(scale_target_ref=ScaleTarget(name="w"), users_per_shard=users_per_shard)
    return UserShard(namespace="default", name="main", spec=spec)


async def test_an_owner_is_one_whose_lease_lives(stage: Any, store: PostgresPlacement) -> None:
    """The row keeps the dead owner's name; the observation does not."""
    await stage.make_shards(3)
    alive, dead = await stage.run_of("w-0"), await stage.run_of("w-1")
    for shard, run in ((0, alive), (1, dead)):
        await stage.desire(shard, run.name)
        await run.claim(shard)
    await stage.owner.execute("SELECT placement.tell_users($1, '{0}', '{7}')", POOL)
    await dead.register(0.01)
    await alive.drain()
    await asyncio.sleep(0.05)

    seen = await store.observe_placement(POOL)

    assert (
        ShardPlacement(0, "w-0", "w-0", weight_of(7)),
        ShardPlacement(1, "w-1", None, weight_of(0)),
        ShardPlacement(2, None, None, weight_of(0)),
    ) == seen.shards
    assert seen.ownerless_seconds.keys() == {1, 2}
    assert 0 < seen.ownerless_seconds[1] < seen.ownerless_seconds[2] < 60
    living, over = seen.workers
    assert (living.name, living.alive, living.draining) == ("w-0", True, True)
    assert (over.name, over.alive, over.draining) == ("w-1", False, False)
    assert seen.seconds_to_lease_end() == living.seconds_left > 0 > over.seconds_left


async def test_a_policy_is_written_when_it_differs(stage: Any, store: PostgresPlacement) -> None:
    """Writing the same again is no change."""
    assert await store.ensure_policy(user_shard())
    assert not await store.ensure_policy(user_shard())
    assert await store.ensure_policy(user_shard(users_per_shard=60))

    written = await stage.owner.fetchval("SELECT users_per_shard FROM placement.pools")
    assert written == 60


async def test_two_operators_assigning_at_once_never_overwrite_each_other(
    stage: Any, store: PostgresPlacement, database: Database
) -> None:
    """Both planned from one observation; each shard goes to one of them, nobody deadlocks."""
    count = 1200
    await stage.owner.execute(
        "INSERT INTO placement.shards (pool, shard) SELECT $1, n FROM generate_series(0, $2) n",
        POOL,
        count - 1,
    )
    settings = PostgresSettings(database_url=Secret(database.url("purser_operator")))
    pool = await open_pool(settings, "other")
    other = PostgresPlacement(pool)

    mine = [Change(shard, None, "w-0", None) for shard in range(count)]
    theirs = [Change(shard, None, "w-1", None) for shard in reversed(range(count))]
    written = await asyncio.gather(store.assign(POOL, mine), other.assign(POOL, theirs))
    await pool.close()

    assert count == sum(written)
    rows = await stage.owner.fetch(
        "SELECT desired_owner, count(*) FROM placement.shards GROUP BY 1 ORDER BY 1"
    )
    assert {name: n for name, n in zip(("w-0", "w-1"), written, strict=True) if n} == dict(rows)


async def test_a_plan_from_an_outdated_observation_is_refused_shard_by_shard(
    stage: Any, store: PostgresPlacement
) -> None:
    """What still stands is written, what moved on is left for the next round."""
    await stage.make_shards(2)
    await stage.desire(1, "w-9")

    written = await store.assign(POOL, [Change(n, None, "w-0", None) for n in (0, 1)])

    seen = await store.observe_placement(POOL)
    assert written == 1
    assert [shard.desired for shard in seen.shards] == ["w-0", "w-9"]


async def test_only_long_dead_workers_without_shards_are_forgotten(
    stage: Any, store: PostgresPlacement
) -> None:
    """A living one never, one that still owns a shard by name never."""
    await stage.make_shards(1)
    for name in ("alive", "owner", "dead"):
        run = await stage.run_of(name)
        if name == "owner":
            await stage.desire(0, name)
            await run.claim(0)
    await stage.owner.execute(
        "UPDATE placement.workers SET lease_until = clock_timestamp() - interval '2 hours' "
        "WHERE worker <> 'alive'"
    )

    assert await store.forget_workers(POOL) == 1
    assert [w.name for w in (await store.observe_placement(POOL)).workers] == ["alive", "owner"]


async def test_a_change_of_placement_wakes_the_listener(stage: Any, database: Database) -> None:
    """A new worker is seen at once, not at the next poll."""
    wake = asyncio.Event()
    listening = asyncio.create_task(listen_placement(Secret(database.url("purser_operator")), wake))
    await asyncio.wait_for(wake.wait(), 10)  # it wakes once when it begins
    wake.clear()

    await stage.run_of("w-0")
    await asyncio.wait_for(wake.wait(), 10)
    listening.cancel()


async def test_placement_away_is_said_as_such(database: Database) -> None:
    """A closed pool stands for a server that is gone."""
    settings = PostgresSettings(database_url=Secret(database.url("purser_operator")))
    pool = await open_pool(settings, "test")
    store = PostgresPlacement(pool)
    await pool.close()

    with pytest.raises(PlacementAway):
        await store.observe_placement(POOL)


@pytest.fixture
async def backlog(redis_url: str) -> AsyncIterator[tuple[StreamBacklog, Any]]:
    """A measure, and the Redis it measures."""
    redis = open_redis(RedisSettings(redis_url=Secret(redis_url)))
    yield StreamBacklog(redis), redis
    await redis.aclose()


async def test_a_backlog_is_what_is_in_the_streams(backlog: tuple[StreamBacklog, Any]) -> None:
    """Depth per shard, the oldest entry's age by the server's clock, jobs that ended."""
    measure, redis = backlog
    streams = [jobs_stream(ShardKey(POOL, shard)) for shard in range(3)]
    ids = [await append(redis, streams[1], b"job") for _ in range(5)]
    await append(redis, streams[2], b"job")
    await remove(redis, streams[1], ids[:2])
    await remove(redis, streams[0], [await append(redis, streams[0], b"ended")])
    await asyncio.sleep(0.2)

    found = await measure.measure_backlog(POOL, [0, 1, 2, 3])

    assert found is not None
    assert (found.depths, found.finished) == ({1: 3, 2: 1}, {1: 2, 2: 0})
    assert found.oldest_seconds is not None
    assert 0.15 < found.oldest_seconds < 5


async def test_no_work_is_a_backlog_of_nothing(backlog: tuple[StreamBacklog, Any]) -> None:
    """Known and empty: that is not unknown."""
    found = await backlog[0].measure_backlog(POOL, range(2500))

    assert found is not None
    assert (found.jobs, found.shards_with_work, found.oldest_seconds) == (0, 0, None)


async def test_redis_away_or_lying_is_an_unknown_backlog(
    backlog: tuple[StreamBacklog, Any],
) -> None:
    """Never 0: a measure that failed must not scale anything in."""
    measure, redis = backlog
    await redis.set(jobs_stream(ShardKey(POOL, 1)), "not a stream")
    assert await measure.measure_backlog(POOL, [0, 1]) is None

    nobody = open_redis(RedisSettings(redis_url=Secret("redis://127.0.0.1:1/0")))
    assert await StreamBacklog(nobody).measure_backlog(POOL, [0]) is None
    await nobody.aclose()


async def test_an_unknown_backlog_is_logged_once_and_not_at_every_poll() -> None:
    """Of each pool: the condition on it says so all the while."""
    nobody = open_redis(RedisSettings(redis_url=Secret("redis://127.0.0.1:1/0")))
    measure = StreamBacklog(nobody)
    with capture_logs() as lines:
        for pool in [POOL, "default.fast"] * 3:
            assert await measure.measure_backlog(pool, [0]) is None
    await nobody.aclose()
    assert [POOL, "default.fast"] == [line["pool"] for line in lines]


async def test_a_redis_that_hangs_holds_up_one_look_and_not_every_one(
    backlog: tuple[StreamBacklog, Any], valkey_server: ValkeyServer
) -> None:
    """Between two looks at the streams dead workers' shards are given away. It goes on: so does
    the measure."""
    measure, _ = backlog
    looks = []
    valkey_server.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(2):
            begin = time.monotonic()
            assert await measure.measure_backlog(POOL, [0]) is None
            looks.append(time.monotonic() - begin)
    finally:
        valkey_server.process.send_signal(signal.SIGCONT)

    assert looks[0] >= MEASURE_TIMEOUT_SECONDS
    assert looks[1] < MEASURE_TIMEOUT_SECONDS / 2
    assert await measure.measure_backlog(POOL, [0]) is not None
