"""The small plan as a deployment: installed by docs/install.md on servers outside the cluster that
are held to what free tiers give and speak TLS, with 500 people who write to the bot.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.run import beside
from tests.chaos.settling import stack_traces
from tests.cluster.node.places import HOST_ADDRESS
from tests.cluster.waiting import until
from tests.fakes.authority import Authority, Pair
from tests.fakes.relay import Target
from tests.load.crowd import Crowd, Load
from tests.load.pooler import pooler
from tests.load.schedule import Arrival
from tests.load.small_plan import DATABASE, Seen, SmallServers, looking_at, small_servers
from tests.node.outside import Outside, connected, relayed, server_tls
from tests.node.pod_logs import PodLogs
from tests.node.release import Release

from devbox.database import ensure_logins
from devbox.servers import PostgresServer
from devbox.servers.postgresql import OWNER
from devbox.telegram.server import Simulator

DRAIN_SECONDS = 60.0
ROLES_SECONDS = 120.0
_ROLES_MADE = "SELECT count(*) FROM pg_roles WHERE rolname = ANY($1)"


@dataclass
class SmallHouse:
    """The release, and what it stands on."""

    release: Release
    servers: SmallServers
    simulator: Simulator
    logs: PodLogs
    outside: Outside = field(repr=False)
    seen: Seen
    """The most that was taken of the servers so far."""
    certificate: Pair = field(repr=False)
    """The servers'."""
    behind: Target
    """Where the way to PostgreSQL ends: at the pooler of the server that is in use."""

    async def load(self, crowd: Crowd, arrivals: Sequence[Arrival]) -> Load:
        """Let people write; every message must be answered as it should be."""
        load = await crowd.load(arrivals, DRAIN_SECONDS)
        answered, asked = len(load.latencies), len(load.asks)
        assert answered == asked, f"{answered} of {asked} answered; refused: {load.refusals}"
        assert stack_traces(self.logs.files()) == []
        return load

    @asynccontextmanager
    async def pooled(self, server: PostgresServer, folder: Path) -> AsyncIterator[None]:
        """From now on another server is in use, behind a pooler of its own as small."""
        roles = self.outside.roles | {OWNER: server.owner_password}
        async with pooler(
            folder,
            database=DATABASE,
            server_port=server.port,
            passwords=roles,
            certificate=self.certificate,
        ) as pooling:
            self.behind = ("127.0.0.1", pooling.port)
            yield

    async def let_in(self, owner_url: str) -> None:
        """docs/install.md, step 4: once the migrations have made the roles, each gets its
        password.
        """
        roles = self.outside.roles

        async def made() -> Any:
            async with connected(owner_url) as connection:
                return await connection.fetchval(_ROLES_MADE, list(roles))

        hope = "the Job has made the roles"
        await until(made, lambda count: count == len(roles), hope, ROLES_SECONDS)
        await ensure_logins(owner_url, roles)


@asynccontextmanager
async def standing_small_house(release: Release, folder: Path) -> AsyncIterator[SmallHouse]:
    """From the Secrets to a UserShard that is Ready."""
    async with contextlib.AsyncExitStack() as stack:
        certificate = Authority().issue(hosts=(HOST_ADDRESS,))
        tls = server_tls(certificate, folder / "certificate")
        servers = await stack.enter_async_context(small_servers(folder, certificate))
        simulator = await stack.enter_async_context(Simulator(host=HOST_ADDRESS))
        seen = await stack.enter_async_context(looking_at(servers))
        outside = _outside(servers, simulator, certificate)
        behind = ("127.0.0.1", servers.pooler.port)
        logs = PodLogs(release, folder / "pods")
        house = SmallHouse(release, servers, simulator, logs, outside, seen, certificate, behind)

        async def find_redis() -> Target:
            return "127.0.0.1", servers.valkey.port

        async def find_postgres() -> Target:
            return house.behind

        await stack.enter_async_context(relayed(servers.valkey.port, find_redis, tls))
        await stack.enter_async_context(relayed(servers.pooler.port, find_postgres))
        await release.prepare()
        await outside.make_secrets(release)
        await release.install(outside.values)
        stack.push_async_callback(release.uninstall)
        await stack.enter_async_context(beside(logs.follow()))
        await house.let_in(servers.owner_url)
        await release.kubectl("wait", "--for=condition=Ready", "ush/main", "--timeout=180s")
        yield house


def _outside(servers: SmallServers, simulator: Simulator, certificate: Pair) -> Outside:
    return Outside(
        telegram_port=simulator.port,
        bot_token=simulator.token,
        postgres_ports=[servers.pooler.port],
        redis_ports=[servers.valkey.port],
        passwords=servers.passwords
        | {
            "database-password": servers.postgres.owner_password,
            "redis-password": servers.valkey.password,
        },
        authority=certificate.authority.decode(),
    )
