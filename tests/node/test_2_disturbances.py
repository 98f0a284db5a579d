"""Pods are deleted, crowded out and evicted while people trade."""

import asyncio
import contextlib
import time

import pytest
from tests.cluster.waiting import until
from tests.node.house import NodeHouse
from tests.node.release import is_ready

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    "part", ["gateway", "pricing", "wallet", "ledger", "operator", "user-worker", "valkey"]
)
async def test_a_deleted_pod_of_each_kind_costs_nothing(
    house: NodeHouse, request: pytest.FixtureRequest, part: str
) -> None:
    """As an eviction deletes it. Valkey comes back empty: its volume goes with the pod."""
    await house.until_all_ready()
    async with house.under_load(request):
        pod = (await house.release.pods(part))[0]["metadata"]["name"]
        house.strike("kill", pod)
        await house.release.kubectl("delete", "pod", pod, "--wait=false")
        await house.users.act()
        await house.until_all_ready(part)
        await house.users.act()


FILL_MEMORY = """
import time
open('/dev/shm/full', 'wb').write(bytes(60 * 2**20))
held = b'x' * (40 * 2**20)
time.sleep(10)
"""
"""In a worker's container: more than fits, by a process that is smaller than the worker, which is
therefore the one the kernel chooses."""


async def test_workers_come_with_the_backlog_and_go_with_it(
    house: NodeHouse, request: pytest.FixtureRequest
) -> None:
    """The wallet is away, people queue up: more worker pods. It is back: fewer again."""
    await house.until_all_ready()
    scale = ("scale", "deployment/purser-wallet")

    async def workers() -> int:
        return len(await house.release.pods("user-worker"))

    before = await workers()
    async with house.under_load(request):
        await house.release.kubectl(*scale, "--replicas=0")
        try:
            # An ending pod answers for some seconds more: whoever asked meanwhile would not queue.
            gone = ("wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=wallet")
            await house.release.kubectl(*gone, "--timeout=60s")
            await house.users.queue_up()
            begun = time.monotonic()
            most = await until(workers, lambda count: count > before, "more workers come")
            house.note("backlog to more workers, s", time.monotonic() - begun, 10)
        finally:
            await house.release.kubectl(*scale, "--replicas=1")
        await house.until_all_ready("wallet", 1)
        await until(workers, lambda count: count <= before, "they go again", 180.0)
    house.note("workers before", before)
    house.note("workers, most seen first", most)


async def test_a_worker_that_runs_out_of_memory_is_started_again(
    house: NodeHouse, request: pytest.FixtureRequest
) -> None:
    """The kernel kills it at once, without a word; others serve its shards, and it comes back."""
    await house.until_all_ready()
    pod = (await house.release.pods("user-worker"))[0]["metadata"]["name"]

    async def last_end() -> str:
        status = (await house.release.read("pod", pod))["status"]["containerStatuses"][0]
        return str(status["lastState"].get("terminated", {}).get("reason", ""))

    async with house.under_load(request):
        house.strike("kill", pod)
        filling = asyncio.create_task(_exec(house, pod, FILL_MEMORY))
        await until(last_end, lambda reason: reason == "OOMKilled", "the kernel ends the worker")
        await filling
        await house.until_all_ready("user-worker")


async def test_a_drain_waits_for_who_must_stay(
    house: NodeHouse, request: pytest.FixtureRequest
) -> None:
    """Of two gateways one may go; its successor has no place to go to, so the other one stays, and
    everybody is answered. With the node back both are there again."""
    await house.until_all_ready("gateway", 2)
    kubectl = house.release.kubectl
    node = (await house.release.pods("gateway"))[0]["spec"]["nodeName"]
    async with house.under_load(request):
        house.strike("drain", node)
        try:
            with pytest.raises(pytest.fail.Exception, match="disruption budget"):
                await kubectl(
                    *("drain", node, "--pod-selector=app.kubernetes.io/name=gateway"),
                    *("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=15s"),
                )
            assert [True] == [is_ready(pod) for pod in await house.release.pods("gateway")
                              if "nodeName" in pod["spec"]]  # fmt: skip
            await house.users.act()
        finally:
            await kubectl("uncordon", node)
        await house.until_all_ready("gateway", 2)


async def _exec(house: NodeHouse, pod: str, program: str) -> None:
    """Run a program in a pod, which ends with the container."""
    with contextlib.suppress(pytest.fail.Exception):
        await house.release.kubectl("exec", pod, "--", "python", "-c", program)
