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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.api import JsonObject, resource_path
from tests.cluster.blocking import CALL_TIMEOUT_SECONDS, answers, call
from tests.cluster.breaking import Breakable
from tests.cluster.components import POLL_PERIOD_SECONDS, Components, default_account
from tests.cluster.errors import StartFailed
from tests.cluster.kubeconfig import read_kubeconfig, write_kubeconfig

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
    breakable: Breakable | None = None
    """How to break it. Only for a test that has the control plane for itself."""

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
        while not answers(self.kubeconfig, default_account(namespace)):
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
        components = _start(folder, stack)
        breakable = Breakable(components)
        yield ControlPlane(components.admin, folder, external=False, breakable=breakable)


def _sweep() -> None:
    """Removes the folders of runs that were killed; their processes went by themselves."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*-*"):
        owner = folder.name.removeprefix(FOLDER_PREFIX).split("-")[0]
        if not Path("/proc", owner).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, stack: ExitStack) -> Components:
    components = Components(folder, stack)
    components.start_etcd()
    components.start_apiserver()
    components.wait_for("kube-apiserver", lambda: answers(components.admin, "/readyz"))
    components.start_controllers()
    components.wait_for(
        "kube-controller-manager", lambda: answers(components.admin, default_account("default"))
    )
    return components
