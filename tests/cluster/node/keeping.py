"""One node from its start to its end: `running_node` holds it for as long as its context lasts.

Everything is a child of the process that holds it and dies with that one; what containerd has
started, and what the kernel keeps, is swept by whoever comes next. An agent that dies before is
started again. Order of a start: network,
control plane, what sees to NetworkPolicies, containerd with the two images a node cannot do
without, kubelet, kube-proxy, DNS.
"""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.binaries import (
    COREDNS,
    NODE_PROGRAMS,
    PAUSE,
    component_path,
)
from tests.cluster.blocking import answers, call
from tests.cluster.children import Child
from tests.cluster.components import POLL_PERIOD_SECONDS, Components, Place, default_account
from tests.cluster.control_plane import ControlPlane
from tests.cluster.errors import BinariesMissing, NodeImpossible, StartFailed
from tests.cluster.node.agents import start_kubelet, start_policies, start_proxy
from tests.cluster.node.cgroups import make_cgroups
from tests.cluster.node.containers import (
    PAUSE_IMAGE,
    containerd_serves,
    load_image,
    start_containerd,
)
from tests.cluster.node.dns import DNS_IMAGE, dns_manifests
from tests.cluster.node.network import lay_network
from tests.cluster.node.places import (
    API_PORT,
    CNI_PROGRAMS,
    FOLDER,
    HOST_ADDRESS,
    LOCK,
    LOGS,
    NODE_NAME,
    SERVICES,
)
from tests.cluster.node.static_images import write_image
from tests.cluster.node.sweeping import keep_kernel_settings, sweep
from tests.cluster.node.watching import watched

PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "sysctl": "procps",
}
"""Programs, and Debian's package of each."""
CNI_PACKAGE = "containernetworking-plugins"
STEP_SECONDS_MAX = 60.0


@dataclass(frozen=True)
class Node:
    """A node that runs pods."""

    control_plane: ControlPlane
    """Its API; the kubeconfig may do everything."""
    seconds: float
    """From nothing to a Ready node whose DNS answers."""

    def load(self, archive: Path) -> None:
        """Give it the images of an archive; no registry is asked for anything."""
        load_image(archive)


def check_machine() -> None:
    """Raises NodeImpossible with one sentence when no node can be here."""
    if os.geteuid() != 0:
        raise NodeImpossible("A node needs root: it makes network namespaces and mounts.")
    missing = {package for program, package in PACKAGES.items() if shutil.which(program) is None}
    if not (CNI_PROGRAMS / "ptp").exists():
        missing.add(CNI_PACKAGE)
    if missing:
        raise NodeImpossible(f"A node needs Debian's packages {' '.join(sorted(missing))}.")
    try:
        component_path("kubelet")
        for program in NODE_PROGRAMS:
            program.path()
    except BinariesMissing as error:
        raise NodeImpossible(str(error)) from None


@contextmanager
def running_node() -> Iterator[Node]:
    """A node for as long as the context lasts; then the machine is as it was. Raises NodeImpossible
    with a sentence, StartFailed with the end of a log.
    """
    check_machine()
    begun = time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(_the_only_one())
        sweep()
        stack.callback(sweep)
        keep_kernel_settings()
        FOLDER.mkdir(mode=0o700)
        LOGS.mkdir()
        if kept := os.environ.get("PURSER_TEST_CLUSTER_LOGS"):
            stack.callback(shutil.copytree, LOGS, kept, dirs_exist_ok=True)
        make_cgroups()
        lay_network()
        components = _start_control_plane(stack)
        stack.enter_context(watched(start_policies(components)))
        _start_containers(stack)
        for start in (start_kubelet, start_proxy):
            stack.enter_context(watched(start(components)))
        control_plane = ControlPlane(components.admin, FOLDER, external=False)
        _apply(control_plane, dns_manifests())
        _until(lambda: _is_ready(control_plane), "the node and its DNS")
        yield Node(control_plane, time.monotonic() - begun)


@contextmanager
def _the_only_one() -> Iterator[None]:
    with LOCK.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NodeImpossible(
                "There is a node on this machine, and one is all that fits: `make cluster-down` "
                "ends it."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _start_control_plane(stack: ExitStack) -> Components:
    place = Place(HOST_ADDRESS, API_PORT, SERVICES, reached_by_pods=True)
    components = Components(FOLDER, stack, place)
    components.start_etcd()
    components.start_apiserver()
    components.wait_for("kube-apiserver", lambda: answers(components.admin, "/readyz"))
    components.start_controllers()
    return components


def _start_containers(stack: ExitStack) -> None:
    containerd = start_containerd()
    stack.callback(containerd.stop)
    _until(containerd_serves, "containerd", containerd)
    for image, program in ((PAUSE_IMAGE, PAUSE), (DNS_IMAGE, COREDNS)):
        archive = FOLDER / f"{program.name}.tar"
        write_image(archive, image, program.path())
        load_image(archive)
        archive.unlink()


def _is_ready(control_plane: ControlPlane) -> bool:
    file = control_plane.kubeconfig
    if not answers(file, f"/api/v1/nodes/{NODE_NAME}") or not answers(
        file, default_account("default")
    ):
        return False
    conditions = call(file, "GET", f"/api/v1/nodes/{NODE_NAME}")["status"].get("conditions", [])
    dns = call(file, "GET", "/apis/apps/v1/namespaces/kube-system/deployments/coredns")
    return bool(dns["status"].get("readyReplicas")) and any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions
    )


def _apply(control_plane: ControlPlane, manifests: str) -> None:
    kubectl = component_path("kubectl")
    finished = subprocess.run(
        [str(kubectl), f"--kubeconfig={control_plane.kubeconfig}", "apply", "-f", "-"],
        input=manifests,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise StartFailed(f"kubectl apply: {finished.stderr}")


def _until(condition: Callable[[], bool], what: str, child: Child | None = None) -> None:
    deadline = time.monotonic() + STEP_SECONDS_MAX
    while not condition():
        if child is not None and not child.running:
            raise StartFailed(f"{what} ended:\n{child.log_tail()}")
        if time.monotonic() > deadline:
            logs = "\n".join(
                f"{log.name}: {log.read_bytes()[-800:].decode(errors='replace')}"
                for log in sorted(LOGS.glob("kube*.log"))
            )
            raise StartFailed(f"{what}: not ready within {STEP_SECONDS_MAX:.0f} s\n{logs}")
        time.sleep(POLL_PERIOD_SECONDS)
