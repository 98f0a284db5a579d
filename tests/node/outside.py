"""Servers outside the cluster, as managed ones are: on this machine, at its end of the node's link.

The servers themselves listen on loopback; a relay leads to each from the link. A relay may speak
TLS and lead into the cluster: then it is the controller of an Ingress.
"""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from tests.cluster.node.places import HOST_ADDRESS
from tests.node.release import Release, Values

from devbox.cluster_secrets.wanted import ADDRESSES, NAME, POSTGRES, VALKEY, make_part
from devbox.roles import ROLES

PIECE_BYTES = 1 << 16
ONLY_FROM_HERE = [{"ipBlock": {"cidr": f"{HOST_ADDRESS}/32"}}]
"""The peer of policies that stands for all servers outside."""

Target = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Outside:
    """Where the servers of one release are, and how to log in."""

    telegram_port: int
    """The simulator's, at HOST_ADDRESS."""
    bot_token: str
    postgres_ports: Sequence[int]
    """Of all there are; the first is the one most Secrets name."""
    redis_ports: Sequence[int]
    passwords: Mapping[str, str]
    """Of the database's roles, of its owner (`database-password`) and of Redis
    (`redis-password`)."""

    @property
    def telegram(self) -> str:
        """The address of the simulator."""
        return f"http://{HOST_ADDRESS}:{self.telegram_port}"

    @property
    def values(self) -> Values:
        """What an SRE writes into his own file: where the servers are, and nowhere else to go."""
        return {
            "image": {"tag": "dev"},
            "gateway": {"settings": {"GATEWAY_TELEGRAM_API_URL": self.telegram}},
            "networkPolicy": {
                "postgres": {"to": ONLY_FROM_HERE, "ports": list(self.postgres_ports)},
                "redis": {"to": ONLY_FROM_HERE, "ports": list(self.redis_ports)},
                "telegram": {"to": ONLY_FROM_HERE, "ports": [self.telegram_port]},
            },
        }

    async def make_secrets(self, release: Release, **more: Mapping[str, str]) -> None:
        """The Secrets of docs/install.md, step 3, with `more` keys of a part's; then the
        certificates.
        """
        for part in ADDRESSES:
            values = self.secret_of(part) | dict(more.get(part, {}))
            await create_secret(release, f"{NAME}-{part}", values)
        await release.make_secrets()

    def secret_of(self, part: str) -> dict[str, str]:
        """What a part's Secret holds."""
        postgres = f"{HOST_ADDRESS}:{self.postgres_ports[0]}"
        redis = f"{HOST_ADDRESS}:{self.redis_ports[0]}"
        made = make_part(part, self.passwords, self.bot_token)
        return {
            key: value.replace(POSTGRES, postgres).replace(VALKEY, redis)
            for key, value in made.items()
        }

    @property
    def roles(self) -> dict[str, str]:
        """The passwords of the services' roles."""
        return {role: self.passwords[role] for role in ROLES}


async def create_secret(release: Release, name: str, values: Mapping[str, str]) -> None:
    """Make a Secret; what is in it is no argument."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "stringData": dict(values),
    }
    await release.kubectl("create", "-f", "-", given=json.dumps(secret))


@asynccontextmanager
async def connected(owner_url: str) -> AsyncIterator[Any]:
    """A connection to a database of this machine."""
    connection = await asyncpg.connect(owner_url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def relayed(
    port: int,
    find: Callable[[], Awaitable[Target]] | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[None]:
    """Lead connections to this port of HOST_ADDRESS to where `find` says, by default to the same
    port of loopback, for as long as the context lasts.
    """
    under_way: set[asyncio.Task[None]] = set()

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        try:
            target = ("127.0.0.1", port) if find is None else await find()
            await _both_ways(reader, writer, target)
        finally:
            under_way.discard(task)
            writer.close()

    server = await asyncio.start_server(lead, HOST_ADDRESS, port, ssl=tls)
    try:
        yield
    finally:
        server.close()
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _both_ways(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target
) -> None:
    with contextlib.suppress(OSError):  # either end may go at any time; the other is told by that
        there, back = await asyncio.open_connection(*target)
        try:
            ways = [
                asyncio.create_task(_one_way(reader, back)),
                asyncio.create_task(_one_way(there, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            back.close()


async def _one_way(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(PIECE_BYTES):
        sink.write(piece)
        await sink.drain()
