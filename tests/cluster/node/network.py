"""The node's network namespace and the way to it."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.errors import StartFailed
from tests.cluster.node.places import (
    EVERYTHING,
    HOST_ADDRESS,
    HOST_LINK,
    LINK_BITS,
    NAMESPACE_FILE,
    NODE_ADDRESS,
    NODE_LINK,
    NODE_NAME,
    in_namespace,
)

COMMAND_TIMEOUT_SECONDS = 30.0


def lay_network() -> None:
    """Make the namespace, the link and the route. Raises StartFailed with what the kernel said."""
    for command in (
        ["ip", "netns", "add", NODE_NAME],
        ["ip", "link", "add", HOST_LINK, "type", "veth", "peer", NODE_LINK, "netns", NODE_NAME],
        ["ip", "address", "add", f"{HOST_ADDRESS}/{LINK_BITS}", "dev", HOST_LINK],
        ["ip", "link", "set", HOST_LINK, "up"],
        ["ip", "-n", NODE_NAME, "address", "add", f"{NODE_ADDRESS}/{LINK_BITS}", "dev", NODE_LINK],
        ["ip", "-n", NODE_NAME, "link", "set", NODE_LINK, "up"],
        ["ip", "-n", NODE_NAME, "link", "set", "lo", "up"],
        ["ip", "route", "add", EVERYTHING, "via", NODE_ADDRESS],
        # The namespace's own: the machine's stays as it is.
        in_namespace("sysctl", "-q", "-w", "net.ipv4.ip_forward=1"),
    ):
        run(command)


def take_network_away() -> None:
    """Remove what `lay_network` made; safe to call when there is nothing."""
    if Path("/sys/class/net", HOST_LINK).exists():
        run(["ip", "link", "delete", HOST_LINK])  # its route and its other end go with it
    if NAMESPACE_FILE.exists():
        run(["ip", "netns", "delete", NODE_NAME])


def run(command: Sequence[str | Path]) -> str:
    """What a command printed. Raises StartFailed with what it said when it failed."""
    finished = subprocess.run(
        command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_SECONDS, check=False
    )
    if finished.returncode:
        raise StartFailed(f"{' '.join(map(str, command))}: {finished.stderr.strip()}")
    return finished.stdout
