"""A node's network without a node: network namespaces that stand for pods, each with a link of its
own to one that forwards between them, as a node does. A machine outside is on a link too.

Only the network is played. Sockets are real ones: each is made by a thread that has entered the
namespace, and belongs to it from then on, wherever it is used.
"""

import asyncio
import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PODS = "10.249.1.0/24"
NODE = "10.249.0.2"
PROGRAMS = ("ip", "nft", "nsenter", "sysctl")
NAMESPACES = Path("/run/netns")
REACHED_WITHIN_SECONDS = 0.7
"""Longer than a busy machine needs for a handshake, and shorter than it takes TCP to try again."""

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def why_impossible() -> str | None:
    """One sentence on what is missing here; None when nothing is."""
    if os.geteuid() != 0:
        return "Playing a network needs root: it makes network namespaces."
    missing = [
        program for program in ("ip", "nft", "nsenter", "sysctl") if not shutil.which(program)
    ]
    if missing:
        return f"Playing a network needs {' and '.join(missing)} (iproute2, nftables, procps)."
    return None


@dataclass
class PlayedNetwork:
    """Ends are named; each but the node itself has one address."""

    prefix: str
    addresses: dict[str, str] = field(default_factory=dict)
    listening: list[socket.socket] = field(default_factory=list)

    @property
    def node_file(self) -> Path:
        """The network namespace that forwards."""
        return NAMESPACES / f"{self.prefix}-node"

    def join(self, name: str, address: str, *ports: int) -> None:
        """A new end that listens for TCP on these ports."""
        inside, link = f"{self.prefix}-{name}", f"to-{name}"
        _run("ip", "netns", "add", inside)
        self.addresses[name] = address
        _run("ip", "-n", inside, "link", "set", "lo", "up")
        _run(
            *("ip", "link", "add", link, "netns", self.node_file.name),
            *("type", "veth", "peer", "eth0", "netns", inside),
        )
        _run("ip", "-n", self.node_file.name, "link", "set", link, "up")
        _run("ip", "-n", inside, "address", "add", f"{address}/32", "dev", "eth0")
        _run("ip", "-n", inside, "link", "set", "eth0", "up")
        _run("ip", "-n", self.node_file.name, "route", "add", address, "dev", link, "src", NODE)
        _run("ip", "-n", inside, "route", "add", NODE, "dev", "eth0")
        _run("ip", "-n", inside, "route", "add", "default", "via", NODE)
        for port in ports:
            self.listen(name, port)

    def listen(self, name: str, port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket that the kernel answers for."""
        made = self.socket_of(name, kind)
        made.bind(("0.0.0.0", port))  # noqa: S104 - of a namespace of our own
        if kind == socket.SOCK_STREAM:
            made.listen()
        self.listening.append(made)
        return made

    def socket_of(self, name: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A new socket of an end, or of the `node`, that does not block."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(_socket_in, NAMESPACES / f"{self.prefix}-{name}", kind).result()

    async def reaches(self, source: str, target: str, port: int) -> bool:
        """Say whether a TCP connection can be made."""
        address = NODE if target == "node" else self.addresses[target]
        return await self.connects(source, address, port)

    async def connects(self, source: str, address: str, port: int) -> bool:
        """The same, by address."""
        self._accept_all()
        with self.socket_of(source) as connecting, contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(REACHED_WITHIN_SECONDS):
                await asyncio.get_running_loop().sock_connect(connecting, (address, port))
            return True
        return False

    def _accept_all(self) -> None:
        """Make room: a queue of connections that nobody took is full one day, and then a call that
        is admitted looks like one that is denied."""
        for listening in self.listening:
            with contextlib.suppress(OSError):
                while listening.type == socket.SOCK_STREAM:
                    listening.accept()[0].close()

    def rule(self, script: str) -> None:
        """Have the node's nft read something."""
        _run("nsenter", f"--net={self.node_file}", "nft", script)

    def tables(self) -> str:
        """The node's tables, as nft lists them."""
        return _run("nsenter", f"--net={self.node_file}", "nft", "list", "ruleset")


@contextmanager
def played_network() -> Iterator[PlayedNetwork]:
    """A network of a node with nobody on it yet; all of it goes with the context."""
    network = PlayedNetwork(f"purser-played-{os.getpid()}")
    try:
        _run("ip", "netns", "add", network.node_file.name)
        for command in (
            ("ip", "link", "set", "lo", "up"),
            ("ip", "address", "add", f"{NODE}/32", "dev", "lo"),
            ("sysctl", "-q", "-w", "net.ipv4.ip_forward=1"),
        ):
            _run("nsenter", f"--net={network.node_file}", *command)
        yield network
    finally:
        for listening in network.listening:
            listening.close()
        for namespace in NAMESPACES.glob(f"{network.prefix}-*"):
            _run("ip", "netns", "delete", namespace.name)  # links go with it


def _socket_in(namespace: Path, kind: int) -> socket.socket:
    with namespace.open() as file:
        if _libc.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    made = socket.socket(socket.AF_INET, kind)
    made.setblocking(False)
    return made


def _run(*command: str) -> str:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, f"{' '.join(command)}: {finished.stderr}"
    return finished.stdout
