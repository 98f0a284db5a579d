"""Workers are killed, deleted by force and hang, while people trade."""

import asyncio
import signal

import psutil  # type: ignore[import-untyped]  # carries no types
import pytest
from tests.cluster.house import House, worker_name
from tests.cluster.signals import frozen, pod_runner_frozen, signal_tree

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

WORKERS = 3
VICTIM = 1
SERVED_AGAIN_GOAL_SECONDS = 5.0
"""A lease of 3 s, and the claim."""


async def test_a_killed_workers_shards_are_served_within_five_seconds(
    house: House, request: pytest.FixtureRequest
) -> None:
    """SIGKILL: the container starts again, and until then others serve."""
    await house.rest(WORKERS)
    async with house.under_load(request):
        await house.users.act()
        process = await house.worker(VICTIM)
        at = house.strike("kill", worker_name(VICTIM))
        signal_tree(process, signal.SIGKILL)
        await served_again(house, at, "killed to its shards served, s")
        await house.until_spread_over(WORKERS)


async def test_a_pod_deleted_by_force_leaves_nothing_unserved(
    house: House, request: pytest.FixtureRequest
) -> None:
    """The object goes at once, the next pod of the name comes while the old process may still run:
    of two workers with one name the younger is the worker."""
    await house.rest(WORKERS)
    async with house.under_load(request):
        await house.users.act()
        at = house.strike("kill", worker_name(VICTIM))
        await house.kubectl("delete", "pod", worker_name(VICTIM), "--grace-period=0", "--force")
        await served_again(house, at, "deleted by force to its shards served, s")
        await house.until_spread_over(WORKERS)


async def test_a_pod_stuck_in_termination_is_served_around_and_named(
    house: House, request: pytest.FixtureRequest
) -> None:
    """It hangs with its kubelet, and is deleted: nothing comes of it. Others serve, and a person is
    told. When all go on it has nothing left to write."""
    await house.rest(WORKERS)
    scenario, name = house.scenario, worker_name(VICTIM)
    async with house.under_load(request):
        await house.users.act()
        process = await house.worker(VICTIM)
        with house.freezing(name) as at, pod_runner_frozen(), frozen(process):
            await house.kubectl("delete", "pod", name, "--grace-period=1", "--wait=false")
            await served_again(house, at, "hung to its shards served, s")
            await scenario.subject.until_condition("Ready", "True", "ShardsServed")
            stuck = await scenario.subject.until_condition(
                "Degraded", "True", "PodStuckTerminating"
            )
            assert name in stuck["message"]
            workers = (await scenario.subject.read())["status"]["workers"]
            assert name not in [worker["name"] for worker in workers]
        await has_ended(process)
        await house.until_spread_over(WORKERS)
        assert [pod.name for pod in await house.gone_since(at)] == [name]


async def test_a_pod_stuck_in_scale_in_is_named_until_it_has_gone(
    house: House, request: pytest.FixtureRequest
) -> None:
    """The count falls to what serves; the status waits for the pod that is still there."""
    await house.rest(WORKERS)
    scenario, name = house.scenario, worker_name(WORKERS - 1)
    async with house.under_load(request):
        process = await house.worker(WORKERS - 1)
        with house.freezing(name) as at, frozen(process):
            await house.kubectl("scale", "ush", "main", f"--replicas={WORKERS - 1}")
            await served_again(house, at, "hung to its shards served, s", name)
            await scenario.until_spread_over(WORKERS - 1)
            ending = await scenario.subject.until_condition("Progressing", "True", "WorkersEnding")
            assert "1" in ending["message"]
        await has_ended(process)
        await scenario.until_workers(WORKERS - 1)
        await scenario.subject.until_condition("Progressing", "False", "Settled")


async def served_again(
    house: House, at: float, figure: str, victim: str = worker_name(VICTIM)
) -> None:
    """Wait until what the victim owned is served again; in time."""
    longest = await house.served_again(victim, at)
    house.note(figure, longest, SERVED_AGAIN_GOAL_SECONDS)
    assert longest <= SERVED_AGAIN_GOAL_SECONDS


async def has_ended(process: psutil.Process) -> None:
    """Wait until a process has ended by itself."""
    await asyncio.to_thread(psutil.wait_procs, [process], 20.0)
    assert not process.is_running()
