"""A real Redis Cluster: nodes of the embedded Valkey, each a third of the slots.

Nodes take three seconds to find out that one is gone, and serve their own slots without it
(`cluster-require-full-coverage no`), as docs/plans.md asks for. What a test does to a node it does
as an administrator or the kernel would.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import Any

from redis.asyncio import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import RedisError

from devbox.ports import free_port
from devbox.programs import start_program, stop_program
from devbox.servers.valkey import valkey_binary

NODES = 3
LOOPBACK = "127.0.0.1"
NODE_TIMEOUT_MILLISECONDS = 1500
READY_SECONDS = 30.0
POLL_SECONDS = 0.05

CONFIGURATION = """\
bind {host}
port {port}
cluster-enabled yes
cluster-port {bus}
cluster-config-file nodes.conf
cluster-node-timeout {timeout}
cluster-require-full-coverage no
cluster-replica-validity-factor 0
requirepass {password}
primaryauth {password}
save ""
appendonly no
daemonize no
"""


@dataclass(slots=True)
class Node:
    """One server, and how to tell it something."""

    folder: Path
    host: str
    port: int
    password: str
    process: Popen[bytes]
    id: str = ""

    async def tell(self, *words: Any) -> Any:
        """Send one command to this node and no other."""
        async with Redis(
            host=self.host, port=self.port, password=self.password, protocol=2
        ) as redis:
            execute: Any = redis.execute_command
            return await execute(*words)

    async def state(self) -> dict[str, str]:
        """Read what the node thinks of the cluster."""
        with contextlib.suppress(OSError, RedisError):
            told = await self.tell("CLUSTER", "INFO")
            if isinstance(told, dict):
                return {_text(name): _text(value) for name, value in told.items()}
            return dict(line.split(":", 1) for line in _text(told).split())
        return {}


@dataclass(slots=True)
class Nodes:
    """The cluster. Made by `redis_cluster`."""

    primaries: list[Node]
    password: str
    replicas: list[Node] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Give the address as a room is given it: of one node."""
        first = self.primaries[0]
        return f"redis+cluster://:{self.password}@{first.host}:{first.port}/0"

    def owner(self, key: str) -> Node:
        """Find the node that had the slot of a key at first."""
        return self.primaries[key_slot(key.encode()) * NODES // REDIS_CLUSTER_HASH_SLOTS]

    async def flush(self) -> None:
        """Forget everything."""
        for node in self.primaries:
            await node.tell("FLUSHALL")

    async def move(
        self, key: str, target: Node, *, between: Callable[[], Any] | None = None
    ) -> None:
        """Move the slot of a key as `valkey-cli --cluster reshard` does.

        `between` is awaited while the slot is on its way and what is in it has not left yet.
        """
        slot, source = key_slot(key.encode()), self.owner(key)
        await target.tell("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        await source.tell("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        if between is not None:
            await between()
        while keys := await source.tell("CLUSTER", "GETKEYSINSLOT", slot, 10):
            await source.tell(
                "MIGRATE",
                target.host,
                target.port,
                "",
                0,
                5000,
                "AUTH",
                self.password,
                "KEYS",
                *keys,
            )
        for node in (target, source):
            await node.tell("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    def kill(self, node: Node) -> None:
        """Kill it as the kernel's memory killer would."""
        node.process.kill()
        node.process.wait()

    def freeze(self, node: Node) -> None:
        """Let it answer nothing while its connections stay."""
        node.process.send_signal(signal.SIGSTOP)

    def thaw(self, node: Node) -> None:
        """Let it go on."""
        node.process.send_signal(signal.SIGCONT)

    async def start(self, node: Node) -> None:
        """Start one that was killed: the same node with nothing in it."""
        node.process = _launch(node.folder)
        await self.until_serving()

    async def until_serving(self) -> None:
        """Wait until every node thinks that every slot is served."""
        nodes = [*self.primaries, *self.replicas]

        async def serves() -> bool:
            states = [await node.state() for node in nodes]
            return all(
                state.get("cluster_state") == "ok"
                and state.get("cluster_slots_ok") == str(REDIS_CLUSTER_HASH_SLOTS)
                and state.get("cluster_known_nodes") == str(len(nodes))
                for state in states
            )

        await until(serves)


async def until(holds: Callable[[], Any], seconds: float = READY_SECONDS) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 (other processes)
            await asyncio.sleep(POLL_SECONDS)


@contextlib.asynccontextmanager
async def redis_cluster(
    folder: Path, password: str, *, replicas: int = 0, host: str = LOOPBACK
) -> AsyncIterator[Nodes]:
    """Serve a cluster on an address of this machine; the first `replicas` primaries have one
    each.
    """
    every: list[Node] = []
    try:
        for _ in range(NODES + replicas):
            port = free_port()
            every.append(_make(folder / str(port), host, port, free_port(), password))
        nodes = Nodes(every[:NODES], password, every[NODES:])
        for node in every:
            await until(node.state)
            node.id = _text(await node.tell("CLUSTER", "MYID"))
        await _introduce(every)
        await _share_slots(nodes.primaries)
        for primary, replica in zip(nodes.primaries, nodes.replicas, strict=False):
            await until(partial(_knows, replica, primary))
            await replica.tell("CLUSTER", "REPLICATE", primary.id)
        await nodes.until_serving()
        for replica in nodes.replicas:
            await until(partial(_follows, replica))
        yield nodes
    finally:
        for node in every:
            with contextlib.suppress(ProcessLookupError):
                node.process.send_signal(signal.SIGCONT)
            await stop_program(node.process, (signal.SIGTERM, 5.0))


def _make(folder: Path, host: str, port: int, bus: int, password: str) -> Node:
    folder.mkdir(mode=0o700, parents=True)
    configuration = folder / "valkey.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(
        CONFIGURATION.format(
            host=host, port=port, bus=bus, password=password, timeout=NODE_TIMEOUT_MILLISECONDS
        )
    )
    return Node(folder, host, port, password, _launch(folder))


def _launch(folder: Path) -> Popen[bytes]:
    return start_program(
        [valkey_binary(), folder / "valkey.conf"],
        folder=folder,
        log=folder / "valkey.log",
        death_signal=signal.SIGTERM,
    )


async def _introduce(nodes: Sequence[Node]) -> None:
    first, *others = nodes
    for epoch, node in enumerate(nodes, start=1):
        await node.tell("CLUSTER", "SET-CONFIG-EPOCH", epoch)
    bus = await first.tell("CONFIG", "GET", "cluster-port")
    port = bus["cluster-port"] if isinstance(bus, dict) else _text(bus[1])
    for node in others:
        await node.tell("CLUSTER", "MEET", first.host, first.port, port)


async def _share_slots(primaries: Sequence[Node]) -> None:
    total = REDIS_CLUSTER_HASH_SLOTS
    for place, node in enumerate(primaries):
        # The first slot s with s * NODES // total == place.
        begin, end = (-(-n * total // NODES) for n in (place, place + 1))
        await node.tell("CLUSTER", "ADDSLOTSRANGE", begin, end - 1)


async def _knows(node: Node, other: Node) -> bool:
    return other.id in _text(await node.tell("CLUSTER", "NODES"))


async def _follows(replica: Node) -> bool:
    told = await replica.tell("INFO", "replication")
    status = told.get("master_link_status") if isinstance(told, dict) else None
    return status == "up" or "master_link_status:up" in _text(told)


def _text(told: Any) -> str:
    return told.decode() if isinstance(told, bytes) else str(told)
