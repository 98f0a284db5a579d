"""Starts the pod runner beside a control plane: a node whose pods are processes of this machine."""

import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM
from urllib.error import HTTPError

from tests.cluster.api import resource_path
from tests.cluster.children import Child
from tests.cluster.components import POLL_PERIOD_SECONDS, START_TIMEOUT_SECONDS
from tests.cluster.control_plane import ControlPlane
from tests.cluster.errors import StartFailed

NODE_NAME = "pod-runner"
ROOT = Path(__file__).parents[2]


@contextmanager
def running_node(
    plane: ControlPlane, images: Mapping[str, Sequence[str]] | None = None
) -> Iterator[str]:
    """The name of a Ready node that runs pods for as long as the context lasts.

    `images` says what an image, named without its tag, starts when a container gives no command.
    Raises StartFailed when the node does not get ready.
    """
    options = [f"--image={name}={shlex.join(start)}" for name, start in (images or {}).items()]
    child = Child(
        "pod-runner",
        [
            *(sys.executable, "-m", "tests.cluster.podrunner"),
            *("--kubeconfig", plane.kubeconfig, "--node", NODE_NAME, "--logs", plane.logs),
            *options,
        ],
        plane.logs / "pod-runner.log",
        folder=ROOT,
        # Not SIGKILL: the runner has processes of its own to stop.
        parent_end_signal=SIGTERM,
    )
    try:
        _wait_until_ready(plane, child)
        yield NODE_NAME
    finally:
        child.stop()


def _wait_until_ready(plane: ControlPlane, child: Child) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not _is_schedulable(plane):
        if not child.running or time.monotonic() > deadline:
            raise StartFailed(f"the pod runner's node is not ready:\n{child.log_tail()}")
        time.sleep(POLL_PERIOD_SECONDS)


def _is_schedulable(plane: ControlPlane) -> bool:
    try:
        node = plane.call("GET", resource_path("v1", "nodes", name=NODE_NAME))
    except HTTPError as error:
        if error.code == 404:
            return False
        raise
    # The node lifecycle controller takes its "not ready" taint away a moment after the node reports
    # itself ready.
    return "conditions" in node["status"] and not node["spec"].get("taints")
