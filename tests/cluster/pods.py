"""Pods for tests, and questions to ask about them."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.cluster.api import ApiError, JsonObject, KubernetesApi, resource_path
from tests.cluster.waiting import WITHIN_SECONDS

QUICK_PROBE = {"periodSeconds": 1, "failureThreshold": 1}


def pods_path(namespace: str, name: str | None = None) -> str:
    """The address of a namespace's pods, or of one."""
    return resource_path("v1", "pods", namespace, name)


def shell_container(script: str, **fields: Any) -> JsonObject:
    """A container `c` that runs a shell script and knows its pod's address as ADDRESS."""
    address = {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    env = [address, *fields.pop("env", [])]
    return {"name": "c", "image": "none", "command": ["sh", "-c", script], "env": env, **fields}


async def create_pod(
    api: KubernetesApi,
    namespace: str,
    script: str,
    *,
    name: str = "a",
    spec: JsonObject | None = None,
    **container: Any,
) -> None:
    """Creates a pod of one `shell_container`; `spec` adds to the pod's, `container` to the
    container's.
    """
    body = {
        "metadata": {"name": name, "labels": {"app": f"app-of-{name}"}},
        "spec": {"containers": [shell_container(script, **container)], **(spec or {})},
    }
    await api.create(pods_path(namespace), body)


async def pod_when(
    api: KubernetesApi,
    namespace: str,
    name: str,
    holds: Callable[[JsonObject], bool],
    within_seconds: float = WITHIN_SECONDS,
) -> JsonObject:
    """The pod as it was when `holds` first said yes to it. Every state it goes through is asked
    about.
    """
    async with asyncio.timeout(within_seconds):
        async for event in api.follow(pods_path(namespace), fieldSelector=f"metadata.name={name}"):
            for pod in event.objects:
                if holds(pod):
                    return pod
    raise AssertionError("a follower never ends")


async def pod_is_gone(api: KubernetesApi, namespace: str, name: str) -> bool:
    """Whether the server knows no such pod."""
    try:
        await api.get(pods_path(namespace, name))
    except ApiError as error:
        if error.status == 404:
            return True
        raise
    return False


def container_status(pod: JsonObject) -> JsonObject:
    """The status of the pod's one container; before it has one, an empty one."""
    nothing: list[JsonObject] = [{"state": {}, "lastState": {}, "restartCount": 0}]
    statuses: list[JsonObject] = pod["status"].get("containerStatuses") or nothing
    return statuses[0]


def is_running(pod: JsonObject) -> bool:
    """Whether the container's process runs."""
    return "running" in container_status(pod)["state"]


def is_ready(pod: JsonObject) -> bool:
    """Whether the pod has condition Ready."""
    conditions: list[JsonObject] = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def waiting_reason(pod: JsonObject) -> str:
    """Why the container does not run, in one word; empty when that is not its state."""
    reason: str = container_status(pod)["state"].get("waiting", {}).get("reason", "")
    return reason


def restarts(pod: JsonObject) -> int:
    """How often the container was restarted."""
    count: int = container_status(pod)["restartCount"]
    return count
