"""The large plan on real pods, as far as one node has what it takes."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import aiohttp
import psutil  # type: ignore[import-untyped]  # carries no types
import pytest
import pytest_asyncio
from tests.cluster.control_plane import ControlPlane
from tests.cluster.figures import Figures
from tests.cluster.node.keeping import Node
from tests.cluster.operators import TREE
from tests.cluster.waiting import eventually, until
from tests.node.house import NodeHouse, hello
from tests.node.large_house import LargeHouse, standing_large_house
from tests.node.outside import connected
from tests.node.page_commands import Shell, lines_of
from tests.node.release import Release

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

TWICE = ("gateway", "pricing", "wallet", "ledger", "operator")
POOLS = {"": "main", "-fast": "fast", "-spanish": "spanish", "-portuguese": "portuguese"}
FROZEN_SECONDS, AWAY_SECONDS = 4.0, 1.5
BY_THE_REPLICA = 'purser_ledger_replica_reads_total{outcome="answered"}'
AGENTS = {
    "kubelet": "/kubelet",
    "kube-proxy": "/kube-proxy",
    "policies": "tests.cluster.node.policies",
}
"""By what is in the command of each."""
SECOND_POOL = TREE / "docs/second-pool.md"
_POOLS = "SELECT pool FROM gateway.users WHERE telegram_id = ANY($1) ORDER BY telegram_id"
WHOM_NO_RULE_FITS, WHO_WAS_INVITED = 650_000, 650_001


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def large(
    own_node: Node,
    cluster: ControlPlane,
    figures: Figures,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[LargeHouse]:
    """One installation for the tests of this file."""
    folder = tmp_path_factory.mktemp("large")
    name = f"large-{uuid4().hex[:6]}"
    release = Release(cluster.kubeconfig, name, folder, plan="values-large.yaml")
    async with standing_large_house(release, folder, figures) as standing:
        yield standing


async def test_everything_is_there_twice_and_every_pool_is_served(large: LargeHouse) -> None:
    """Both HPAs have made their two; four UserShards are Ready."""
    house = large.house
    for part in TWICE:
        await house.until_all_ready(part, 2)
    for suffix, pool in POOLS.items():
        assert await house.release.read("statefulset", f"purser-user-worker{suffix}")
        ready = ("wait", "--for=condition=Ready", f"ush/{pool}", "--timeout=60s")
        await house.release.kubectl(*ready)
    await house.release.helm("test", "purser")


async def test_servers_that_die_and_freeze_cost_nothing_but_time(
    large: LargeHouse, request: pytest.FixtureRequest
) -> None:
    """Under trading a node of Redis dies, whose replica takes over, the pooler is killed, and the
    replica of PostgreSQL freezes; it answers old reads before and after.
    """
    house, nodes = large.house, large.nodes
    async with house.under_load(request):
        await until(lambda: _by_the_replica(house), lambda count: count > 0, "old reads go there")
        first = nodes.primaries[0]
        house.strike("kill", "a node of Redis")
        nodes.kill(first)
        await house.users.act()
        house.strike("kill", "the pooler")
        await large.pooler.kill()
        await asyncio.sleep(AWAY_SECONDS)
        await large.pooler.start()
        house.strike("freeze", "the replica of PostgreSQL")
        os.killpg(large.replica.pid, signal.SIGSTOP)
        await asyncio.sleep(FROZEN_SECONDS)
        os.killpg(large.replica.pid, signal.SIGCONT)
        await nodes.start(first)
        before = await _by_the_replica(house)
        await until(
            lambda: _by_the_replica(house), lambda count: count > before, "old reads go there again"
        )


async def test_agents_of_the_node_that_die_are_started_again(
    large: LargeHouse, request: pytest.FixtureRequest
) -> None:
    """kubelet, kube-proxy and what enforces policies, one after the other: pods, ways and rules
    stay as they are meanwhile, and what comes later is seen to.

    Here, where the people's own way does not lead through a kubelet.
    """
    house = large.house
    await house.until_all_ready()
    async with house.under_load(request):
        for name, words in AGENTS.items():
            (agent,) = _agents(words)
            house.strike("kill", name)
            os.kill(agent, signal.SIGKILL)
            await house.users.act()
            await eventually(partial(_has_successor, agent, words))
        pod = (await house.release.pods("pricing"))[0]["metadata"]["name"]
        await house.release.kubectl("delete", "pod", pod, "--wait=false")
        await house.users.act()
        await house.until_all_ready("pricing", 2)


async def test_newcomers_go_to_the_pool_whose_rule_fits(large: LargeHouse) -> None:
    """One with the link that invites to the fast pool; another one goes to the main pool."""
    house = large.house
    for user, text in ((WHOM_NO_RULE_FITS, "/start"), (WHO_WAS_INVITED, "/start vip")):
        await hello(house.telegram, user, text)
    async with connected(large.owner_url) as connection:
        rows = await connection.fetch(_POOLS, [WHOM_NO_RULE_FITS, WHO_WAS_INVITED])
    namespace = house.release.namespace
    assert [f"{namespace}.main", f"{namespace}.fast"] == [row["pool"] for row in rows]


async def test_users_are_moved_from_the_pod_that_is_made_for_it(
    large: LargeHouse, tmp_path: Path
) -> None:
    """docs/second-pool.md, typed: the pod, and in it the command; policies let it through."""
    release = large.house.release
    shell = Shell(release, tmp_path)
    await shell(
        lines_of(
            SECOND_POOL,
            "kubectl -n purser delete --ignore-not-found pod",
            "image=",
            'sed "s|purser/gateway:dev|',
            "kubectl -n purser wait --for=condition=Ready pod/purser-users",
        )
    )
    users = lines_of(SECOND_POOL, "users() {")
    fast, main = f"{release.namespace}.fast", f"{release.namespace}.main"
    assert str(WHO_WAS_INVITED) in await shell(f"{users}\nusers list --pool {fast}")
    await shell(f"{users}\nusers move {WHO_WAS_INVITED} --pool {main}")
    async with connected(large.owner_url) as connection:
        rows = await connection.fetch(_POOLS, [WHO_WAS_INVITED])
    assert [main] == [row["pool"] for row in rows]
    await hello(large.house.telegram, WHO_WAS_INVITED, "btc")
    await shell(lines_of(SECOND_POOL, "kubectl -n purser delete pod purser-users"))


def _agents(words: str) -> list[int]:
    """The children of this process, which holds the node, with a word that ends like that."""
    found = []
    for child in psutil.Process().children():
        # A kubectl that ends meanwhile, an agent that was just killed.
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(word.endswith(words) for word in child.cmdline()):
                found.append(child.pid)
    return found


async def _has_successor(agent: int, words: str) -> bool:
    return _agents(words) not in ([], [agent])


async def _by_the_replica(house: NodeHouse) -> float:
    """How many reads PostgreSQL's replica has answered, as those ledgers count that tell."""
    counted = 0.0
    async with aiohttp.ClientSession() as http:
        for pod in await house.release.pods("ledger"):
            address = f"http://{pod['status'].get('podIP', '')}:9090/metrics"
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(address) as answer:
                    for line in (await answer.text()).splitlines():
                        if line.startswith(BY_THE_REPLICA):
                            counted += float(line.split()[-1])
    return counted
