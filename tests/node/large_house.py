"""The large plan on one node: all its parts, in few replicas, with its servers outside the cluster.

A Redis Cluster with a replica, PostgreSQL with a streaming replica behind a transaction pooler,
updates by a webhook over TLS through what stands for an Ingress controller, four pools. What the
node has not is left out: the metrics API, the Prometheus operator, a second node.
"""

import secrets
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.chaos.run import MARKET, PLANS
from tests.cluster.figures import Figures
from tests.cluster.house import SPEC
from tests.cluster.node.places import HOST_ADDRESS
from tests.e2e.restoring import BOT_TOKEN, telegram_beside
from tests.fakes.authority import Authority
from tests.fakes.relay import Target
from tests.integration.ledger.replica import DATABASE, Pair, serving, streaming_pair
from tests.integration.redis_cluster.nodes import Nodes, redis_cluster
from tests.load.pooler import Pooler, pooler
from tests.node.house import NodeHouse, inhabited
from tests.node.outside import ONLY_FROM_HERE, Outside, relayed, server_tls
from tests.node.release import Release, Values

from devbox.ports import free_port
from devbox.roles import Database
from devbox.servers.postgresql import OWNER

SERVER_CONNECTIONS_MAX, CLIENT_CONNECTIONS_MAX = 60, 400
SMALL_REQUESTS = {"requests": {"cpu": "20m", "memory": "64Mi"}}


@dataclass(frozen=True, slots=True)
class LargeHouse:
    """What stands, and the servers it stands on."""

    house: NodeHouse
    nodes: Nodes
    pooler: Pooler
    replica: "subprocess.Popen[bytes]"
    owner_url: str
    """The database past the pooler, as its owner."""


@asynccontextmanager
async def standing_large_house(
    release: Release, folder: Path, figures: Figures
) -> AsyncIterator[LargeHouse]:
    """Install the large plan; people have moved in."""
    async with AsyncExitStack() as stack:
        pair = await stack.enter_async_context(streaming_pair(folder))
        replica = await stack.enter_async_context(serving(pair))
        nodes = await stack.enter_async_context(
            redis_cluster(
                folder / "redis", secrets.token_urlsafe(32), replicas=1, host=HOST_ADDRESS
            )
        )
        owner = pair.primary.owner_password
        pooling = await stack.enter_async_context(
            pooler(
                folder / "pooler",
                database=DATABASE,
                server_port=pair.primary.port,
                passwords=dict(pair.database.passwords) | {OWNER: owner},
                servers=SERVER_CONNECTIONS_MAX,
                clients=CLIENT_CONNECTIONS_MAX,
            )
        )
        postgres = [pooling.port, pair.primary.port, pair.replica_port]
        for port in postgres:
            await stack.enter_async_context(relayed(port))
        webhook = await stack.enter_async_context(_ingress(release, folder))
        address = await stack.enter_async_context(
            telegram_beside(HOST_ADDRESS, SSL_CERT_FILE=str(folder / "authority.pem"))
        )
        outside = Outside(
            telegram_port=urlsplit(address).port or 0,
            bot_token=BOT_TOKEN,
            postgres_ports=postgres,
            redis_ports=[node.port for node in (*nodes.primaries, *nodes.replicas)],
            passwords=dict(pair.database.passwords)
            | {"database-password": owner, "redis-password": nodes.password},
        )
        await release.prepare()
        await outside.make_secrets(release, **_past_the_pooler(pair))
        begun = time.monotonic()
        await release.install(_values(outside, webhook))
        stack.push_async_callback(release.uninstall)
        database = pair.primary.owner_url(DATABASE)
        house = await stack.enter_async_context(
            inhabited(release, folder, figures, begun, address, database)
        )
        yield LargeHouse(house, nodes, pooling, replica, database)


@asynccontextmanager
async def _ingress(release: Release, folder: Path) -> AsyncIterator[str]:
    """What an Ingress controller does: it ends TLS and leads to the Service; the webhook's URL."""
    authority = Authority()
    (folder / "authority.pem").write_bytes(authority.certificate)
    tls = server_tls(authority.issue(hosts=(HOST_ADDRESS,)), folder / "ingress")

    found: list[str] = []

    async def find() -> Target:
        if not found:
            service = await release.read("service", "purser-gateway-webhook")
            found.append(service["spec"]["clusterIP"])
        return found[0], 80

    port = free_port()
    async with relayed(port, find, tls):
        yield f"https://{HOST_ADDRESS}:{port}/telegram"


def _past_the_pooler(pair: Pair) -> dict[str, dict[str, str]]:
    """The keys for `secrets.sessionUrls` and `secrets.replicaUrls`."""

    def url(role: str, port: int) -> str:
        address = f"postgresql://{HOST_ADDRESS}:{port}/{DATABASE}?sslmode=disable"
        return Database(address, pair.database.passwords).url(role)

    return {
        "user-worker": {"session-database-url": url("purser_worker", pair.primary.port)},
        "operator": {"session-database-url": url("purser_operator", pair.primary.port)},
        "ledger": {"replica-database-url": url("purser_ledger", pair.replica_port)},
    }


def _values(outside: Outside, webhook: str) -> Values:
    """An SRE's own file, and fewer of everything."""
    twice = {"minReplicas": 2, "maxReplicas": 2}
    values = outside.values
    values["telemetry"] = {"serviceMonitor": {"enabled": False}}
    values["networkPolicy"] |= {"webhookFrom": ONLY_FROM_HERE, "metricsFrom": ONLY_FROM_HERE}
    values["gateway"] |= {
        "webhook": {"url": webhook},
        "autoscaling": twice,
        "resources": SMALL_REQUESTS,
    }
    values["pricing"] = {"autoscaling": twice, "settings": MARKET, "resources": SMALL_REQUESTS}
    for part in ("ledger", "wallet", "operator"):
        values[part] = {"replicas": 2, "resources": SMALL_REQUESTS}
    values["userWorker"] = {"settings": PLANS, "resources": SMALL_REQUESTS}
    alone = {"workers": {"minReplicas": 1, "maxReplicas": 1}}
    others = ("fast", "spanish", "portuguese")
    values["pools"] = [
        {"name": "main", "userShard": {"spec": SPEC}},
        *({"name": name, "userShard": {"spec": alone}} for name in others),
    ]
    return values
