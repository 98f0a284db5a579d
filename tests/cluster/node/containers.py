"""containerd for this node alone: own folders, own socket, nothing of a system's containerd."""

import json
import subprocess
from pathlib import Path

from tests.cluster.children import Child
from tests.cluster.errors import StartFailed
from tests.cluster.node.network import run
from tests.cluster.node.places import (
    CNI_PROGRAMS,
    FOLDER,
    IMAGES_NAMESPACE,
    LOGS,
    PODS,
    REGISTRIES,
    SOCKET,
    in_namespace,
)
from tests.cluster.node.registry import write_registry_hosts

PAUSE_IMAGE = "localhost/purser/pause:1"
IMPORT_TIMEOUT_SECONDS = 300.0

_CTR = ("ctr", f"--address={SOCKET}", f"--namespace={IMAGES_NAMESPACE}")

_CONFIG = f"""\
version = 2
root = "{FOLDER}/containerd"
state = "{FOLDER}/containerd-state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # A process may lower its oom_score_adj only with a right that is not to be had everywhere.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{REGISTRIES}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PROGRAMS}"
    conf_dir = "{FOLDER}/cni"
"""

# Each pod has a link of its own to the node, so all traffic between pods is routed, and passes the
# tables that NetworkPolicies become.
_NETWORK = {
    "cniVersion": "0.4.0",
    "name": "purser",
    "plugins": [
        {
            "type": "ptp",
            "ipMasq": False,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": str(FOLDER / "addresses"),
            },
        }
    ],
}


def start_containerd() -> Child:
    """Start it; it serves when `ctr version` succeeds."""
    config = FOLDER / "containerd.toml"
    config.write_text(_CONFIG)
    write_registry_hosts()
    networks = FOLDER / "cni"
    networks.mkdir()
    (networks / "purser.conflist").write_text(json.dumps(_NETWORK))
    command = in_namespace("containerd", f"--config={config}")
    return Child("containerd", command, LOGS / "containerd.log")


def containerd_serves() -> bool:
    """Whether it answers."""
    return subprocess.run([*_CTR, "version"], capture_output=True, check=False).returncode == 0


def load_image(archive: Path) -> None:
    """Give the kubelet the images of an archive. Raises StartFailed."""
    finished = subprocess.run(
        [*_CTR, "images", "import", "--snapshotter=overlayfs", str(archive)],
        capture_output=True,
        text=True,
        timeout=IMPORT_TIMEOUT_SECONDS,
        check=False,
    )
    if finished.returncode:
        raise StartFailed(f"{archive} could not be loaded: {finished.stderr.strip()}")


def name_image(name: str, another: str) -> None:
    """Give a loaded image another name beside its own. Raises StartFailed."""
    run([*_CTR, "images", "tag", "--force", name, another])


def loaded_images() -> list[str]:
    """The names of the images that are there."""
    listed = run([*_CTR, "images", "list", "-q"])
    return [line for line in listed.splitlines() if not line.startswith("sha256:")]
