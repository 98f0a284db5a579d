"""The backlog of a pool, measured on its shards' streams.

An entry stays in its stream until its job is done, so XLEN is waiting plus running. Only streams
that hold something are looked at closer: XINFO STREAM gives the first entry, whose id begins with
the millisecond it was appended, and how many entries were ever added; those added and no longer
there are the jobs that ended. Ages are taken against the server's own clock (TIME), the clock that
made the ids; in a Redis Cluster that is the clock of the node that has the stream.

The answer is whole or None: a sum over the streams that happened to answer would look like less
work.

Whoever asks goes on with other work when the answer is there, so a Redis that hangs must not hold
it up at every look: after a measurement that failed Redis is first asked for a sign of life.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chassis.errors import TryAgain
from chassis.redis import Command, Redis, RedisError, clocks, send, translating
from chassis.reminders import Reminders
from chassis.streams import depth
from chassis.telemetry import get_logger
from kernel.names import jobs_stream
from kernel.sharding import ShardKey
from shard_operator.scaling import Backlog

STREAMS_PER_ROUND_TRIP = 1000
"""Commands sent at once: bounds what waits in Redis's output buffer and in this process."""

MEASURE_TIMEOUT_SECONDS = 3.0
"""A measurement that takes longer than a poll is of no use to it."""

SIGN_TIMEOUT_SECONDS = 0.5
"""A Redis that takes longer for a PING is in doubt: well below the time in which a dead worker's
shards are to be given away."""


@dataclass(frozen=True, slots=True)
class ShardWork:
    """The work of one shard: jobs waiting or running, how many ever ended there, the age of the
    oldest (None: there is none)."""

    jobs: int
    finished: int
    oldest_seconds: float | None


class StreamBacklog:
    """The measure of `workloads.BacklogSource` over Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._answered = True
        self._log = get_logger(__name__)
        self._reminders = Reminders()

    async def measure_backlog(self, pool: str, shards: Sequence[int]) -> Backlog | None:
        """The work in these shards, or None when Redis does not tell all of it in time."""
        try:
            if not self._answered:
                await self._await_sign()
            async with asyncio.timeout(MEASURE_TIMEOUT_SECONDS):
                measured = await self._measure(pool, shards)
        except (TryAgain, TimeoutError, RedisError) as error:
            problem = str(error) or "too slow"
            if self._reminders.is_due(time.monotonic(), "backlog_unknown", pool, problem):
                self._log.warning("backlog_unknown", pool=pool, problem=problem)
            self._answered = False
            return None
        self._answered = True
        return measured

    async def _await_sign(self) -> None:
        async with asyncio.timeout(SIGN_TIMEOUT_SECONDS):
            with translating():
                await self._redis.ping()

    async def _measure(self, pool: str, shards: Sequence[int]) -> Backlog:
        work = await measure_shards(self._redis, pool, shards)
        busy = {shard: found for shard, found in work.items() if found.jobs}
        return Backlog(
            depths={shard: found.jobs for shard, found in busy.items()},
            finished={shard: found.finished for shard, found in busy.items()},
            oldest_seconds=max(
                (f.oldest_seconds for f in busy.values() if f.oldest_seconds is not None),
                default=None,
            ),
        )


async def measure_shards(
    redis: Redis, pool: str, shards: Sequence[int], *, idle_too: bool = False
) -> dict[int, ShardWork]:
    """Measure each shard with work; with `idle_too` also those without whose stream is there.

    Raises TryAgain or a RedisError: what is known of some shards is not an answer.
    """
    names = {jobs_stream(ShardKey(pool, shard)): shard for shard in shards}
    streams: dict[int, dict[str, Any]] = {}
    for chunk in _chunks(list(names)):
        counts = await depth(redis, chunk)
        asked = [name for name, count in zip(chunk, counts, strict=True) if count or idle_too]
        for name, stream in zip(asked, await _inspect(redis, asked), strict=True):
            if stream is not None:  # else it was emptied and removed since it was counted
                streams[names[name]] = stream
    if not streams:
        return {}
    now = await clocks(redis, [name for name, shard in names.items() if shard in streams])
    return {
        shard: _read(streams[shard], now[name]) for name, shard in names.items() if shard in streams
    }


def _read(stream: dict[str, Any], now: float) -> ShardWork:
    jobs, first = int(stream["length"]), stream["first-entry"]
    return ShardWork(
        jobs=jobs,
        finished=int(stream["entries-added"]) - jobs,
        oldest_seconds=max(0.0, now - _milliseconds(first[0]) / 1e3) if first else None,
    )


async def _inspect(redis: Redis, names: Sequence[str]) -> list[dict[str, Any] | None]:
    commands = [Command(name, ("XINFO STREAM", name)) for name in names]
    return [_stream_or_none(answer) for answer in await send(redis, commands)]


def _stream_or_none(answer: object) -> dict[str, Any] | None:
    if isinstance(answer, dict):
        return answer
    if isinstance(answer, TryAgain):
        raise answer
    if isinstance(answer, RedisError) and "no such key" in str(answer):
        return None
    raise TryAgain(f"Redis did not describe a stream ({type(answer).__name__})")


def _chunks(names: list[str]) -> list[list[str]]:
    step = STREAMS_PER_ROUND_TRIP
    return [names[start : start + step] for start in range(0, len(names), step)]


def _milliseconds(entry_id: bytes) -> int:
    return int(entry_id.split(b"-")[0])
