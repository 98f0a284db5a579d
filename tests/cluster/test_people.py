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
from tests.cluster.binaries import component_path
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

    def __init__(
        self, home: Path, kubeconfig: Path, namespace: str, settings: dict[str, str]
    ) -> None:
        # kubectl finds the plugin where the package put it, and the plugin finds kubectl.
        programs = [Path(sys.executable).parent, component_path("kubectl").parent]
        self._environment = {
            "PATH": os.pathsep.join([*map(str, programs), "/usr/bin", "/bin"]),
            "HOME": str(home),
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
        finished = self.attempt(*arguments)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    def attempt(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run any program, whatever comes of it."""
        return subprocess.run(
            arguments,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


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
        self,
        served: str,
        control_plane: ControlPlane,
        settings: dict[str, str],
        tmp_path: Path,
    ) -> None:
        """With an SRE's own credentials the Events are shown, too."""
        person = Person(tmp_path, control_plane.kubeconfig, served, settings)

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
        self,
        served: str,
        control_plane: ControlPlane,
        settings: dict[str, str],
        tmp_path: Path,
    ) -> None:
        """Events, and nothing else: the rest needs no right the operator has not."""
        kubeconfig = control_plane.kubeconfig_for(served, "purser-operator")
        seen = json.loads(
            Person(tmp_path, kubeconfig, served, settings).describe("main", "-o", "json")
        )

        assert [f"These credentials may not read the Events of {served}."] == seen["problems"]
        (pool,) = seen["pools"]
        assert pool["events"] is None
        assert pool["declared"] is not None
        assert pool["target"] is not None
        assert seen["lease"]["holder"]

    async def test_what_no_operator_has_served_yet_is_shown_as_that(
        self,
        defined: None,
        api: KubernetesApi,
        namespace: str,
        control_plane: ControlPlane,
        settings: dict[str, str],
        tmp_path: Path,
    ) -> None:
        """The UserShard alone: no pool, no StatefulSet, no Lease, and each is said."""
        await Subject(api, namespace).create()
        person = Person(tmp_path, control_plane.kubeconfig, namespace, settings)
        seen = json.loads(person.describe("main", "-o", "json"))

        assert [
            f"There is no StatefulSet {namespace}/{TARGET}.",
            f"There is no Lease {namespace}/purser-operator.",
        ] == seen["problems"]
        assert seen["pools"][0]["policy"] is None
        assert "none in PostgreSQL: no operator has served it yet" in person.describe("main")


class TestKubectl:
    """The plugin, started by kubectl itself."""

    def test_kubectl_finds_it(self, control_plane: ControlPlane, tmp_path: Path) -> None:
        """Under the name it is called by."""
        person = Person(tmp_path, control_plane.kubeconfig, "default", {})

        assert "kubectl-purser" in person.run("kubectl", "plugin", "list")
        assert "usage: kubectl purser" in person.run("kubectl", "purser", "--help")

    async def test_it_describes_from_outside(
        self,
        served: str,
        control_plane: ControlPlane,
        settings: dict[str, str],
        tmp_path: Path,
    ) -> None:
        """With the settings in the environment; the context is kubectl's, or the one that is
        named, and so is the namespace."""
        person = Person(tmp_path, control_plane.kubeconfig, "elsewhere", settings)
        page = person.run("kubectl", "purser", "describe", "main", "-n", served)
        assert f"POOL {served}.main" in page
        assert f"UserShard   {served}/main" in page

        config = yaml.safe_load(control_plane.kubeconfig.read_text())
        (context,) = config["contexts"]
        named = {**context, "name": "named"}
        named["context"] = {**context["context"], "namespace": served}
        nowhere = {**context, "context": {**context["context"], "user": "nobody"}}
        config |= {"contexts": [nowhere, named], "current-context": context["name"]}
        file = tmp_path / "two.kubeconfig"
        file.write_text(yaml.safe_dump(config))
        person = Person(tmp_path, Path("/nonexistent"), "", settings)
        page = person.run(
            *("kubectl", "purser", "--kubeconfig", str(file), "describe", "--context", "named"),
            *("main", "-o", "json"),
        )
        seen = json.loads(page)
        assert f"{served}.main" == seen["pools"][0]["name"]
        assert [] == seen["problems"]
        assert seen["lease"] is not None

    def test_without_settings_it_asks_the_operators_pod(
        self, control_plane: ControlPlane, namespace: str, tmp_path: Path
    ) -> None:
        """By `kubectl exec`, here of a deployment there is not."""
        person = Person(tmp_path, control_plane.kubeconfig, namespace, {})
        finished = person.attempt("kubectl", "purser", "describe", "main", "-n", namespace)

        assert 1 == finished.returncode
        assert 'deployments.apps "purser-operator" not found' in finished.stderr
