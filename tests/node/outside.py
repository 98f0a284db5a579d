"""Servers outside the cluster, as managed ones are: on this machine, at its end of the node's link.

The servers themselves listen on loopback; a relay leads to each from the link. A relay may speak
TLS and lead into the cluster: then it is the controller of an Ingress.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from tests.cluster.node.places import HOST_ADDRESS
from tests.fakes.authority import Pair
from tests.fakes.relay import Target, pass_on
from tests.node.release import Release, Values

from devbox.cluster_secrets.wanted import ADDRESSES, NAME, POSTGRES, VALKEY, make_part
from devbox.roles import ROLES

ONLY_FROM_HERE = [{"ipBlock": {"cidr": f"{HOST_ADDRESS}/32"}}]
"""The peer of policies that stands for all servers outside."""

PLAIN_POSTGRES = "sslmode=disable"
CHECKED_POSTGRES = "sslmode=verify-full&sslrootcert=/etc/purser/secrets/database-ca.crt"
AUTHORITIES = ("database-ca.crt", "redis-ca.crt")


@dataclass(frozen=True, slots=True)
class Outside:
    """Where the servers of one release are, and how to log in."""

    telegram_port: int
    """The simulator's, at HOST_ADDRESS."""
    bot_token: str
    postgres_ports: Sequence[int]
    """Of all there are; the first is the one most Secrets name."""
    redis_ports: Sequence[int]
    passwords: Mapping[str, str] = field(repr=False)
    """Of the database's roles, of its owner (`database-password`) and of Redis
    (`redis-password`)."""
    authority: str = ""
    """Of the servers' certificates, as PEM; without one they are spoken to in plaintext."""

    @property
    def telegram(self) -> str:
        """The address of the simulator."""
        return f"http://{HOST_ADDRESS}:{self.telegram_port}"

    @property
    def values(self) -> Values:
        """What an SRE writes into his own file: where the servers are, and nowhere else to go."""
        return {
            "image": {"tag": "dev"},
            "secrets": {"redisCa": bool(self.authority)},
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
        addresses = {POSTGRES: postgres, VALKEY: redis}
        if self.authority:
            addresses |= {PLAIN_POSTGRES: CHECKED_POSTGRES, "redis://": "rediss://"}
        for plain, put in addresses.items():
            made = {key: value.replace(plain, put) for key, value in made.items()}
        return made | dict.fromkeys(AUTHORITIES if self.authority else (), self.authority)

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


def server_tls(certificate: Pair, folder: Path) -> ssl.SSLContext:
    """What a relay speaks TLS with; the folder keeps the certificate."""
    files = certificate.write(folder)
    assert files.tls_certificate_file is not None
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(files.tls_certificate_file, files.tls_key_file)
    return tls


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
    under_way: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way[task] = writer
        try:
            await pass_on(reader, writer, ("127.0.0.1", port) if find is None else await find())
        finally:
            del under_way[task]

    server = await asyncio.start_server(lead, HOST_ADDRESS, port, ssl=tls)
    try:
        yield
    finally:
        server.close()
        # Not cancelled: of that a server's own connections complain.
        for writer in under_way.values():
            writer.transport.abort()
        await asyncio.gather(*under_way, return_exceptions=True)
