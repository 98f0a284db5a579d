"""The processes of one control plane: what each is started with, and how they come to know each
other.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from tests.cluster.api import resource_path
from tests.cluster.audit import audit_flags
from tests.cluster.binaries import component_path
from tests.cluster.certificates import Authority, signing_key, write_private
from tests.cluster.children import Child
from tests.cluster.errors import StartFailed
from tests.cluster.kubeconfig import write_kubeconfig

from devbox.ports import free_port

START_TIMEOUT_SECONDS = 60.0
"""A start takes ten seconds on two free cores; a machine that is busy building is given time."""

POLL_PERIOD_SECONDS = 0.1
SERVICE_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
"""By which pods call the API server."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a control plane listens."""

    address: str = "127.0.0.1"
    port: int | None = None
    """Of the API server; None takes a free one."""
    services: str = "10.250.0.0/16"
    """Of the Services' addresses. Without a node nothing answers there."""
    reached_by_pods: bool = False
    """Whether pods reach it, by the Service `kubernetes`; a loopback endpoint would be refused for
    that."""

    @property
    def service_address(self) -> str:
        """Of the Service `kubernetes`, by which pods call the API server: always the first one."""
        return str(ip_network(self.services)[1])


class Components:
    """The processes of one control plane, and the files that introduce them to each other."""

    def __init__(self, folder: Path, stack: ExitStack, place: Place = Place()) -> None:
        self._folder = folder
        self._place = place
        self._stack = stack
        self._children: dict[str, Child] = {}
        self._authority = Authority()
        self.etcd = f"http://127.0.0.1:{free_port()}"
        self._port = place.port or free_port()
        self._ca = folder / "ca.crt"
        write_private(self._ca, self._authority.certificate)
        self._account_key = folder / "service-accounts.key"
        write_private(self._account_key, signing_key())
        # system:masters is the one group RBAC lets do anything.
        self.admin = self._kubeconfig("admin", "admin", "system:masters")

    def start_etcd(self) -> None:
        """Where everything is kept."""
        peer = f"http://127.0.0.1:{free_port()}"
        self._start(
            "etcd",
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={self.etcd}",
            f"--advertise-client-urls={self.etcd}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--log-level=warn",
            # What is stored here need not survive the machine.
            "--unsafe-no-fsync",
        )

    def start_apiserver(self) -> None:
        """The API."""
        addresses = (self._place.address, self._place.service_address)
        server = self._authority.server("kube-apiserver", addresses, SERVICE_NAMES)
        certificate, key = server.write(self._folder, "kube-apiserver")
        self._start(
            "kube-apiserver",
            f"--etcd-servers={self.etcd}",
            f"--bind-address={self._place.address}",
            f"--secure-port={self._port}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--cert-dir={self._folder}",
            f"--client-ca-file={self._ca}",
            "--authorization-mode=Node,RBAC",
            f"--service-cluster-ip-range={self._place.services}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={self._account_key}",
            f"--service-account-key-file={self._account_key}",
            f"--endpoint-reconciler-type={'lease' if self._place.reached_by_pods else 'none'}",
            f"--advertise-address={self._place.address}",
            *self._kubelet_flags(),
            "--profiling=false",
            *audit_flags(self._folder, self._folder / "logs"),
        )

    def start_controllers(self) -> None:
        """What makes pods of StatefulSets, and what binds them to nodes."""
        manager = self._kubeconfig(
            "kube-controller-manager", "system:kube-controller-manager", "system:masters"
        )
        self._start(
            "kube-controller-manager",
            f"--kubeconfig={manager}",
            "--secure-port=0",
            "--leader-elect=false",
            f"--service-account-private-key-file={self._account_key}",
            f"--root-ca-file={self._ca}",
            "--profiling=false",
        )
        scheduler = self._kubeconfig("kube-scheduler", "system:kube-scheduler")
        self._start(
            "kube-scheduler",
            f"--kubeconfig={scheduler}",
            "--secure-port=0",
            "--leader-elect=false",
            "--profiling=false",
        )

    def kubeconfig_for_node(self, name: str) -> Path:
        """Who a kubelet is: the Node authorizer lets it see what its pods need, and no more."""
        return self._kubeconfig(f"node-{name}", f"system:node:{name}", "system:nodes")

    def kubeconfig_for_proxy(self) -> Path:
        """Who kube-proxy is."""
        return self._kubeconfig("kube-proxy", "system:kube-proxy")

    @property
    def authority(self) -> Path:
        """The certificate by which everybody here knows everybody."""
        return self._ca

    def kubelet_certificate(self, name: str, address: str) -> tuple[Path, Path]:
        """What a kubelet shows the API server; certificate and key."""
        return self._authority.server(name, [address]).write(self._folder, f"kubelet-{name}")

    def _kubelet_flags(self) -> list[str]:
        """How the API server asks a kubelet for logs, and to run something in a pod."""
        if not self._place.reached_by_pods:
            return []
        client = self._authority.client("kube-apiserver-kubelet-client", "system:masters")
        certificate, key = client.write(self._folder, "kubelet-client")
        return [
            f"--kubelet-client-certificate={certificate}",
            f"--kubelet-client-key={key}",
            f"--kubelet-certificate-authority={self._ca}",
            "--kubelet-preferred-address-types=InternalIP",
        ]

    def wait_for(self, name: str, condition: Callable[[], bool]) -> None:
        """Wait until a component is what it should be. Raises StartFailed."""
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not condition():
            for child in self._children.values():
                if not child.running:
                    raise StartFailed(f"{child.name} ended:\n{child.log_tail()}")
            if time.monotonic() > deadline:
                child = self._children[name]
                raise StartFailed(
                    f"{name} was not ready in {START_TIMEOUT_SECONDS:.0f} s:\n{child.log_tail()}"
                )
            time.sleep(POLL_PERIOD_SECONDS)

    def _kubeconfig(self, name: str, user: str, *groups: str) -> Path:
        return write_kubeconfig(
            self._folder / f"{name}.kubeconfig",
            f"https://{self._place.address}:{self._port}",
            self._authority.certificate,
            self._authority.client(user, *groups),
        )

    def child(self, name: str) -> Child:
        """The running process of a component."""
        return self._children[name]

    def start_again(self, name: str) -> None:
        """Start a component that ended, as it was started before."""
        ended = self._children[name]
        self._launch(name, ended.command, ended.log)

    def _start(self, name: str, *arguments: str) -> None:
        log = self._folder / "logs" / f"{name}.log"
        self._launch(name, [component_path(name), *arguments], log)

    def _launch(self, name: str, command: Sequence[str | Path], log: Path) -> None:
        child = Child(name, command, log)
        self._stack.callback(child.stop)
        self._children[name] = child


def default_account(namespace: str) -> str:
    """The address of the ServiceAccount without which no pod can be created."""
    return resource_path("v1", "serviceaccounts", namespace, "default")
