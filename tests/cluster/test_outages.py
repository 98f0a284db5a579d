"""PostgreSQL and Redis go away and come back, while people trade: nothing accepted is lost, the
operator lives and says what it cannot know.
"""

import asyncio
import time

import pytest
from tests.cluster.house import House, worker_name
from tests.cluster.scenario import WORKERS_MIN
from tests.cluster.signals import frozen
from tests.history.moving import moves_in

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

WORKERS = 3
VICTIM = 1
SERVED_GOAL_SECONDS = 5.0
"""A lease of 3 s, and the claim."""
MINUTE_SECONDS = 60.0
HUNG_SECONDS = 10.0
"""Longer than any lease and any deadline of a call."""
RECOVERED_SECONDS_MAX = 30.0


async def test_a_minute_without_postgresql_loses_nothing(
    house: House, request: pytest.FixtureRequest
) -> None:
    """Nobody is served and nothing is decided; what people send waits in Telegram. It comes back:
    all shards are owned and everybody is answered, by itself."""
    await house.rest(WORKERS)
    scenario = house.scenario
    async with house.under_load(request):
        await house.users.act()
        with house.freezing("postgres") as away_at:
            async with house.servers.postgres_stopped():
                await scenario.subject.until_condition("Ready", "Unknown", "NotObserved")
                await asyncio.sleep(away_at + MINUTE_SECONDS - time.time())
                assert scenario.operator.process.poll() is None
                assert (await scenario.workers())["asked"] == WORKERS
        await recovers(house, "PostgreSQL back to Ready, s")
        await house.rest(WORKERS)
        await one_pod_each(house, away_at)


async def test_a_postgresql_that_hangs_loses_nothing(
    house: House, request: pytest.FixtureRequest
) -> None:
    """Connections stand and nothing answers: deadlines, not errors, tell everybody."""
    await house.rest(WORKERS)
    async with house.under_load(request):
        await house.users.act()
        with house.freezing("postgres") as began_at, house.servers.postgres_frozen():
            await asyncio.sleep(HUNG_SECONDS)
            assert house.scenario.operator.process.poll() is None
        await recovers(house, "hung PostgreSQL back to Ready, s")
        await house.rest(WORKERS)
        await one_pod_each(house, began_at)


async def test_without_redis_everybody_is_served_and_nothing_scales(
    house: House, request: pytest.FixtureRequest
) -> None:
    """The inbox serves instead of the streams. The backlog is unknown, so the count stays, though
    it is not pinned and more than the bounds ask for; Redis comes back empty."""
    await house.rest(WORKERS)
    scenario = house.scenario
    async with house.under_load(request):
        await house.users.act()
        with house.freezing("valkey") as began_at:
            async with house.servers.redis_stopped():
                await scenario.subject.patch(replicas=None)
                await scenario.subject.until_condition("Degraded", "True", "BacklogUnknown")
                await scenario.subject.until_condition("ScalingActive", "False", "BacklogUnknown")
                await scenario.subject.until_condition("Ready", "True", "ShardsServed")
                await asyncio.sleep(HUNG_SECONDS)
                assert [count for count in house.cluster.counts if count.at >= began_at] == []
                assert moves_in(house.records, began_at) == []
        await scenario.subject.until_condition("Degraded", "False", "AsExpected")
        await scenario.until_workers(WORKERS_MIN)


async def test_a_redis_that_hangs_or_forgets_delays_and_loses_nothing(
    house: House, request: pytest.FixtureRequest
) -> None:
    """SIGSTOP, then FLUSHALL. Where the workers are is no matter of Redis."""
    await house.rest(WORKERS)
    scenario = house.scenario
    await scenario.subject.patch(
        replicas=None, workers={"minReplicas": WORKERS, "maxReplicas": WORKERS}
    )
    await scenario.subject.until_condition("ScalingActive", "True", "BacklogMeasured")
    async with house.under_load(request):
        await house.users.act()
        with house.freezing("valkey") as began_at, house.servers.redis_frozen():
            await scenario.subject.until_condition("Degraded", "True", "BacklogUnknown")
            await asyncio.sleep(HUNG_SECONDS)
        await scenario.subject.until_condition("Degraded", "False", "AsExpected")
        await house.users.act()
        await house.servers.flush_redis()
        house.strike("flush", "valkey")
        await house.users.act()
        assert moves_in(house.records, began_at) == []


async def test_a_worker_that_hangs_while_redis_does_is_served_around_in_time(
    house: House, request: pytest.FixtureRequest
) -> None:
    """Who owns what is no matter of Redis: an operator that waits for it still looks in time."""
    await house.rest(WORKERS)
    async with house.under_load(request):
        await house.users.act()
        process = await house.worker(VICTIM)
        with house.freezing("valkey"), house.servers.redis_frozen():
            await asyncio.sleep(HUNG_SECONDS)
            with house.freezing(worker_name(VICTIM)) as at, frozen(process):
                longest = await house.served_again(worker_name(VICTIM), at)
        house.note("worker and Redis hung to its shards served, s", longest, SERVED_GOAL_SECONDS)
        assert longest <= SERVED_GOAL_SECONDS
        await house.rest(WORKERS)


async def recovers(house: House, figure: str) -> None:
    """Wait until every shard is served again, in time."""
    begin = time.time()
    await house.scenario.subject.until_condition("Ready", "True", "ShardsServed")
    recovered = time.time() - begin
    house.note(figure, recovered)
    assert recovered <= RECOVERED_SECONDS_MAX


async def one_pod_each(house: House, since: float) -> None:
    """No pod was replaced: an outage of what a worker needs is no reason to end it."""
    assert [pod.name for pod in house.cluster.told_to_end(since)] == []
