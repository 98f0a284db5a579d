"""Pods are replaced, or never get ready, while people trade."""

import signal
import time

import pytest
from tests.cluster.api import resource_path
from tests.cluster.house import House, worker_name
from tests.cluster.operators import TARGET
from tests.cluster.pods import is_ready, pods_path
from tests.cluster.signals import signal_tree
from tests.cluster.waiting import until
from tests.history.moving import Move, first_owned, moves_in

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

WORKERS = 3


async def test_in_a_rolling_restart_shards_move_to_updated_pods_only(
    house: House, request: pytest.FixtureRequest
) -> None:
    """`kubectl rollout restart`: every pod is replaced, every shard served, and once an updated
    pod serves no shard goes to one whose turn is still to come."""
    await house.rest(WORKERS)
    async with house.under_load(request):
        await house.users.act()
        begin, cut_before = time.time(), house.cut_jobs()
        outdated = {house.cluster.revision_of(worker_name(n), begin) for n in range(WORKERS)}
        await house.kubectl("rollout", "restart", f"statefulset/{TARGET}")
        await house.kubectl("rollout", "status", f"statefulset/{TARGET}", "--timeout=50s")
        await house.until_spread_over(WORKERS)
        lasted = time.time() - begin
        moves = moves_in(house.records, begin)
        replaced = await house.gone_since(begin)
        house.note("rolling restart, s", lasted)
        house.note("moves in a rolling restart", len(moves))
        house.note("jobs interrupted by a rolling restart", house.cut_jobs() - cut_before, 0)
        assert [pod.name for pod in replaced] == [worker_name(n) for n in (2, 1, 0)]
        assert [pod.exit_code for pod in replaced] == [0] * WORKERS
        assert {pod.revision for pod in replaced} == outdated
        assert moves != []
        assert backward(house, moves, outdated, begin) == []


def backward(
    house: House, moves: list[Move], outdated: set[str | None], begin: float
) -> list[Move]:
    """The moves to an outdated pod that had a better choice: from an updated one, or wished for
    when an updated one already served."""
    serving = [
        at
        for n in range(WORKERS)
        for pod in house.cluster.pods.values()
        if pod.name == worker_name(n) and pod.revision not in outdated and pod.seen_at >= begin
        if (at := first_owned(house.records, pod.name, pod.seen_at)) is not None
    ]
    revision = house.cluster.revision_of
    return [
        move
        for move in moves
        if revision(move.taker, move.at) in outdated
        and (revision(move.giver, move.at) not in outdated or move.wished_after > min(serving))
    ]


async def test_a_pod_that_never_gets_ready_keeps_no_other_from_coming(
    house: House, request: pytest.FixtureRequest
) -> None:
    """`podManagementPolicy: Parallel`: with OrderedReady a StatefulSet would wait for the lower
    ordinal for ever."""
    await house.rest(WORKERS - 1)
    scenario, stuck, coming = house.scenario, WORKERS - 1, WORKERS
    path = resource_path("apps/v1", "statefulsets", scenario.namespace, TARGET)
    assert (await scenario.api.get(path))["spec"]["podManagementPolicy"] == "Parallel"
    async with house.under_load(request):
        await house.kubectl("scale", "ush", "main", f"--replicas={stuck + 1}")
        process = await house.worker(stuck)
        signal_tree(process, signal.SIGSTOP)
        try:
            begin = time.time()
            await house.kubectl("scale", "ush", "main", f"--replicas={coming + 1}")
            await until(
                scenario.shards_of, lambda owned: worker_name(coming) in owned, "shards at work"
            )
            came = first_owned(house.records, worker_name(coming), begin) or time.time()
            house.note("asked for to owning shards beside a pod that is not ready, s", came - begin)
            pod = await scenario.api.get(pods_path(scenario.namespace, worker_name(stuck)))
            assert not is_ready(pod)
            assert worker_name(stuck) not in await scenario.shards_of()
            await scenario.subject.until_condition("Ready", "True", "ShardsServed")
            await scenario.subject.until_condition("Progressing", "True", "WorkersStarting")
        finally:
            signal_tree(process, signal.SIGCONT)
        await house.until_spread_over(coming + 1)
