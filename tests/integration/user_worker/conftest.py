"""A world around the workers under test, and ways to start them."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

import grpc.aio
import pytest
from tests.integration.user_worker.world import World, neighbours

from chassis import settings
from devbox.database import Database
from devbox.ports import free_port
from purser.worker.v1 import worker_pb2, worker_pb2_grpc
from user_worker import main
from user_worker.settings import PREFIX, Settings

FAST = {
    "USER_WORKER_HEARTBEAT_SECONDS": "0.3",
    "USER_WORKER_PLACEMENT_POLL_SECONDS": "0.2",
    "USER_WORKER_ORPHAN_SECONDS": "1.0",
    "USER_WORKER_INBOX_POLL_SECONDS": "0.3",
    "USER_WORKER_SHARD_DRAIN_TIMEOUT_SECONDS": "2",
}
"""Three times as fast as the design, except the lease: a busy machine may stall for a second."""

SHORT_LEASE = {
    "USER_WORKER_LEASE_SECONDS": "1.0",
    "USER_WORKER_LEASE_MARGIN_SECONDS": "0.1",
}
"""For tests in which a worker dies."""


class Worker:
    """A worker in this process."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.stop = asyncio.Event()
        self.address = f"127.0.0.1:{free_port()}"
        loaded = settings.load(
            Settings, PREFIX, environ | {"USER_WORKER_LISTEN_ADDRESS": self.address}
        )
        self.task = asyncio.create_task(main.run(loaded, self.stop))

    async def shards(self) -> list[tuple[int, int]]:
        """The shards it works and their epochs, as it tells operators."""
        async with grpc.aio.insecure_channel(self.address) as channel:
            response = await worker_pb2_grpc.WorkerServiceStub(channel).ListShards(
                worker_pb2.ListShardsRequest(), timeout=5, wait_for_ready=True
            )
        return [(shard.shard, shard.epoch) for shard in response.shards]

    async def leave(self) -> None:
        """Stop in an orderly way."""
        self.stop.set()
        await asyncio.wait_for(self.task, 10)

    async def vanish(self) -> None:
        """Stop at once, without a word to anybody."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


StartWorker = Callable[..., Worker]
StartProcess = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
async def world(database: Database, redis_url: str) -> AsyncIterator[World]:
    """Neighbours on a database and a Redis of this test alone."""
    async with neighbours(database.owner_url, database.url("purser_worker"), redis_url) as world:
        yield world


@pytest.fixture
async def start_worker(world: World) -> AsyncIterator[StartWorker]:
    """Start workers in this process; those left are stopped at the end."""
    workers: list[Worker] = []

    def start(name: str, **extra: str) -> Worker:
        worker = Worker(world.environ | FAST | {"USER_WORKER_NAME": name} | extra)
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        if not worker.task.done():
            await worker.leave()


@pytest.fixture
def start_process(world: World) -> Iterator[StartProcess]:
    """Start workers as processes; those left are killed at the end."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(name: str, **extra: str) -> "subprocess.Popen[bytes]":
        environ = os.environ | world.environ | FAST | {"USER_WORKER_NAME": name} | extra
        process = subprocess.Popen([sys.executable, "-P", "-m", "user_worker"], env=environ)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
