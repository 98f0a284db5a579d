"""Where the node has its things: addresses, names and folders, each named once.

There is one node on a machine at a time, so all of them are fixed: whatever a killed run left is
found under the same names by the next one.

    this machine          the node's network namespace           the pods'
    HOST_ADDRESS ──veth── NODE_ADDRESS, kube-proxy's tables ──veth each── PODS
    API server            kubelet, containerd

The machine reaches pods and Services by one route through the node. Nothing is translated and the
machine forwards nothing, so no packet of the node's ever leaves it.
"""

import tempfile
from pathlib import Path
from typing import Final

NODE_NAME: Final = "purser-node"
"""Of the Kubernetes node, of its network namespace and of its control groups."""

HOST_LINK: Final = "purser-host"
"""The machine's end of the way to the node."""
NODE_LINK: Final = "uplink"
HOST_ADDRESS: Final = "10.250.0.1"
API_PORT: Final = 6443
"""The usual one, which policies name; the address is nobody else's."""
NODE_ADDRESS: Final = "10.250.0.2"
LINK_BITS: Final = 30
REGISTRY_PORT: Final = 5000
REGISTRY: Final = f"{HOST_ADDRESS}:{REGISTRY_PORT}"
"""Of images, where one runs; images of that registry are named so."""
EVERYTHING: Final = "10.250.0.0/16"
"""What the machine reaches through the node."""
PODS: Final = "10.250.1.0/24"
SERVICES: Final = "10.250.128.0/17"
DNS_ADDRESS: Final = "10.250.128.10"
KUBELET_PORT: Final = 10250

FOLDER: Final = Path(tempfile.gettempdir()) / "purser-node"
"""State, images, logs; only root reads it. Short: a socket's path has at most 107 characters."""
LOCK: Final = Path(tempfile.gettempdir()) / "purser-node.lock"
READY: Final = FOLDER / "ready"
REGISTRIES: Final = FOLDER / "registries"
"""How containerd speaks to each."""
SOCKET: Final = FOLDER / "containerd.sock"
LOGS: Final = FOLDER / "logs"
CNI_PROGRAMS: Final = Path("/usr/lib/cni")
CGROUPS: Final = Path("/sys/fs/cgroup")
NAMESPACE_FILE: Final = Path("/run/netns") / NODE_NAME
IMAGES_NAMESPACE: Final = "k8s.io"
"""containerd's, where the kubelet's images are."""


def in_namespace(*command: str | Path) -> list[str | Path]:
    """The command in the node's network. Not by `ip netns exec`, which hides the control groups."""
    return ["nsenter", f"--net={NAMESPACE_FILE}", *command]
