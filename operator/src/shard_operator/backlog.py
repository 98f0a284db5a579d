"""The backlog of a pool, measured on its shards' streams.

An entry stays in its stream until its job is done, so XLEN is waiting plus running. Only streams
that hold something are looked at closer: XINFO STREAM gives the first entry, whose id begins with
the millisecond it was appended, and how many entries were ever added; those added and no longer
there are the jobs that ended. Ages are taken against the server's own clock (TIME), the clock that
made the ids.

The answer is whole or None: a sum over the streams that happened to answer would look like less
work.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from chassis import streams
from chassis.errors import TryAgain
from chassis.redis import translating
from chassis.telemetry import get_logger
from kernel.names import jobs_stream
from kernel.sharding import ShardKey
from shard_operator.scaling import Backlog

STREAMS_PER_ROUND_TRIP = 1000
"""Commands sent at once: bounds what waits in Redis's output buffer and in this process."""

MEASURE_TIMEOUT_SECONDS = 3.0
"""A measurement that takes longer than a poll is of no use to it."""


class StreamBacklog:
    """The measure of `workloads.BacklogSource` over Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._log = get_logger(__name__)

    async def measure_backlog(self, pool: str, shards: Sequence[int]) -> Backlog | None:
        """The work in these shards, or None when Redis does not tell all of it in time."""
        try:
            async with asyncio.timeout(MEASURE_TIMEOUT_SECONDS):
                return await self._measure(pool, shards)
        except (TryAgain, TimeoutError, RedisError) as error:
            self._log.warning("backlog_unknown", pool=pool, problem=str(error) or "too slow")
            return None

    async def _measure(self, pool: str, shards: Sequence[int]) -> Backlog:
        names = {jobs_stream(ShardKey(pool, shard)): shard for shard in shards}
        depths: dict[int, int] = {}
        finished: dict[int, int] = {}
        oldest: list[int] = []
        for chunk in _chunks(list(names)):
            counts = await streams.depth(self._redis, chunk)
            busy = [name for name, count in zip(chunk, counts, strict=True) if count]
            for name, stream in zip(busy, await self._inspect(busy), strict=True):
                if stream is None:  # emptied and removed since it was counted
                    continue
                if length := int(stream["length"]):
                    depths[names[name]] = length
                    finished[names[name]] = int(stream["entries-added"]) - length
                    oldest.append(_milliseconds(stream["first-entry"][0]))
        age = None
        if oldest:
            with translating():
                seconds, microseconds = await self._redis.time()
            age = max(0.0, seconds + microseconds / 1e6 - min(oldest) / 1e3)
        return Backlog(depths=depths, finished=finished, oldest_seconds=age)

    async def _inspect(self, names: Sequence[str]) -> list[dict[str, Any] | None]:
        if not names:
            return []
        pipeline = self._redis.pipeline(transaction=False)
        for name in names:
            pipeline.xinfo_stream(name)
        with translating():
            answers = await pipeline.execute(raise_on_error=False)
        return [_stream_or_none(answer) for answer in answers]


def _stream_or_none(answer: object) -> dict[str, Any] | None:
    if isinstance(answer, dict):
        return answer
    if isinstance(answer, ResponseError) and "no such key" in str(answer):
        return None
    raise TryAgain(f"Redis did not describe a stream ({type(answer).__name__})")


def _chunks(names: list[str]) -> list[list[str]]:
    step = STREAMS_PER_ROUND_TRIP
    return [names[start : start + step] for start in range(0, len(names), step)]


def _milliseconds(entry_id: bytes) -> int:
    return int(entry_id.split(b"-")[0])
