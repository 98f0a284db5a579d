"""Backlogs in Redis, as workers that do nothing would leave them."""

from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis

from chassis.streams import append_many, remove
from kernel.names import jobs_stream
from kernel.sharding import ShardKey


async def put_jobs(
    redis_url: str,
    pool: str,
    per_shard: int,
    shards: int,
    payload: Callable[[ShardKey], bytes] = lambda _: b"job",
) -> None:
    """A backlog that waits."""
    keys = [ShardKey(pool, shard) for shard in range(shards)] * per_shard
    async with Redis.from_url(redis_url) as redis:
        appended = await append_many(redis, [(jobs_stream(key), payload(key)) for key in keys])
    assert all(isinstance(entry, bytes) for entry in appended)


async def end_jobs(redis_url: str, pool: str, shards: int) -> None:
    """All of it is done."""
    async with Redis.from_url(redis_url) as redis:
        for shard in range(shards):
            stream = jobs_stream(ShardKey(pool, shard))
            entries: Any = await redis.xrange(stream)
            await remove(redis, stream, [entry for entry, _ in entries])
