"""The chart on a real API server: every pod of it is admitted where Pod Security enforces
"restricted", an upgrade undoes nothing of the operator's, and what exists before a release stays
after it.

No node runs the pods here; what they do is a node's to show.
"""

import asyncio
import functools
import json
from collections.abc import Callable
from typing import Any

import helm_python
import pytest
from tests.cluster.conftest import Kubectl
from tests.cluster.control_plane import ControlPlane
from tests.cluster.waiting import until
from tests.contract.rendering import CHART, plan

RELEASE = "purser"

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("defined")]


@pytest.fixture
def helm(control_plane: ControlPlane, namespace: str, kubectl: Kubectl) -> helm_python.Config:
    """Helm, in a namespace that admits restricted pods only."""
    for mode in ("enforce", "warn"):
        kubectl("label", "namespace", namespace, f"pod-security.kubernetes.io/{mode}=restricted")
    return helm_python.Config(kubeconfig_path=control_plane.kubeconfig, namespace=namespace)


def listed(kubectl: Kubectl, kind: str) -> dict[str, Any]:
    """The objects of a kind, by name."""
    return {
        found["metadata"]["name"]: found
        for found in json.loads(kubectl("get", kind, "-o", "json"))["items"]
    }


def without_pods(kubectl: Kubectl) -> list[str]:
    """What asks for pods that were not made, with what its controller says of it."""
    lacking = []
    for kind in ("replicasets", "statefulsets", "jobs"):
        for name, found in listed(kubectl, kind).items():
            status, wanted = found.get("status", {}), found["spec"].get("replicas", 1)
            made = status.get("active", 0) if kind == "jobs" else status.get("replicas", 0)
            if made < wanted:
                said = [entry["message"] for entry in status.get("conditions", [])]
                lacking.append(f"{kind}/{name}: {said}")
    return lacking


async def comes_to(look: Callable[[], Any], wanted: Any, hope: str) -> None:
    """Wait until a look gives what is wanted."""
    await until(lambda: asyncio.to_thread(look), lambda seen: bool(seen == wanted), hope, 30.0)


@pytest.mark.parametrize("name", ["dev", "everything"])
async def test_every_pod_is_admitted_as_restricted(
    name: str, helm: helm_python.Config, namespace: str, kubectl: Kubectl
) -> None:
    """Deployments, workers, servers of the trial and the migrations' Job."""
    values = plan(name)
    if name == "everything":  # no foreign definitions here
        values = values | {"tls": {}, "telemetry": {"otlpEndpoint": "http://collector:4317"}}

    helm.install(str(CHART), RELEASE, values, namespace=namespace, wait="hookOnly")

    await comes_to(lambda: without_pods(kubectl), [], "every pod is made")
    pods = listed(kubectl, "pods").values()
    assert {pod["metadata"]["labels"]["app.kubernetes.io/name"] for pod in pods} == {
        *("gateway", "user-worker", "pricing", "wallet", "ledger", "operator", "migrations"),
        *("postgres", "valkey", "simulator"),
    }
    helm.uninstall(RELEASE)


async def test_an_upgrade_leaves_the_number_of_workers_and_runs_a_new_job(
    helm: helm_python.Config, namespace: str, kubectl: Kubectl
) -> None:
    """The count is the operator's. A Job cannot be changed, so there is another one."""
    values = plan("dev")
    helm.install(str(CHART), RELEASE, values, namespace=namespace, wait="hookOnly")
    kubectl("scale", "statefulset/purser-user-worker", "--replicas=3")
    (first,) = listed(kubectl, "jobs")

    newer = values | {"image": {"tag": "newer"}}
    helm.upgrade(str(CHART), RELEASE, newer, namespace=namespace, wait="hookOnly")

    worker = listed(kubectl, "statefulsets")["purser-user-worker"]
    assert worker["spec"]["replicas"] == 3
    (container,) = worker["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "purser/user-worker:newer"
    await comes_to(lambda: first in listed(kubectl, "jobs"), False, "the older Job goes")
    (second,) = listed(kubectl, "jobs")
    assert first != second

    helm.rollback(RELEASE)

    worker = listed(kubectl, "statefulsets")["purser-user-worker"]
    assert worker["spec"]["replicas"] == 3
    helm.uninstall(RELEASE)


async def test_uninstalling_leaves_the_definition_and_the_secrets(
    helm: helm_python.Config, namespace: str, kubectl: Kubectl
) -> None:
    """They were there before; everything of the release goes."""
    kubectl("create", "secret", "generic", "purser-wallet", "--from-literal=key-encryption-key=k")
    helm.install(str(CHART), RELEASE, plan("dev"), namespace=namespace, wait="hookOnly")
    assert listed(kubectl, "usershards").keys() == {"main"}

    helm.uninstall(RELEASE)

    kubectl("get", "crd/usershards.purser.dev")
    assert "purser-wallet" in listed(kubectl, "secrets")
    for kind in ("usershards", "deployments", "statefulsets", "services", "networkpolicies"):
        look = functools.partial(listed, kubectl, kind)
        await comes_to(look, {}, f"{kind} of the release go")
