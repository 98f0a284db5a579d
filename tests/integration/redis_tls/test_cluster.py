"""A Redis Cluster by TLS: every node is checked, by the name it announces or the one asked for."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.fakes.authority import Authority, put_into
from tests.fakes.loopback_names import lead_to_loopback
from tests.fakes.tls_front import TlsFront, tls_front
from tests.integration.redis_cluster.nodes import Node, Nodes, redis_cluster, until

from chassis.errors import TryAgain
from chassis.redis import ClusterRedis, Redis, RedisSettings, clocks, open_redis
from chassis.settings import Secret
from chassis.streams import append_many, depth, read
from kernel.names import jobs_stream
from kernel.sharding import ShardKey

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOST = "redis.purser.test"
STREAMS = [jobs_stream(ShardKey("default.main", shard)) for shard in range(30)]
AWAY_SECONDS = 1.1
"""Nobody asks a node that was away, or for the topology, sooner."""


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """All nodes' names lead to this machine."""
    lead_to_loopback(monkeypatch)


@dataclass(slots=True)
class House:
    """The nodes, and what stands before each."""

    nodes: Nodes
    fronts: dict[int, TlsFront]
    authority: Authority
    file: Path
    password: str

    def front_of(self, node: Node) -> TlsFront:
        """What stands before a node."""
        return self.fronts[node.port]

    def streams_of(self, *nodes: Node) -> set[str]:
        """Which streams some nodes have."""
        return {stream for stream in STREAMS if self.nodes.owner(stream) in nodes}

    def open(self, host: str = HOST, *, said: bool = False) -> Redis:
        """Open a client as a room does; the address is of the second node."""
        port = self.front_of(self.nodes.primaries[1]).port
        scheme = "rediss" if said else "rediss+cluster"
        url = Secret(f"{scheme}://:{self.password}@{host}:{port}")
        return open_redis(RedisSettings(redis_url=url, redis_cluster=said, redis_ca_file=self.file))

    async def announce(self, how: str) -> None:
        """Have nodes announce their names ("hostname") or their addresses ("ip")."""
        for number, node in enumerate(self.nodes.primaries):
            front = self.front_of(node)
            host = f"node-{number}.purser.test" if how == "hostname" else HOST
            front.show(self.authority.issue(hosts=(host,)))
            await self.announce_one(node, how, host)
        await until(self._all_agree)

    async def announce_one(self, node: Node, how: str, host: str) -> None:
        """Have a node announce where its front is."""
        await node.tell("CONFIG", "SET", "cluster-announce-hostname", host)
        await node.tell("CONFIG", "SET", "cluster-announce-port", self.front_of(node).port)
        await node.tell("CONFIG", "SET", "cluster-preferred-endpoint-type", how)

    async def _all_agree(self) -> bool:
        told = [await announced(node) for node in self.nodes.primaries]
        ports = {front.port for front in self.fronts.values()}
        return all({port for _, port in one} == ports for one in told) and all(
            one == told[0] for one in told
        )


async def announced(node: Node) -> set[tuple[str, int]]:
    """Where a node says that the nodes are."""
    ranges: Any = await node.tell("CLUSTER", "SLOTS")
    return {(primary[0].decode(), int(primary[1])) for _, _, primary, *_ in ranges}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Three nodes with a front each."""
    folder: Path = tmp_path_factory.mktemp("nodes")
    authority = Authority()
    file = folder / "redis-ca.crt"
    put_into(file, authority.certificate)
    password = secrets.token_urlsafe(32)
    async with redis_cluster(folder, password) as nodes, AsyncExitStack() as stack:
        fronts = {
            node.port: await stack.enter_async_context(tls_front(node.port, authority.issue()))
            for node in nodes.primaries
        }
        yield House(nodes, fronts, authority, file, password)


@pytest_asyncio.fixture(loop_scope="module")
async def opened(house: House) -> AsyncIterator[Callable[..., Redis]]:
    """Opens clients of the emptied cluster; they are closed in the end."""
    await house.nodes.flush()
    clients: list[Redis] = []

    def make(*arguments: Any, **named: Any) -> Redis:
        clients.append(house.open(*arguments, **named))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


Open = Callable[..., Redis]


async def append_to_all(client: Redis) -> tuple[set[str], set[str]]:
    """Append to each stream; those that took it, and what was said of the others."""
    answers = await append_many(client, [(stream, b"job") for stream in STREAMS])
    took = {s for s, answer in zip(STREAMS, answers, strict=True) if isinstance(answer, bytes)}
    return took, {str(answer) for answer in answers if isinstance(answer, TryAgain)}


async def assert_all_serve(client: Redis) -> None:
    """Every node takes entries, gives them, counts them and tells its time."""
    took, _ = await append_to_all(client)
    assert took == set(STREAMS)
    found = await read(client, dict.fromkeys(STREAMS, b"0"), 2000, 1)
    while len(found) < len(STREAMS):
        found += await read(client, dict.fromkeys(STREAMS, b"0"), 2000, 1)
    assert await depth(client, STREAMS)
    assert set(STREAMS) == set(await clocks(client, STREAMS))


@pytest.mark.parametrize("said", [False, True])
async def test_nodes_that_announce_names_show_each_its_own(
    house: House, opened: Open, said: bool
) -> None:
    """The setting says that it is a cluster as well as the address."""
    await house.announce("hostname")
    client = opened("node-1.purser.test", said=said)
    await assert_all_serve(client)
    assert all("TLSv1.3" in front.versions for front in house.fronts.values())


async def test_nodes_that_announce_addresses_answer_to_the_name_that_was_asked(
    house: House, opened: Open
) -> None:
    """Hardly any certificate holds the address of a node."""
    await house.announce("ip")
    await assert_all_serve(opened())


async def test_whoever_asks_by_address_is_shown_addresses(house: House, opened: Open) -> None:
    """Where there are no names, certificates hold addresses."""
    await house.announce("ip")
    for front in house.fronts.values():
        front.show(house.authority.issue())
    await assert_all_serve(opened("127.0.0.1"))


@pytest.mark.parametrize("how", ["hostname", "ip"])
async def test_a_node_that_is_not_believed_costs_its_own_shards(
    how: str, house: House, opened: Open
) -> None:
    """Another node's name is not its own; told in words, and over once it is mended."""
    await house.announce(how)
    wrong = house.nodes.primaries[0]
    others = [node for node in house.nodes.primaries if node is not wrong]
    hosts = {"hostname": "node-2.purser.test", "ip": "other.purser.test"}
    right = {"hostname": "node-0.purser.test", "ip": HOST}
    client = opened("node-1.purser.test" if how == "hostname" else HOST)
    house.front_of(wrong).show(house.authority.issue(hosts=(hosts[how],)))
    await house.front_of(wrong).cut()

    took, said = await append_to_all(client)
    assert took == house.streams_of(*others)
    words = "Redis cannot be reached (its certificate is not believed: Hostname mismatch, "
    assert said == {f"{words}certificate is not valid for '{right[how]}')"}

    house.front_of(wrong).show(house.authority.issue(hosts=(right[how],)))
    await asyncio.sleep(AWAY_SECONDS)
    took, _ = await append_to_all(client)
    assert took == set(STREAMS)


async def test_a_cluster_of_another_authority_is_away(house: House, opened: Open) -> None:
    """No node is believed, so the topology is not learnt, and the words say why."""
    await house.announce("hostname")
    for number, node in enumerate(house.nodes.primaries):
        house.front_of(node).show(Authority().issue(hosts=(f"node-{number}.purser.test",)))
    client = opened("node-1.purser.test")
    with pytest.raises(TryAgain, match=r"Cluster cannot be reached \(its certificate"):
        await depth(client, STREAMS)
    await house.announce("hostname")
    await assert_all_serve(client)


async def test_renewed_certificates_cost_nobody_an_error(house: House, opened: Open) -> None:
    """Of the servers, and of the authority itself."""
    await house.announce("hostname")
    client = opened("node-1.purser.test")
    await assert_all_serve(client)
    before = house.authority
    try:
        house.authority = Authority()
        put_into(house.file, before.certificate + house.authority.certificate)
        for number, front in enumerate(house.fronts.values()):
            front.show(house.authority.issue(hosts=(f"node-{number}.purser.test",)))
            await front.cut()
            took, said = await append_to_all(client)
            assert took == set(STREAMS), said
    finally:
        house.authority = before
        put_into(house.file, before.certificate)


async def test_what_is_known_of_nodes_goes_with_them(house: House, opened: Open) -> None:
    """In a cluster whose nodes come and go for years nothing grows."""
    await house.announce("ip")
    client = opened()
    assert isinstance(client, ClusterRedis)
    moving = house.nodes.primaries[2]
    first = house.front_of(moving)

    async def all_take() -> bool:
        return (await append_to_all(client))[0] == set(STREAMS)

    async def move_to(front: TlsFront) -> None:
        house.fronts[moving.port] = front
        await house.announce("ip")
        await until(all_take)

    for _ in range(3):
        async with tls_front(moving.port, house.authority.issue(hosts=(HOST,))) as front:
            await move_to(front)
    await move_to(first)
    kept = client._gates.keys() | client._away_until.keys()
    ports = {front.port for front in house.fronts.values()}
    assert ports == {int(name.rpartition(":")[2]) for name in kept}
