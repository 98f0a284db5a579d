"""Streams, limits and clocks on a Redis Cluster: as on one server, whatever node has which slot."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest
from redis import exceptions
from tests.awake import awake_clock
from tests.integration.redis_cluster.nodes import Node, Nodes

from chassis.errors import CannotStart, LimitReached, TryAgain
from chassis.rate_limit import TokenBucket
from chassis.redis import Redis, RedisSettings, clocks, open_redis
from chassis.redis_cluster import ClusterRedis, Command
from chassis.settings import Secret
from chassis.streams import append, append_many, depth, read, remove
from kernel.names import jobs_stream
from kernel.sharding import ShardKey

STREAMS = [jobs_stream(ShardKey("default.main", shard)) for shard in range(40)]
START = dict.fromkeys(STREAMS, b"0")
ASKING, ASKED_TIMES = 6, 60
CUT_OR_LATE = exceptions.ConnectionError | exceptions.TimeoutError
"""Late is a node while the machine stands still."""


def of_node(nodes: Nodes, node: Node) -> list[str]:
    """Which streams a node has."""
    return [stream for stream in STREAMS if nodes.owner(stream) is node]


@contextlib.asynccontextmanager
async def opened(nodes: Nodes) -> AsyncIterator[Redis]:
    """Another client."""
    client = open_redis(RedisSettings(redis_url=Secret(nodes.url)))
    try:
        yield client
    finally:
        await client.aclose()


async def connections_of(node: Node) -> int:
    """How many clients a node has, the one that asks and other nodes aside."""
    listed = await node.tell("CLIENT", "LIST", "TYPE", "normal")
    return (len(listed) if isinstance(listed, list) else listed.count(b"id=")) - 1


async def test_shards_lie_on_every_node(nodes: Nodes) -> None:
    """Or the tests below would prove little."""
    assert all(len(of_node(nodes, node)) >= 5 for node in nodes.primaries)


async def test_jobs_of_all_shards_are_read_counted_and_removed(redis: Redis) -> None:
    """Published in one batch; one read brings them all, two of each shard."""
    items = [(stream, f"{stream}{n}".encode()) for n in range(3) for stream in STREAMS]
    ids = await append_many(redis, items)
    assert all(isinstance(answer, bytes) for answer in ids)
    found: list[tuple[str, bytes, bytes]] = []
    positions = dict(START)
    while len(found) < len(items):
        more = await read(redis, positions, 2000, 2)
        assert more
        found += more
        positions |= {stream: entry_id for stream, entry_id, _ in more}
    assert sorted(items) == sorted((stream, payload) for stream, _, payload in found)
    assert [3] * len(STREAMS) == await depth(redis, STREAMS)
    for stream, entry_id, _ in found:
        assert await remove(redis, stream, [entry_id]) == 1
    assert [0] * len(STREAMS) == await depth(redis, STREAMS)


async def test_a_full_stream_refuses_for_itself_alone(redis: Redis) -> None:
    """As on one server."""
    results = await append_many(
        redis, [(STREAMS[0], b"1"), (STREAMS[0], b"2"), (STREAMS[1], b"3")], 1
    )
    assert [bytes, LimitReached, bytes] == [type(result) for result in results]


async def test_a_waiting_read_is_woken_and_ends_in_time(redis: Redis) -> None:
    """It looks often enough, and does not wait for ever."""
    began = time.monotonic()
    with awake_clock() as clock:
        assert await read(redis, START, 200, 10) == []
        assert clock() < 2
    assert 0.15 < time.monotonic() - began
    for _ in range(3):  # a machine that stood still has ended the wait before the entry came
        await redis.delete(STREAMS[7])
        waiting = asyncio.create_task(read(redis, START, 2000, 10))
        await asyncio.sleep(0.2)
        with awake_clock() as clock:
            await append(redis, STREAMS[7], b"woken")
            if told := await waiting:
                assert clock() < 1
                break
    assert [b"woken"] == [payload for _, _, payload in told]


async def test_forty_shards_take_one_connection_to_each_node(nodes: Nodes) -> None:
    """Not one to each shard."""
    async with opened(nodes) as reader:
        before = [await connections_of(node) for node in nodes.primaries]
        reading = asyncio.create_task(read(reader, START, 2000, 10))
        await asyncio.sleep(0.5)
        meanwhile = [await connections_of(node) for node in nodes.primaries]
        await reading
    # One node was asked for the topology as well.
    assert sum(meanwhile) - sum(before) <= len(nodes.primaries) + 1
    assert max(m - b for m, b in zip(meanwhile, before, strict=True)) <= 2


async def test_a_cancelled_read_leaves_the_client_usable(redis: Redis) -> None:
    """Whatever was on its way."""
    for _ in range(20):
        waiting = asyncio.create_task(read(redis, START, 2000, 10))
        await asyncio.sleep(0.003)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    id_ = await append(redis, STREAMS[3], b"after")
    assert [(STREAMS[3], id_, b"after")] == await read(redis, START, 2000, 10)


async def test_buckets_of_many_callers_and_clocks_of_many_nodes(redis: Redis) -> None:
    """A script that touches one key goes where the key is."""
    bucket = TokenBucket(redis, "test", 0.01, 2)
    for who in map(str, range(20)):
        assert [0.0, 0.0] == [await bucket.take(who) for _ in range(2)]
        assert await bucket.take(who) > 0
    told = await clocks(redis, STREAMS)
    assert set(STREAMS) == set(told)
    assert all(abs(clock - time.time()) < 5 for clock in told.values())


async def test_a_slot_that_moves_costs_nothing(nodes: Nodes) -> None:
    """Readers and writers follow it: before, while, and after its keys are on their way."""
    stream = of_node(nodes, nodes.primaries[0])[0]
    async with opened(nodes) as one, opened(nodes) as other:
        await append(one, stream, b"1")
        # Known to both, over several connections each.
        for client in (one, other):
            await asyncio.gather(*(depth(client, STREAMS) for _ in range(4)))

        async def between() -> None:
            await append(one, stream, b"2")
            assert [b"1", b"2"] == await payloads(other, stream)

        async def emptied() -> None:
            await asyncio.gather(*(append(one, stream, b"3") for _ in range(5)))
            assert [b"3"] * 5 == await payloads(other, stream)

        await nodes.move(stream, nodes.primaries[1], between=between)
        await append(one, stream, b"4")
        assert [b"1", b"2", b"4"] == await payloads(other, stream)
        # Back, with nothing in it yet: the old owner asks to ask the new one.
        ids = [entry_id for _, entry_id, _ in await read(one, {stream: b"0"}, 0, 10)]
        await remove(one, stream, ids)
        await nodes.primaries[1].tell("DEL", stream)
        await move_back(nodes, stream, emptied)
        assert [5] == await depth(one, [stream])


async def payloads(redis: Redis, stream: str) -> list[bytes]:
    """What is in a stream, read among all others."""
    return [payload for _, _, payload in await read(redis, START | {stream: b"0"}, 0, 10)]


async def move_back(nodes: Nodes, stream: str, between: Callable[[], object]) -> None:
    """Move a slot from the second node to the first."""
    first, second, *rest = nodes.primaries
    swapped = Nodes([second, first, *rest], nodes.password)
    await swapped.move(stream, first, between=between)


async def test_an_address_of_the_wrong_kind_is_told_in_a_sentence(
    nodes: Nodes, redis_url: str
) -> None:
    """One server asked as a cluster, a cluster asked as one server."""
    single = open_redis(RedisSettings(redis_url=Secret(redis_url.replace("://", "+cluster://"))))
    node = open_redis(RedisSettings(redis_url=Secret(nodes.url.replace("+cluster", ""))))
    stream = of_node(nodes, nodes.primaries[1])[0]
    for client, sentence in ((single, "it is no cluster"), (node, "begins with redis")):
        with pytest.raises(TryAgain, match=sentence):
            await append(client, stream, b"job")
        with pytest.raises(TryAgain, match=sentence):
            await read(client, {stream: b"0"}, 0, 1)
        await client.aclose()


@pytest.mark.parametrize(
    "url", ["redis+cluster://host:x", "redis+cluster://host:1/3", "file+cluster://h"]
)
def test_an_address_that_cannot_be_is_refused_at_the_start(url: str) -> None:
    """In one sentence that does not show it."""
    with pytest.raises(CannotStart, match="REDIS_URL must look like") as refused:
        open_redis(RedisSettings(redis_url=Secret(url)))
    assert "host:" not in str(refused.value).replace("host:port", "")


async def test_an_address_that_does_not_say_cluster_is_told_so_by_a_setting(nodes: Nodes) -> None:
    """Providers write redis://."""
    url = Secret(nodes.url.replace("+cluster", ""))
    client = open_redis(RedisSettings(redis_url=url, redis_cluster=True))
    assert [0] * len(STREAMS) == await depth(client, STREAMS)
    await client.aclose()


async def test_connections_that_are_closed_under_way_are_cut_ones(redis: Redis) -> None:
    """Those of a node are closed where one was cut, also one that somebody has just taken."""
    assert isinstance(redis, ClusterRedis)
    words = [Command(f"cut:{n}", ("SET", f"cut:{n}", "1")) for n in range(8)]
    await redis.send(words)  # so that all nodes are known

    async def ask() -> None:
        for _ in range(ASKED_TIMES):
            for answer in await redis.send(words):
                assert isinstance(answer, bool | bytes | CUT_OR_LATE), answer

    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(ask()) for _ in range(ASKING)]
        while not all(task.done() for task in asking):
            for node in redis._library.get_nodes():
                await node.disconnect_free_connections()
            await asyncio.sleep(0)
