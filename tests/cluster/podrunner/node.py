"""The Node object that pods are bound to, and the heartbeat without which its pods would be
evicted.
"""

import asyncio
import datetime as dt
import logging
import platform

import aiohttp
from tests.cluster.api import ApiError, JsonObject, KubernetesApi, resource_path
from tests.cluster.podrunner.status import timestamp

PODS_MAX = 200

HEARTBEAT_PERIOD_SECONDS = 10.0
LEASE_DURATION_SECONDS = 40
"""Both a kubelet's. The node lifecycle controller gives up on a node after 50 s without a renewal.
"""

# Processes here share the machine without limits, so the scheduler shall never find the node full
# but of pods.
_CAPACITY = {
    "cpu": "1000",
    "memory": "1000Gi",
    "ephemeral-storage": "1000Gi",
    "pods": str(PODS_MAX),
}

_log = logging.getLogger(__name__)


async def ensure_node(api: KubernetesApi, name: str, address: str) -> None:
    """Makes the node exist, Ready and with its capacity, whatever was there before."""
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(
            platform.machine(), platform.machine()
        ),
    }
    node: JsonObject = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
    }
    await api.apply(resource_path("v1", "nodes", name=name), node, "pod-runner")
    now = timestamp()
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "PodRunnerReady",
        "message": "the pod runner runs pods as local processes",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    status = {
        "capacity": _CAPACITY,
        "allocatable": _CAPACITY,
        "conditions": [ready],
        "addresses": [
            {"type": "InternalIP", "address": address},
            {"type": "Hostname", "address": name},
        ],
        "nodeInfo": {"kubeletVersion": "pod-runner"},
    }
    await api.merge(
        resource_path("v1", "nodes", name=name, subresource="status"),
        {"status": status},
        strategic=True,
    )


async def beat(api: KubernetesApi, name: str) -> None:
    """Renews the node's Lease for ever. A renewal that fails is tried again at the next beat."""
    path = resource_path("coordination.k8s.io/v1", "leases", "kube-node-lease", name)
    while True:
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        lease: JsonObject = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "namespace": "kube-node-lease"},
            "spec": {
                "holderIdentity": name,
                "leaseDurationSeconds": LEASE_DURATION_SECONDS,
                "renewTime": now,
            },
        }
        try:
            await api.apply(path, lease, "pod-runner")
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            _log.warning("heartbeat: %r", error)
        await asyncio.sleep(HEARTBEAT_PERIOD_SECONDS)
