"""The number of workers changes while people trade, and nobody's job is cut short.

What makes the backlog grow is an outage: the wallet hangs, so whoever queues up waits.
"""

import asyncio
import time

import pytest
from tests.cluster.backlog_watch import watching_backlog
from tests.cluster.house import (
    STABILIZATION_SECONDS,
    TARGET_BACKLOG,
    WORKERS_MAX,
    House,
    worker_name,
)
from tests.cluster.scenario import WORKERS_MIN
from tests.history.moving import (
    first_owned,
    held_at,
    moves_in,
    moves_needed,
    moves_needed_in_steps,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

DECISION_GOAL_SECONDS = 3.0
DECISION_SECONDS_MAX = 6.0
"""Twice the goal: a busy machine is no defect, a decision that waits for something is."""
POLL_SECONDS = 3.0
"""The default of pollPeriodSeconds."""
ALL = [worker_name(ordinal) for ordinal in range(WORKERS_MAX)]
STAYING, COMING = ALL[:WORKERS_MIN], ALL[WORKERS_MIN:]
GROWING = [ALL[: WORKERS_MIN + 1], ALL]
SHRINKING = [ALL[: WORKERS_MIN + 1], STAYING]
"""Pods come one after the other, and the backlog falls step by step: each time the least moves."""


async def test_workers_follow_the_backlog_and_no_job_is_interrupted(
    house: House, request: pytest.FixtureRequest
) -> None:
    """Up within a look of the operator, with no more moves than any plan needs; down by emptying
    the pods that go before they are told to.
    """
    await house.rest(WORKERS_MIN)
    async with house.under_load(request):
        await house.scenario.subject.patch(replicas=None)
        await house.scenario.subject.until_condition("ScalingActive", "True", "BacklogMeasured")
        await a_backlog_brings_workers(house)
        await without_it_they_go(house)


async def a_backlog_brings_workers(house: House) -> None:
    """The wallet hangs; two workers become four and share the shards."""
    scenario = house.scenario
    shards = sum((await scenario.shards_of()).values())
    async with watching_backlog(house.servers.redis_url, scenario.pool, shards) as backlog:
        with scenario.beside.hanging("wallet"):
            begin = time.time()
            held = held_at(house.records, begin)
            await house.users.queue_up()
            await house.until_spread_over(WORKERS_MAX)
            grown = time.time()
    crossed = backlog.first_above(TARGET_BACKLOG * WORKERS_MIN, begin)
    decided = house.cluster.counted_at(WORKERS_MIN + 1, begin)
    assert crossed is not None
    assert decided is not None
    asked = [house.cluster.counted_at(ALL.index(worker) + 1, begin) or begin for worker in COMING]
    serving = [
        (first_owned(house.records, worker, at) or grown) - at
        for worker, at in zip(COMING, asked, strict=True)
    ]
    moves = len(moves_in(house.records, begin))
    house.note("backlog crossed to decision, s", decided - crossed, DECISION_GOAL_SECONDS)
    house.note("decision to a new pod owning shards, s, first", min(serving))
    house.note("decision to a new pod owning shards, s, last", max(serving))
    house.note("moves when scaled out", moves)
    house.note("moves any plan needs", moves_needed(held, ALL))
    assert decided - crossed <= DECISION_SECONDS_MAX
    assert moves <= moves_needed_in_steps(held, GROWING)


async def without_it_they_go(house: House) -> None:
    """The wallet goes on; four workers become two. Those that go own nothing when they are told,
    and end by themselves."""
    begin, cut_before = time.time(), house.cut_jobs()
    held = held_at(house.records, begin)
    await house.until_spread_over(WORKERS_MIN)
    moves = len(moves_in(house.records, begin))
    house.note("moves when scaled in", moves)
    house.note("moves any plan needs", moves_needed(held, STAYING))
    assert moves <= moves_needed_in_steps(held, SHRINKING)
    await who_went_owned_nothing(house, begin, cut_before)


async def who_went_owned_nothing(house: House, begin: float, cut_before: int) -> None:
    """By what the pod runner, placement and the workers' logs say."""
    gone = await house.gone_since(begin)
    owned = {pod.name: held_at(house.records, pod.told_to_end_at or 0.0)[pod.name] for pod in gone}
    interrupted = house.cut_jobs() - cut_before
    house.note("jobs interrupted by scale-in", interrupted, 0)
    assert owned == dict.fromkeys(COMING, 0)
    assert await house.scenario.departures(begin) == dict.fromkeys(COMING, 0)
    assert [pod.exit_code for pod in gone] == [0, 0]
    assert interrupted == 0


async def test_workers_that_go_in_an_outage_leave_their_jobs_to_others(
    house: House, request: pytest.FixtureRequest
) -> None:
    """Jobs wait for the wallet in every shard when a person halves the pool: each is given over as
    it is, none is cut short, and all are answered once the wallet goes on."""
    await house.rest(WORKERS_MAX)
    scenario = house.scenario
    async with house.under_load(request):
        cut_before = house.cut_jobs()
        with scenario.beside.hanging("wallet"):
            await house.users.queue_up()
            begin = time.time()
            await house.kubectl("scale", "ush", "main", f"--replicas={WORKERS_MIN}")
            await house.until_spread_over(WORKERS_MIN)
            house.note("pool halved in an outage, s", time.time() - begin)
            await who_went_owned_nothing(house, begin, cut_before)


async def test_a_person_pins_the_count_and_lets_it_go(
    house: House, request: pytest.FixtureRequest
) -> None:
    """`kubectl scale` holds the pool at a count the backlog does not ask for; without it the count
    follows the backlog again."""
    await house.rest(WORKERS_MIN)
    scenario = house.scenario
    async with house.under_load(request):
        begin = time.time()
        await house.kubectl("scale", "ush", "main", f"--replicas={WORKERS_MIN + 1}")
        await house.until_spread_over(WORKERS_MIN + 1)
        pinned = await scenario.subject.until_condition("ScalingActive", "False", "Pinned")
        assert f"spec.replicas holds the pool at {WORKERS_MIN + 1}" in pinned["message"]
        await asyncio.sleep(STABILIZATION_SECONDS + POLL_SECONDS)
        assert (await scenario.workers())["asked"] == WORKERS_MIN + 1
        remove = '[{"op": "remove", "path": "/spec/replicas"}]'
        await house.kubectl("patch", "ush", "main", "--type=json", "-p", remove)
        await scenario.subject.until_condition("ScalingActive", "True", "BacklogMeasured")
        await house.until_spread_over(WORKERS_MIN)
        assert [pod.name for pod in await house.gone_since(begin)] == COMING[:1]
        assert [count.asked for count in house.cluster.counts if count.at >= begin] == [3, 2]


async def test_a_paused_pool_keeps_its_count(house: House, request: pytest.FixtureRequest) -> None:
    """Paused in one direction or both, the status says what is held back; shards stay served."""
    await house.rest(WORKERS_MIN + 1)
    scenario = house.scenario
    begin = time.time()
    async with house.under_load(request):
        await pause(house, "ScaleIn", replicas=None)
        await the_count_stays(house, "ScalingLimited", STABILIZATION_SECONDS + POLL_SECONDS)
        # Neither way until the backlog stands: without it the pool would shrink now.
        await pause(house, "All")
        with scenario.beside.hanging("wallet"):
            await house.users.queue_up()
            await the_count_stays(house, "ScalingActive", POLL_SECONDS)
            await pause(house, "ScaleOut")
            await the_count_stays(house, "ScalingLimited", POLL_SECONDS)
            await pause(house, "All")
            await the_count_stays(house, "ScalingActive", POLL_SECONDS)
            assert [count for count in house.cluster.counts if count.at >= begin] == []
            await pause(house, "None")
            await scenario.until_workers(WORKERS_MAX)


async def pause(house: House, direction: str, **spec: None) -> None:
    """Set what is paused."""
    await house.scenario.subject.patch(scaling={"paused": direction}, **spec)


async def the_count_stays(house: House, condition: str, seconds: float) -> None:
    """Wait until the condition says that the pool is paused, then see that nothing happens."""
    status = "True" if condition == "ScalingLimited" else "False"
    await house.scenario.subject.until_condition(condition, status, "Paused")
    before = (await house.scenario.workers())["asked"]
    await asyncio.sleep(seconds)
    assert (await house.scenario.workers())["asked"] == before
