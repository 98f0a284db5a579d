"""The node itself: it leaves the machine as it was, and its pods have what pods have elsewhere."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # carries no types
import pytest
from tests.cluster.errors import NodeImpossible
from tests.cluster.namespaces import Kubectl, kubectl_in
from tests.cluster.node.keeping import check_machine, running_node
from tests.cluster.node.places import CGROUPS, FOLDER, LOCK, READY
from tests.cluster.node.sweeping import KERNEL_SETTINGS

pytestmark = pytest.mark.timeout(180)

START_SECONDS_MAX = 90.0
BESIDE = "purser-played"
"""In the names of network namespaces of tests that may run at the same time."""


@pytest.fixture
def _possible() -> None:
    if os.environ.get("PURSER_TEST_KUBECONFIG"):
        pytest.skip("PURSER_TEST_KUBECONFIG names a cluster; this test needs a node of its own.")
    try:
        check_machine()
    except NodeImpossible as impossible:
        pytest.skip(str(impossible))


@pytest.fixture
def machine(_possible: None) -> Iterator[None]:
    """What there was before is what there is afterwards."""
    before = snapshot()
    yield
    assert before == snapshot()


def snapshot() -> dict[str, object]:
    """What a node touches, of the whole machine."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    mounts = [line.split()[4] for line in lines if BESIDE not in line]
    return {
        "links": printed("ip", "-o", "link"),
        "routes": printed("ip", "route"),
        "namespaces": printed("ip", "netns"),
        "tables": printed("nft", "list", "tables"),
        # Who builds images mounts and unmounts all the time.
        "mounts": [mount for mount in mounts if "netns" in mount or str(FOLDER) in mount],
        "groups": sorted(str(path) for path in CGROUPS.glob("*/*purser*")),
        "settings": [Path("/proc/sys", name).read_text() for name in KERNEL_SETTINGS],
        "folder": FOLDER.exists(),
        "processes": sorted(
            process.info["pid"]
            for process in psutil.process_iter(["pid", "cmdline"])
            if str(FOLDER) in " ".join(process.info["cmdline"] or [])
        ),
    }


def printed(*command: str) -> str:
    """What a command prints; of links without what changes by itself."""
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return "\n".join(line.partition(" qdisc")[0] for line in lines if BESIDE not in line)


def test_a_node_runs_pods_and_leaves_nothing_behind(machine: None) -> None:
    """DNS is a pod: that it is Ready says that pods run, are probed and reach the API server by a
    Service. Its log is had from the kubelet."""
    with running_node() as node:
        kubectl: Kubectl = kubectl_in(node.control_plane, "kube-system")
        assert "CoreDNS" in kubectl("logs", "deployment/coredns")
        assert "Ready" in kubectl("get", "nodes")


def test_a_second_node_is_refused_with_a_sentence(machine: None) -> None:
    """All names and addresses are fixed, so that nothing is ever left unfound."""
    with running_node(), pytest.raises(NodeImpossible, match="one is all that fits"):  # noqa: SIM117
        with running_node():
            pass


def test_what_a_killed_node_leaves_is_taken_away(machine: None) -> None:
    """Its keeper is killed; `down` finds the rest, pods that still run included."""
    command = [sys.executable, "-m", "tests.cluster.node"]
    subprocess.run([*command, "up"], check=True, capture_output=True, timeout=START_SECONDS_MAX)
    assert READY.exists()
    os.kill(int(LOCK.read_text()), signal.SIGKILL)
    time.sleep(1.0)

    told = subprocess.run([*command, "down"], check=True, capture_output=True, text=True)

    assert "The node is gone." in told.stdout
