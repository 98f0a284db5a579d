"""A registry on the link between the machine and the node: who builds pushes, the kubelet pulls.

Only what builds image after image needs it, such as skaffold; everything else loads archives.
It speaks no TLS, and nobody else is on that link.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.binaries import CRANE
from tests.cluster.children import Child
from tests.cluster.errors import StartFailed
from tests.cluster.node.places import (
    FOLDER,
    HOST_ADDRESS,
    LOGS,
    REGISTRIES,
    REGISTRY,
    REGISTRY_PORT,
)

START_SECONDS_MAX = 20.0
POLL_SECONDS = 0.1


def write_registry_hosts() -> None:
    """Tell containerd how to speak to the registry, should there be one."""
    host = REGISTRIES / REGISTRY
    host.mkdir(parents=True)
    (host / "hosts.toml").write_text(f'[host."http://{REGISTRY}"]\n')


@contextmanager
def running_registry() -> Iterator[None]:
    """A registry named REGISTRY for as long as the context lasts; its images' layers stay with the
    node. Raises StartFailed.
    """
    if _is_open():
        raise StartFailed(f"{REGISTRY} is taken: another `make dev` or `make deploy` is under way.")
    blobs = FOLDER / "registry"
    blobs.mkdir(exist_ok=True)
    command = [str(CRANE.path()), "registry", "serve", f"--address={REGISTRY}", f"--disk={blobs}"]
    registry = Child("registry", command, LOGS / "registry.log")
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not _is_open():
            if not registry.running or time.monotonic() > deadline:
                raise StartFailed(f"The registry does not serve:\n{registry.log_tail()}")
            time.sleep(POLL_SECONDS)
        yield
    finally:
        registry.stop()


def _is_open() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST_ADDRESS, REGISTRY_PORT)) == 0
