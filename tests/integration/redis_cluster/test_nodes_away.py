"""A node of a Redis Cluster dies, freezes or is replaced: its shards wait, the others do not."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from tests.awake import Clock, awake_clock
from tests.integration.redis_cluster.nodes import Node, Nodes, redis_cluster

from chassis.errors import TryAgain
from chassis.redis import Redis, RedisSettings, open_redis
from chassis.settings import Secret
from chassis.streams import append_many
from gateway import inbound_limit
from gateway.domain import Incoming
from gateway.inbound_limit import InboundLimit
from kernel.names import bucket_key, jobs_stream
from kernel.seals import KEY_BYTES, seal
from kernel.sharding import ShardKey
from purser.gateway.v1 import job_pb2
from shard_operator.backlog import StreamBacklog
from user_worker.errors import DependencyDown
from user_worker.stream import RedisJobStream

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

SHARDS = [ShardKey("default.main", shard) for shard in range(30)]
SEAL_KEY = bytes(KEY_BYTES)
BACK_SECONDS = 20.0
STOOD_STILL_SECONDS = 0.5
ROUNDS_MAX = 10


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nodes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Nodes]:
    """Three primaries; the first has a replica."""
    folder: Path = tmp_path_factory.mktemp("nodes")
    async with redis_cluster(folder, secrets.token_urlsafe(32), replicas=1) as cluster:
        yield cluster


@pytest_asyncio.fixture(loop_scope="module")
async def redis(nodes: Nodes) -> AsyncIterator[Redis]:
    """A client as a room opens it."""
    client = open_redis(RedisSettings(redis_url=Secret(nodes.url)))
    yield client
    await client.aclose()


class House:
    """A gateway that publishes and a worker that reads, each with a client of its own."""

    def __init__(self, nodes: Nodes, gateway: Redis, worker: Redis, clock: Clock) -> None:
        self.nodes = nodes
        self._gateway = gateway
        self._stream = RedisJobStream(worker, lambda: SEAL_KEY)
        self._positions = dict.fromkeys(SHARDS, b"0")
        self._clock = clock
        self._began = time.monotonic()
        self._stood_still = 0.0

    def shards_of(self, *nodes: Node) -> list[ShardKey]:
        """Which shards some nodes have."""
        return [key for key in SHARDS if self.nodes.owner(jobs_stream(key)) in nodes]

    async def publish(self, shards: Sequence[ShardKey]) -> tuple[dict[str, ShardKey], float]:
        """Publish a job to each; those that were appended, and how long all took while
        the machine ran.

        Where the machine stood still a living node looks dead: that round is read and left out.
        """
        for _ in range(ROUNDS_MAX):
            jobs, took = await self._publish(shards)
            stood_still = time.monotonic() - self._began - self._clock()
            quiet = stood_still - self._stood_still < STOOD_STILL_SECONDS
            self._stood_still = stood_still
            if quiet:
                return jobs, took
            await asyncio.sleep(1.1)  # nobody asks a node that was away sooner
            await self._read_all()
        raise AssertionError("the machine stands still all the time")

    async def _publish(self, shards: Sequence[ShardKey]) -> tuple[dict[str, ShardKey], float]:
        jobs = [(key, job_pb2.Job(job_id=str(uuid4()), user_id=str(uuid4()))) for key in shards]
        began = self._clock()
        answers = await append_many(
            self._gateway,
            [
                (jobs_stream(key), seal(SEAL_KEY, jobs_stream(key), job.SerializeToString()))
                for key, job in jobs
            ],
        )
        took = self._clock() - began
        assert all(isinstance(answer, (bytes, TryAgain)) for answer in answers)
        return {
            job.job_id: key
            for (key, job), answer in zip(jobs, answers, strict=True)
            if isinstance(answer, bytes)
        }, took

    async def _read_all(self) -> None:
        """Read until nothing comes."""
        with contextlib.suppress(TimeoutError, DependencyDown):
            while True:
                await self.read(1, seconds=1)

    async def read(self, wanted: int, seconds: float = BACK_SECONDS) -> list[ShardKey]:
        """Read and acknowledge as the worker does, until so many jobs came; their shards."""
        found: list[ShardKey] = []
        async with asyncio.timeout(seconds):
            while len(found) < wanted:
                for entry in await self._stream.read(self._positions, 0.25, 10):
                    self._positions[entry.key] = entry.entry_id
                    found.append(entry.key)
                    await self._stream.remove(entry.key, [entry.entry_id])
        return found


@pytest_asyncio.fixture(loop_scope="module")
async def house(nodes: Nodes, redis: Redis) -> AsyncIterator[House]:
    """Both, who have worked already."""
    worker = open_redis(RedisSettings(redis_url=Secret(nodes.url)))
    with awake_clock() as clock:
        every = House(nodes, redis, worker, clock)
        jobs, _ = await every.publish(SHARDS)
        assert len(SHARDS) == len(jobs) == len(await every.read(len(SHARDS)))
        yield every
    await worker.aclose()


async def test_the_shards_of_a_dead_node_wait_and_the_others_go_on(
    nodes: Nodes, house: House, redis: Redis
) -> None:
    """It comes back empty, with ids that begin anew: what is published then is read."""
    dead = nodes.primaries[1]
    alive = [node for node in nodes.primaries if node is not dead]
    nodes.kill(dead)
    for _ in range(5):
        jobs, took = await house.publish(SHARDS)
        assert sorted(house.shards_of(*alive)) == sorted(jobs.values())
        assert took < 2.5
        assert sorted(jobs.values()) == sorted(await house.read(len(jobs), seconds=5))
    assert await StreamBacklog(redis).measure_backlog("default.main", range(30)) is None

    await nodes.start(dead)
    await asyncio.sleep(1.1)  # nobody asks a node that was away sooner
    jobs, _ = await house.publish(SHARDS)
    assert sorted(SHARDS) == sorted(jobs.values())
    assert sorted(SHARDS) == sorted(await house.read(len(SHARDS)))
    backlog = await StreamBacklog(redis).measure_backlog("default.main", range(30))
    assert backlog is not None
    assert backlog.depths == {}


async def test_a_frozen_node_makes_nobody_else_wait_long(nodes: Nodes, house: House) -> None:
    """Its connections stand and nothing answers: found out once, then left alone."""
    frozen = nodes.primaries[2]
    alive = [node for node in nodes.primaries if node is not frozen]
    nodes.freeze(frozen)
    try:
        for _ in range(4):
            jobs, took = await house.publish(SHARDS)
            assert set(house.shards_of(*alive)) <= set(jobs.values())
            assert took < 2.5
            await house.read(len(house.shards_of(*alive)), seconds=5)
    finally:
        nodes.thaw(frozen)
    await nodes.until_serving()
    await asyncio.sleep(1.1)
    jobs, _ = await house.publish(house.shards_of(frozen))
    assert set(house.shards_of(frozen)) == set(jobs.values())
    await house.read(len(jobs))


async def test_users_whose_node_is_away_pass_and_the_others_are_limited(
    nodes: Nodes, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead node lifts no limit but those it kept."""
    # A machine that stands still is not a Redis that is away as a whole.
    monkeypatch.setattr(inbound_limit, "WAIT_SECONDS", 10.0)
    dead = nodes.primaries[1]
    users = range(40)
    lost = {u for u in users if nodes.owner(bucket_key("inbound", f"1/{u}")) is dead}
    limit = InboundLimit(redis, 1, 0.001, 2)
    updates = [Incoming(10 * user + n, user, job_pb2.Job()) for user in users for n in range(3)]
    nodes.kill(dead)
    try:
        rushes = await limit.rushes(updates)
    finally:
        await nodes.start(dead)
    refused = {update.telegram_id for update, rush in zip(updates, rushes, strict=True) if rush}
    assert refused == set(users) - lost


async def test_a_cluster_that_is_away_as_a_whole_is_an_outage_and_comes_back(
    nodes: Nodes, house: House
) -> None:
    """Nobody is left to say who has which slot: what was known is tried until somebody answers."""
    for node in [*nodes.primaries, *nodes.replicas]:
        nodes.kill(node)
    assert {} == (await house.publish(SHARDS))[0]
    with pytest.raises(DependencyDown):
        await house.read(1)
    await asyncio.gather(*map(nodes.start, [*nodes.primaries, *nodes.replicas]))

    published: dict[str, ShardKey] = {}
    async with asyncio.timeout(BACK_SECONDS):
        while len(published) < len(SHARDS):
            published, _ = await house.publish(SHARDS)
            await asyncio.sleep(0.1)
    assert set(SHARDS) == set(await house.read(len(SHARDS)))


async def test_a_replica_takes_over_and_its_jobs_are_there(nodes: Nodes, house: House) -> None:
    """The last of these tests: the first primary is gone for good."""
    primary, replica = nodes.primaries[0], nodes.replicas[0]
    jobs, _ = await house.publish(SHARDS)
    async with asyncio.timeout(5):
        while await replica.tell("DBSIZE") < len(house.shards_of(primary)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    nodes.kill(primary)
    assert sorted(jobs.values()) == sorted(await house.read(len(SHARDS)))
    published: dict[str, ShardKey] = {}
    async with asyncio.timeout(BACK_SECONDS):
        while len(published) < len(SHARDS):
            published, _ = await house.publish(SHARDS)
            with contextlib.suppress(TimeoutError):
                await house.read(len(published), seconds=5)
