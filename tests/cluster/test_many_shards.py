"""20,000 shards, a million users, 400 workers: what the operator costs, and what it writes.

The workers are rows (`many_workers`); their StatefulSet and its 400 pods are real objects that
nobody runs.
"""

import asyncio
import json
import os
import re
import time
from pathlib import Path

import aiohttp
import pytest
from tests.cluster.api import KubernetesApi, resource_path
from tests.cluster.figures import Figures
from tests.cluster.many_workers import ManyWorkers, many_workers
from tests.cluster.operators import TARGET, OperatorFactory, OperatorProcess, target_manifest
from tests.cluster.subject import Subject
from tests.cluster.waiting import until

from devbox.database import Database
from shard_operator.usershard import WORKERS_IN_STATUS_MAX

SHARDS, WORKERS, USERS_PER_SHARD = 20_000, 400, 50
REST_SECONDS = 30.0
SETTLED_SECONDS = 10.0
"""Without a moved shard for so long nothing moves any more."""
MEMORY_MEGABYTES_MAX = 130
STATUS_BYTES_MAX = 64 * 1024
PASS_SECONDS_MAX = 3.0
"""A pass that took longer than the poll would never rest."""

pytestmark = pytest.mark.timeout(600)


async def passes(operator: OperatorProcess) -> tuple[int, float]:
    """How many passes there were, and the seconds they took."""
    address = operator.field_of("metrics_served", "address")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{address}/metrics") as response,
    ):
        text = await response.text()
    found = [
        re.search(rf"^purser_operator_reconcile_seconds_{name}{{.*}} (\S+)$", text, re.MULTILINE)
        for name in ("count", "sum")
    ]
    count, seconds = (float(match[1]) if match else 0.0 for match in found)
    return int(count), seconds


def cpu_seconds(operator: OperatorProcess) -> float:
    """User and system time of its process so far."""
    fields = Path(f"/proc/{operator.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def until_settled(many: ManyWorkers) -> None:
    """Wait until no shard moved for a while."""
    moved, since = -1, time.monotonic()
    async with asyncio.timeout(300):
        while time.monotonic() - since < SETTLED_SECONDS:
            if many.moved != moved:
                moved, since = many.moved, time.monotonic()
            await asyncio.sleep(1)


async def test_twenty_thousand_shards_cost_little_and_the_status_stays_bounded(
    operators: OperatorFactory,
    subject: Subject,
    api: KubernetesApi,
    namespace: str,
    database: Database,
    figures: Figures,
) -> None:
    """Memory, processor at rest, the time of a pass, the bytes of a status."""
    target = target_manifest()
    target["spec"]["replicas"] = WORKERS
    await api.create(resource_path("apps/v1", "statefulsets", namespace), target)
    async with many_workers(
        database,
        f"{namespace}.main",
        shards=SHARDS,
        workers=WORKERS,
        users_at_most=USERS_PER_SHARD,
    ) as many:
        await subject.create(
            workers={"minReplicas": WORKERS, "maxReplicas": WORKERS, "shardsPerWorkerMax": 60}
        )
        operator = operators.start(metrics_address="127.0.0.1:0")
        await subject.until_condition("Ready", "True", "ShardsServed")
        await until_all_pods_are_there(api, namespace)
        await until_settled(many)

        before, used = await passes(operator), cpu_seconds(operator)
        await asyncio.sleep(REST_SECONDS)
        after, cpu = await passes(operator), cpu_seconds(operator) - used
        status = (await subject.read())["status"]
        reassigned = await many.kill(f"{TARGET}-7")

    pass_seconds = (after[1] - before[1]) / (after[0] - before[0])
    size = len(json.dumps(status))
    note = figures.note
    scenario = "20,000 shards on 400 workers, at rest"
    note(scenario, "memory, MB PSS", operator.pss_megabytes(), MEMORY_MEGABYTES_MAX)
    note(scenario, "processor, % of a core", cpu / REST_SECONDS * 100, None)
    note(scenario, "a pass, seconds", pass_seconds, None)
    note(scenario, "passes a minute", (after[0] - before[0]) * 60 / REST_SECONDS, None)
    note(scenario, "a dead worker's shards assigned after its lease, seconds", reassigned, 2.0)
    note(scenario, "status, bytes", size, STATUS_BYTES_MAX)
    assert status["shards"] == SHARDS
    assert len(status["workers"]) == WORKERS_IN_STATUS_MAX
    assert size <= STATUS_BYTES_MAX
    assert operator.pss_megabytes() <= MEMORY_MEGABYTES_MAX
    assert pass_seconds <= PASS_SECONDS_MAX


async def until_all_pods_are_there(api: KubernetesApi, namespace: str) -> None:
    """Wait for the StatefulSet's controller, which makes them some twenty a second."""
    path = resource_path("apps/v1", "statefulsets", namespace, TARGET)

    async def made() -> int:
        count: int = (await api.get(path))["status"].get("replicas", 0)
        return count

    await until(made, lambda count: count == WORKERS, "all pods made", within_seconds=180)
