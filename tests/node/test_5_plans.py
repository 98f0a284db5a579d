"""The plans for deployments, on real pods, with servers outside the cluster as managed ones are."""

import contextlib
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from tests.cluster.control_plane import ControlPlane
from tests.cluster.figures import Figures
from tests.cluster.node.keeping import Node
from tests.cluster.node.places import HOST_ADDRESS
from tests.cluster.waiting import until
from tests.e2e.reconciling import assert_reconciled
from tests.load import schedule
from tests.load.crowd import Crowd
from tests.load.latency import percentile
from tests.load.mix import DAY
from tests.load.pooler import SERVER_CONNECTIONS_MAX
from tests.load.small_plan import USERS, SmallServers, looking_at, small_servers
from tests.node.outside import Outside, relayed
from tests.node.pod_memory import memory_of_parts
from tests.node.release import Release

from devbox.database import ensure_logins
from devbox.telegram.server import Simulator

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

SEED = 1
SIGN_UPS_PER_SECOND, UPDATES_PER_SECOND, BUSY_SECONDS = 15.0, 10.0, 30.0
DRAIN_SECONDS = 60.0
MEMORY_GOAL_MEGABYTES, REDIS_GOAL_MEGABYTES = 1024, 20
ROLES_SECONDS = 120.0
_ROLES_MADE = "SELECT count(*) FROM pg_roles WHERE rolname = ANY($1)"


async def test_500_users_fit_on_the_small_plan(
    own_node: Node, cluster: ControlPlane, figures: Figures, tmp_path: Path
) -> None:
    """docs/install.md from the Secrets to the first answer; then a busy half minute: everybody is
    answered, and every limit of the managed servers is kept.
    """
    release = Release(
        cluster.kubeconfig, f"small-{uuid4().hex[:6]}", tmp_path, plan="values-small.yaml"
    )
    async with contextlib.AsyncExitStack() as stack:
        servers = await stack.enter_async_context(small_servers(tmp_path))
        simulator = await stack.enter_async_context(Simulator(host=HOST_ADDRESS))
        for port in (servers.pooler.port, servers.valkey.port):
            await stack.enter_async_context(relayed(port))
        seen = await stack.enter_async_context(looking_at(servers))
        outside = _small(servers, simulator)
        await release.prepare()
        stack.push_async_callback(release.uninstall)
        await outside.make_secrets(release)
        await release.install(outside.values)
        await let_in(outside)
        await release.kubectl("wait", "--for=condition=Ready", "ush/main", "--timeout=180s")

        crowd = Crowd(simulator, SEED)
        for load in (
            await crowd.load(
                schedule.first_contacts(range(USERS), SIGN_UPS_PER_SECOND), DRAIN_SECONDS
            ),
            await crowd.load(
                schedule.steady(USERS, UPDATES_PER_SECOND, BUSY_SECONDS, DAY, SEED), DRAIN_SECONDS
            ),
        ):
            assert len(load.latencies) == len(load.asks), load.refusals
        memory = await memory_of_parts(release)
        connection = await asyncpg.connect(servers.owner_url)
        try:
            await assert_reconciled(connection)
            assert await connection.fetchval("SELECT count(*) FROM ledger.trades")
        finally:
            await connection.close()
        await release.helm("test", "purser")

    note = figures.note
    note("small plan", "update to answer, s, p50", percentile(load.latencies, 0.5), None)
    note("small plan", "update to answer, s, p99", percentile(load.latencies, 0.99), None)
    note("small plan", "memory of all pods, MiB", sum(memory.values()), MEMORY_GOAL_MEGABYTES)
    for part, size in sorted(memory.items()):
        note("small plan", f"memory of {part}, MiB", size, None)
    note("small plan", "Redis at most, MB", seen.redis_megabytes, REDIS_GOAL_MEGABYTES)
    most = SERVER_CONNECTIONS_MAX
    note("small plan", "connections to PostgreSQL at most", seen.server_connections, most)
    assert sum(memory.values()) < MEMORY_GOAL_MEGABYTES
    assert seen.redis_megabytes < REDIS_GOAL_MEGABYTES
    assert seen.redis_refusals == 0
    assert seen.server_connections <= SERVER_CONNECTIONS_MAX


async def let_in(outside: Outside) -> None:
    """docs/install.md, step 4: once the migrations have made the roles, each gets its password."""

    async def made() -> int:
        connection = await asyncpg.connect(outside.owner_url)
        try:
            count: int = await connection.fetchval(_ROLES_MADE, list(outside.roles))
            return count
        finally:
            await connection.close()

    every = len(outside.roles)
    await until(made, lambda count: count == every, "the Job has made the roles", ROLES_SECONDS)
    await ensure_logins(outside.owner_url, outside.roles)


def _small(servers: SmallServers, simulator: Simulator) -> Outside:
    return Outside(
        telegram_port=simulator.port,
        bot_token=simulator.token,
        postgres_port=servers.pooler.port,
        redis_port=servers.valkey.port,
        owner_url=servers.owner_url,
        passwords=servers.passwords
        | {
            "database-password": servers.postgres.owner_password,
            "redis-password": servers.valkey.password,
        },
    )
