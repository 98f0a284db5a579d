"""Starts and stops one control plane: etcd, kube-apiserver, kube-controller-manager and
kube-scheduler.

Everything listens on loopback, on free ports, and keeps its data in one temporary folder.
Authorization is RBAC, as on any cluster, so that a ServiceAccount can do here exactly what its Role
allows: `kubeconfig_for` logs in as one through the TokenRequest API. The components other than the
API server serve nothing themselves; that they work shows in what they do, and the start is over
when the controllers have made the default ServiceAccount, without which no pod can be created.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.api import JsonObject, resource_path
from tests.cluster.audit import audit_flags
from tests.cluster.binaries import component_path
from tests.cluster.blocking import CALL_TIMEOUT_SECONDS, answers, call
from tests.cluster.certificates import Authority, signing_key, write_private
from tests.cluster.children import Child, free_port
from tests.cluster.errors import StartFailed
from tests.cluster.kubeconfig import read_kubeconfig, write_kubeconfig

START_TIMEOUT_SECONDS = 60.0
"""A start takes ten seconds on two free cores; a machine that is busy building is given time."""

POLL_PERIOD_SECONDS = 0.1

TOKEN_LIFETIME_SECONDS = 24 * 3600
"""Of the tokens minted for ServiceAccounts: longer than any test run."""

FOLDER_PREFIX = "purser-control-plane-"


@dataclass(frozen=True)
class ControlPlane:
    """A cluster's API that tests may call. The kubeconfig's user may do everything."""

    kubeconfig: Path
    folder: Path
    """Scratch space that goes when the cluster goes; component logs are in `logs` below it."""
    external: bool
    """It was not started here: PURSER_TEST_KUBECONFIG names it, and it brings its own nodes."""

    @property
    def logs(self) -> Path:
        """One file per component, and per container of the pod runner."""
        return self.folder / "logs"

    def call(self, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
        """One call without an event loop, for fixtures. Raises urllib's HTTPError on a refusal."""
        return call(self.kubeconfig, method, path, body)

    def wait_for_default_account(self, namespace: str) -> None:
        """Waits until pods can be created in a new namespace: each runs as its default
        ServiceAccount.
        """
        deadline = time.monotonic() + CALL_TIMEOUT_SECONDS
        while not answers(self.kubeconfig, _default_account(namespace)):
            if time.monotonic() > deadline:
                raise StartFailed(f"no default ServiceAccount came up in {namespace}")
            time.sleep(POLL_PERIOD_SECONDS)

    def kubeconfig_for(self, namespace: str, service_account: str) -> Path:
        """Writes a kubeconfig for an existing ServiceAccount, which may do what its roles say and
        no more.
        """
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": TOKEN_LIFETIME_SECONDS},
        }
        path = resource_path("v1", "serviceaccounts", namespace, service_account, "token")
        answer = self.call("POST", path, body)
        access = read_kubeconfig(self.kubeconfig)
        file = Path(tempfile.mkdtemp(prefix=f"{service_account}-", dir=self.folder)) / "kubeconfig"
        return write_kubeconfig(
            file, access.server, access.authority, answer["status"]["token"], namespace
        )


@contextmanager
def running_control_plane() -> Iterator[ControlPlane]:
    """A control plane for as long as the context lasts; the one PURSER_TEST_KUBECONFIG names, if it
    does.

    Raises BinariesMissing when there are no programs to start, StartFailed when they do not come
    up. Nothing is left running or lying about in either case. PURSER_TEST_CLUSTER_LOGS names a
    folder to keep the logs in.
    """
    with ExitStack() as stack:
        _sweep()
        folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        logs = folder / "logs"
        logs.mkdir()
        if named := os.environ.get("PURSER_TEST_KUBECONFIG"):
            yield ControlPlane(Path(named), folder, external=True)
            return
        if kept := os.environ.get("PURSER_TEST_CLUSTER_LOGS"):
            stack.callback(shutil.copytree, logs, kept, dirs_exist_ok=True)
        kubeconfig = _start(folder, stack)
        yield ControlPlane(kubeconfig, folder, external=False)


def _sweep() -> None:
    """Removes the folders of runs that were killed; their processes went by themselves."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*-*"):
        owner = folder.name.removeprefix(FOLDER_PREFIX).split("-")[0]
        if not Path("/proc", owner).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, stack: ExitStack) -> Path:
    components = _Components(folder, stack)
    components.start_etcd()
    components.start_apiserver()
    components.wait_for("kube-apiserver", lambda: answers(components.admin, "/readyz"))
    components.start_controllers()
    components.wait_for(
        "kube-controller-manager", lambda: answers(components.admin, _default_account("default"))
    )
    return components.admin


class _Components:
    """The processes of one control plane, and the files that introduce them to each other."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._children: list[Child] = []
        self._authority = Authority()
        self._etcd = f"http://127.0.0.1:{free_port()}"
        self._port = free_port()
        self._ca = folder / "ca.crt"
        write_private(self._ca, self._authority.certificate)
        self._account_key = folder / "service-accounts.key"
        write_private(self._account_key, signing_key())
        # system:masters is the one group RBAC lets do anything.
        self.admin = self._kubeconfig("admin", "admin", "system:masters")

    def start_etcd(self) -> None:
        peer = f"http://127.0.0.1:{free_port()}"
        self._start(
            "etcd",
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={self._etcd}",
            f"--advertise-client-urls={self._etcd}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--log-level=warn",
            # What is stored here need not survive the machine.
            "--unsafe-no-fsync",
        )

    def start_apiserver(self) -> None:
        certificate, key = self._authority.server("kube-apiserver").write(
            self._folder, "kube-apiserver"
        )
        self._start(
            "kube-apiserver",
            f"--etcd-servers={self._etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--cert-dir={self._folder}",
            f"--client-ca-file={self._ca}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.250.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={self._account_key}",
            f"--service-account-key-file={self._account_key}",
            # Nobody reaches the API by the `kubernetes` Service here, and a loopback endpoint would
            # be refused for it.
            "--endpoint-reconciler-type=none",
            "--advertise-address=127.0.0.1",
            "--profiling=false",
            *audit_flags(self._folder, self._folder / "logs"),
        )

    def start_controllers(self) -> None:
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

    def wait_for(self, name: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not condition():
            for child in self._children:
                if not child.running:
                    raise StartFailed(f"{child.name} ended:\n{child.log_tail()}")
            if time.monotonic() > deadline:
                child = next(child for child in self._children if child.name == name)
                raise StartFailed(
                    f"{name} was not ready in {START_TIMEOUT_SECONDS:.0f} s:\n{child.log_tail()}"
                )
            time.sleep(POLL_PERIOD_SECONDS)

    def _kubeconfig(self, name: str, user: str, *groups: str) -> Path:
        return write_kubeconfig(
            self._folder / f"{name}.kubeconfig",
            f"https://127.0.0.1:{self._port}",
            self._authority.certificate,
            self._authority.client(user, *groups),
        )

    def _start(self, name: str, *arguments: str) -> None:
        log = self._folder / "logs" / f"{name}.log"
        child = Child(name, [component_path(name), *arguments], log)
        self._stack.callback(child.stop)
        self._children.append(child)


def _default_account(namespace: str) -> str:
    return resource_path("v1", "serviceaccounts", namespace, "default")
