"""What people type, against a real API server: describe, and kubectl with the plugin.

The operator runs as a process under its own service account; the test plays the workers.
"""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis.asyncio import Redis
from tests.cluster.api import KubernetesApi
from tests.cluster.conftest import Kubectl
from tests.cluster.control_plane import ControlPlane
from tests.cluster.operators import (
    TARGET,
    OperatorFactory,
    PlayedWorkers,
    make_shards,
    playing_workers,
)
from tests.cluster.subject import Subject
from tests.cluster.waiting import eventually

from chassis.streams import append_many
from devbox.database import Database
from kernel.names import jobs_stream
from kernel.sharding import ShardKey

SHARDS = 4
JOBS_PER_SHARD = 5

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def workers(
    defined: None,
    kubectl: Kubectl,
    api: KubernetesApi,
    namespace: str,
    database: Database,
    tmp_path: Path,
) -> AsyncIterator[PlayedWorkers]:
    """The workers of a StatefulSet whose pods nobody runs."""
    labels = {"app": TARGET}
    file = tmp_path / "target.yaml"
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": TARGET},
        "spec": {
            "serviceName": TARGET,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "worker", "image": "none"}]},
            },
        },
    }
    file.write_text(yaml.safe_dump(manifest))
    kubectl("apply", "-f", str(file))
    async with playing_workers(api, namespace, database) as played:
        yield played


@pytest.fixture
async def served(
    workers: PlayedWorkers,
    operators: OperatorFactory,
    api: KubernetesApi,
    namespace: str,
    database: Database,
    redis_url: str,
) -> str:
    """A pool that is served, with jobs waiting in it; its namespace."""
    await make_shards(database, workers.pool, SHARDS)
    keys = [ShardKey(workers.pool, shard) for shard in range(SHARDS)] * JOBS_PER_SHARD
    async with Redis.from_url(redis_url) as redis:
        await append_many(redis, [(jobs_stream(key), b"job") for key in keys])
    # Nobody works these jobs: their age must not add workers.
    await Subject(api, namespace).create(scaling={"targetOldestJobSeconds": 3600})
    await operators.start().until("leading")

    async def is_served() -> bool:
        return sum((await workers.shards_of()).values()) == SHARDS

    await eventually(is_served)
    return namespace


class Person:
    """Somebody with a shell, the operator's settings in it, and a kubeconfig."""

    def __init__(self, kubeconfig: Path, namespace: str, settings: dict[str, str]) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "KUBECONFIG": str(kubeconfig),
            "OPERATOR_NAMESPACE": namespace,
            "COLUMNS": "100",
            **settings,
        }

    def describe(self, *arguments: str) -> str:
        """What is shown."""
        return self.run(sys.executable, "-m", "shard_operator", "describe", *arguments)

    def run(self, *arguments: str) -> str:
        """Run any program; what it printed."""
        finished = subprocess.run(
            arguments,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout


@pytest.fixture
def settings(database: Database, redis_url: str) -> dict[str, str]:
    """Where PostgreSQL and Redis are."""
    return {
        "OPERATOR_DATABASE_URL": database.url("purser_operator"),
        "OPERATOR_REDIS_URL": redis_url,
    }


class TestDescribe:
    """Everything three sources know, together."""

    async def test_it_shows_the_pool_its_object_and_who_leads(
        self, served: str, control_plane: ControlPlane, settings: dict[str, str]
    ) -> None:
        """With an SRE's own credentials the Events are shown, too."""
        person = Person(control_plane.kubeconfig, served, settings)

        async def is_told() -> bool:
            pool = json.loads(person.describe("main", "-o", "json"))["pools"][0]
            return bool(pool["events"] and pool["declared"]["conditions"])

        await eventually(is_told)
        seen: dict[str, Any] = json.loads(person.describe("main", "-o", "json"))
        page = person.describe("main")

        assert [] == seen["problems"]
        assert ("purser-operator", 15) == (seen["lease"]["name"], seen["lease"]["duration_seconds"])
        assert seen["lease"]["holder"]
        (pool,) = seen["pools"]
        assert f"{served}.main" == pool["name"]
        assert SHARDS * JOBS_PER_SHARD == pool["backlog"]
        assert (2, TARGET) == (pool["target"]["asked"], pool["target"]["name"])
        assert "Rebalanced" in {event["reason"] for event in pool["events"]}
        assert {"Ready", "ScalingActive"} < {c["type"] for c in pool["declared"]["conditions"]}
        assert f"UserShard   {served}/main, generation 1" in page
        assert "EVENTS, the last first" in page
        assert "LEASE" in page

    async def test_the_service_account_is_told_what_it_may_not_read(
        self, served: str, control_plane: ControlPlane, settings: dict[str, str]
    ) -> None:
        """Events, and nothing else: the rest needs no right the operator has not."""
        kubeconfig = control_plane.kubeconfig_for(served, "purser-operator")
        seen = json.loads(Person(kubeconfig, served, settings).describe("main", "-o", "json"))

        assert [f"These credentials may not read the Events of {served}."] == seen["problems"]
        (pool,) = seen["pools"]
        assert pool["events"] is None
        assert pool["declared"] is not None
        assert pool["target"] is not None
        assert seen["lease"]["holder"]
