"""NetworkPolicies hold between real pods, through Services and DNS, on whatever enforces them.

On a node of ours that is `tests/cluster/node/policies.py`; what it is made of, every kind of rule
included, is tested beside the cluster (`tests/cluster/test_policies.py`).
"""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.binaries import component_path
from tests.cluster.control_plane import ControlPlane
from tests.cluster.namespaces import new_namespace
from tests.cluster.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

IMAGE = "purser/ledger:dev"
"""Any that has a Python."""
GRPC, HEALTH = 50051, 50052
READY_WITHIN = "90s"
PART_LABEL = "app.kubernetes.io/name"

LISTEN = """
import signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
held = [socket.create_server(("0.0.0.0", port)) for port in (50051, 50052)]
signal.pause()
"""
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()
except socket.gaierror:
    print("no such name")
except OSError:
    print("not reached")
else:
    print("reached")
"""

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(part: str) -> dict[str, Any]:
    """A pod that listens on two ports and is probed on one of them."""
    container = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", LISTEN],
        "ports": [{"name": "grpc", "containerPort": GRPC}],
        "readinessProbe": {"tcpSocket": {"port": HEALTH}, "periodSeconds": 1},
        "securityContext": RESTRICTED,
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": part, "labels": {PART_LABEL: part}},
        "spec": {
            "containers": [container],
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 2,
        },
    }


def policy(name: str, part: str | None, **directions: list[dict[str, Any]]) -> dict[str, Any]:
    """A policy in both directions about one part, or about all; what is not given is denied."""
    selector = {} if part is None else {"matchLabels": {PART_LABEL: part}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": selector, "policyTypes": ["Ingress", "Egress"], **directions},
    }


def peer(part: str) -> list[dict[str, Any]]:
    """The pods of a part of the same namespace."""
    return [{"podSelector": {"matchLabels": {PART_LABEL: part}}}]


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "wallet"},
    "spec": {
        "selector": {PART_LABEL: "wallet"},
        # Not the pods' numbers: what policies are about is behind the Service.
        "ports": [
            {"name": "grpc", "port": 80, "targetPort": "grpc"},
            {"name": "health", "port": 81, "targetPort": HEALTH},
        ],
    },
}
DNS = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ],
    # Its pods' port, which is not 53 wherever they may not open that one.
    "ports": [{"port": port, "protocol": "UDP"} for port in (53, 5353)],
}
TO_WALLET = {"to": peer("wallet"), "ports": [{"port": "grpc"}]}
FROM_WORKER = {"from": peer("worker"), "ports": [{"port": "grpc"}]}


@dataclass
class Pods:
    """A namespace with the pods of three parts."""

    kubeconfig: Path
    namespace: str

    def kubectl(self, *arguments: str, manifests: list[dict[str, Any]] | None = None) -> str:
        """What kubectl printed; a failure fails the test with what it said."""
        finished = subprocess.run(
            [
                str(component_path("kubectl")),
                f"--kubeconfig={self.kubeconfig}",
                f"--namespace={self.namespace}",
                *arguments,
            ],
            input=yaml.safe_dump_all(manifests or []),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout.strip()

    def calling(self, source: str, target: str, port: int) -> Callable[[], Awaitable[str]]:
        """Asks a pod to connect, and says how that went."""
        command = ("exec", source, "--", "python", "-c", CONNECT, target, str(port))
        return lambda: asyncio.to_thread(self.kubectl, *command)

    async def expect(self, answer: str, source: str, target: str, port: int) -> None:
        """A connection goes so, soon."""
        call = self.calling(source, target, port)
        await until(call, lambda said: said == answer, f"{source} to {target}:{port} {answer}", 30)


@pytest.fixture(scope="module")
def pods(cluster: ControlPlane) -> Iterator[Pods]:
    """Three pods that run, the wallet behind a Service, and no policy yet."""
    with new_namespace(cluster) as namespace:
        made = Pods(cluster.kubeconfig, namespace)
        parts = ("wallet", "worker", "gateway")
        made.kubectl("apply", "-f", "-", manifests=[SERVICE, *map(pod, parts)])
        made.kubectl("wait", "--for=condition=Ready", f"--timeout={READY_WITHIN}", "pod", *parts)
        yield made


async def test_who_may_speak_to_whom_is_what_the_policies_say(pods: Pods) -> None:
    """First all may; then nobody, not even with the DNS; then the worker with the wallet's gRPC."""
    for source in ("worker", "gateway"):
        await pods.expect("reached", source, "wallet", 80)
        await pods.expect("reached", source, "wallet", 81)

    pods.kubectl("apply", "-f", "-", manifests=[policy("deny", None)])
    await pods.expect("no such name", "worker", "wallet", 80)
    address = pods.kubectl("get", "pod", "wallet", "-o", "jsonpath={.status.podIP}")
    await pods.expect("not reached", "worker", address, GRPC)

    opened = [
        policy("names", None, egress=[DNS]),
        policy("wallet", "wallet", ingress=[FROM_WORKER]),
        policy("worker", "worker", egress=[TO_WALLET]),
        policy("gateway", "gateway", egress=[TO_WALLET]),
    ]
    pods.kubectl("apply", "-f", "-", manifests=opened)
    await pods.expect("reached", "worker", "wallet", 80)
    await pods.expect("not reached", "gateway", "wallet", 80)  # the wallet does not admit it
    await pods.expect("not reached", "worker", "wallet", 81)  # nor on this port


async def test_a_new_pod_is_what_its_labels_say(pods: Pods) -> None:
    """The wallet's address is another one then; the policies are the same."""
    pods.kubectl("apply", "-f", "-", manifests=[policy("deny", None)])
    pods.kubectl("delete", "pod", "wallet")
    pods.kubectl("apply", "-f", "-", manifests=[pod("wallet")])
    pods.kubectl("wait", "--for=condition=Ready", f"--timeout={READY_WITHIN}", "pod", "wallet")

    await pods.expect("reached", "worker", "wallet", 80)
    await pods.expect("not reached", "gateway", "wallet", 80)


async def test_a_pod_that_nobody_reaches_is_ready_all_the_same(pods: Pods) -> None:
    """Its probes come from the node, which no policy keeps out: it got Ready under the policies,
    and its restarts and its readiness say that it is still.
    """
    said = pods.kubectl(
        "get",
        "pod",
        "gateway",
        "wallet",
        "-o",
        "jsonpath={.items[*].status.containerStatuses[*].ready}",
    )
    assert said == "true true"
