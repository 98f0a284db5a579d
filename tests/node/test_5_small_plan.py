"""The small plan on real pods, with servers outside the cluster as managed ones are."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
import yaml
from redis.asyncio import Redis
from tests.cluster.control_plane import ControlPlane
from tests.cluster.figures import Figures
from tests.cluster.node.keeping import Node
from tests.cluster.operators import TREE
from tests.e2e.reconciling import assert_reconciled
from tests.load.crowd import Crowd
from tests.load.latency import percentile
from tests.load.mix import DAY
from tests.load.pooler import SERVER_CONNECTIONS_MAX
from tests.load.schedule import first_contacts, steady
from tests.load.small_plan import DATABASE, USERS
from tests.node.outside import connected
from tests.node.page_commands import Shell, lines_of, steps_of
from tests.node.pod_memory import memory_of_parts
from tests.node.release import Release
from tests.node.small_house import SmallHouse, standing_small_house

from devbox.servers import embedded_postgres

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

SIGN_UPS_PER_SECOND, UPDATES_PER_SECOND, BUSY_SECONDS = 20.0, 10.0, 20.0
GREEDY_UPDATES_PER_SECOND, GREEDY_SECONDS = 20.0, 30.0
MEMORY_GOAL_MEGABYTES, REDIS_GOAL_MEGABYTES = 1024, 20
DUMP_AFTER_SECONDS = 5.0
FENCED_EPOCHS = 1_000_000
"""By as much `after-restore` raises each epoch."""
SERVING = ("purser-pricing", "purser-wallet", "purser-ledger", "purser-gateway")
BACK_UP = TREE / "docs/back-up.md"
STOP, MAKE_ROLES, FILL, FENCE = 1, 2, 3, 4
"""Steps of the page."""
_USERS = "SELECT count(*) FROM gateway.users"
_UNDONE = "SELECT count(*) FROM gateway.inbox WHERE done_at IS NULL"
_EPOCHS = "SELECT min(epoch) FROM placement.shards WHERE users > 0"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def small(
    own_node: Node, cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SmallHouse]:
    """One installation for the tests of this file."""
    folder = tmp_path_factory.mktemp("small")
    name = f"small-{uuid4().hex[:6]}"
    release = Release(cluster.kubeconfig, name, folder, plan="values-small.yaml")
    async with standing_small_house(release, folder) as house:
        yield house


async def test_500_users_fit(small: SmallHouse, figures: Figures) -> None:
    """They sign up, then comes a busy moment: everybody is answered, and every limit of the
    managed servers is kept.
    """
    crowd = Crowd(small.simulator, seed=1)
    await small.load(crowd, first_contacts(range(USERS), SIGN_UPS_PER_SECOND))
    busy = steady(USERS, UPDATES_PER_SECOND, BUSY_SECONDS, DAY, seed=1)
    load = await small.load(crowd, busy)
    memory = await memory_of_parts(small.release)
    async with connected(small.servers.owner_url) as connection:
        await assert_reconciled(connection)
        assert await connection.fetchval("SELECT count(*) FROM ledger.trades")
    async with Redis.from_url(small.servers.valkey.url()) as redis:
        redis_megabytes = (await redis.info("memory"))["used_memory_peak"] / 2**20
    await small.release.helm("test", "purser")

    def note(figure: str, value: float, goal: float | None = None) -> None:
        figures.note("small plan", figure, value, goal)

    note("update to answer, s, p50", percentile(load.latencies, 0.5))
    note("update to answer, s, p99", percentile(load.latencies, 0.99))
    note("memory of all pods, MiB", sum(memory.values()), MEMORY_GOAL_MEGABYTES)
    for part, size in sorted(memory.items()):
        note(f"memory of {part}, MiB", size)
    note("Redis at most, MB", redis_megabytes, REDIS_GOAL_MEGABYTES)
    connections = small.seen.server_connections
    note("connections to PostgreSQL at most", connections, SERVER_CONNECTIONS_MAX)
    assert sum(memory.values()) < MEMORY_GOAL_MEGABYTES
    assert redis_megabytes < REDIS_GOAL_MEGABYTES
    assert connections <= SERVER_CONNECTIONS_MAX


async def test_beside_greedy_neighbours_answers_come_late_and_all_come(
    small: SmallHouse, figures: Figures
) -> None:
    """Others keep all processors busy for a while. The plan requests little, so people wait;
    when the others have gone everything they wrote is answered, once.
    """
    crowd = Crowd(small.simulator, seed=4)
    async with asyncio.TaskGroup() as group:
        busy = steady(USERS, GREEDY_UPDATES_PER_SECOND, GREEDY_SECONDS, DAY, seed=4)
        loading = group.create_task(small.load(crowd, busy))
        with greedy_neighbours():
            await asyncio.sleep(GREEDY_SECONDS)
    load = loading.result()
    for figure, value in (
        ("p50", percentile(load.latencies, 0.5)),
        ("longest", max(load.latencies)),
    ):
        figures.note("small plan", f"beside greedy neighbours, s, {figure}", value, None)
    assert load.unasked == 0
    async with connected(small.servers.owner_url) as connection:
        await assert_reconciled(connection)
        assert await connection.fetchval(_UNDONE) == 0


async def test_a_restore_by_the_page(small: SmallHouse, tmp_path: Path) -> None:
    """docs/back-up.md, typed: dumped under load, restored to another server that knows no roles.
    The books agree, everything accepted is done, and people trade on.

    Whether each job was done once is judged where a whole history is kept (tests/e2e).
    """
    release, old = small.release, small.servers.postgres
    restore = steps_of(BACK_UP, "Restore")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(small.outside.values))
    load = steady(USERS, UPDATES_PER_SECOND, 3 * DUMP_AFTER_SECONDS, DAY, seed=2)
    at_the_old_one = Shell(release, tmp_path, old)
    async with asyncio.TaskGroup() as group:
        group.create_task(small.load(Crowd(small.simulator, seed=2), load))
        await asyncio.sleep(DUMP_AFTER_SECONDS)
        await at_the_old_one(lines_of(BACK_UP, "pg_dump"))
    await at_the_old_one(restore[STOP])

    async with contextlib.AsyncExitStack() as stack:
        new = await stack.enter_async_context(
            embedded_postgres(tmp_path / "new", owner_password=old.owner_password)
        )
        await stack.enter_async_context(small.pooled(new, tmp_path / "pooler"))
        at_the_new_one = Shell(release, tmp_path, new)
        for step in (MAKE_ROLES, FILL, FENCE):
            await at_the_new_one(restore[step])
        async with connected(new.owner_url(DATABASE)) as connection:
            assert await connection.fetchval(_USERS) == USERS
            assert await connection.fetchval(_EPOCHS) > FENCED_EPOCHS
            await assert_reconciled(connection)
        async with Redis.from_url(small.servers.valkey.url()) as redis:
            await redis.flushall()
        await small.let_in(new.owner_url(DATABASE))
        for deployments in (SERVING, ("purser-operator",)):
            await release.kubectl("scale", "deployment", *deployments, "--replicas=1")
        await release.kubectl("wait", "--for=condition=Ready", "ush/main", "--timeout=300s")

        again = steady(USERS, UPDATES_PER_SECOND, DUMP_AFTER_SECONDS, DAY, seed=3)
        await small.load(Crowd(small.simulator, seed=3), again)
        async with connected(new.owner_url(DATABASE)) as connection:
            assert await connection.fetchval(_UNDONE) == 0
            await assert_reconciled(connection)


@contextlib.contextmanager
def greedy_neighbours() -> Iterator[None]:
    """Processes beside the pods that take what they can get, eight for each processor."""
    count = 8 * (os.cpu_count() or 1)
    greedy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in greedy:
            process.kill()
            process.wait()
