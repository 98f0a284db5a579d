"""Samples the backlog as the operator measures it: what the streams of a pool's shards hold."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from kernel.names import jobs_stream
from kernel.sharding import ShardKey

SAMPLE_SECONDS = 0.05


class BacklogWatch:
    """When the backlog was how large."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, int]] = []
        """Seconds since the epoch, jobs."""

    def first_above(self, jobs: int, since: float) -> float | None:
        """When there were first more than so many after this time."""
        return next((at for at, count in self.samples if at >= since and count > jobs), None)


@asynccontextmanager
async def watching_backlog(redis_url: str, pool: str, shards: int) -> AsyncIterator[BacklogWatch]:
    """Samples for as long as the context lasts."""
    watch = BacklogWatch()
    enough = asyncio.Event()
    names = [jobs_stream(ShardKey(pool, shard)) for shard in range(shards)]

    async def sample(redis: Redis) -> None:
        # Told, not cancelled: Redis' client can lose a cancellation that meets the end of a call.
        while not enough.is_set():
            async with redis.pipeline(transaction=False) as asked:
                for name in names:
                    asked.xlen(name)
                watch.samples.append((time.time(), sum(await asked.execute())))
            await asyncio.sleep(SAMPLE_SECONDS)

    async with Redis.from_url(redis_url) as redis:
        sampling = asyncio.create_task(sample(redis))
        try:
            yield watch
        finally:
            enough.set()
            await sampling
