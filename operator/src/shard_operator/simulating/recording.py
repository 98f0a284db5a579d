"""Writes a trace: one line per period, from PostgreSQL and Redis.

A count of what came in and what ended is the difference of what streams ever took in, so the first
line has none; neither has the line after Redis was away or was emptied, and the line after that
tells of both periods. Lines are flushed one by one: a killed recording is a shorter trace.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TextIO

import asyncpg
import msgspec
import uvloop

from chassis.errors import BadSettings, CannotStart, TryAgain
from chassis.postgres import PostgresSettings, describe, open_pool
from chassis.redis import Redis, RedisError, RedisSettings, open_redis
from chassis.settings import load
from chassis.terminal import complain, stop_telling
from shard_operator.backlog import MEASURE_TIMEOUT_SECONDS, ShardWork, measure_shards
from shard_operator.errors import PlacementAway
from shard_operator.postgres import PostgresPlacement
from shard_operator.simulating.recorded import COLUMNS
from shard_operator.workloads import PlacementObserved

EXIT_DONE = 0
EXIT_AWAY = 1
EXIT_MISTAKE = 2
EXIT_NOT_FOUND = 3
CONNECTIONS = 2
STOPPING = (signal.SIGINT, signal.SIGTERM)


class RecordSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the operator's settings, under the same names."""

    postgres: PostgresSettings
    """The database; any role that may read `placement` will do."""

    redis: RedisSettings
    """Where the streams are."""

    namespace: str = "default"
    """Of a UserShard that is named without its namespace."""


@dataclass(slots=True)
class Counts:
    """What the streams had taken in and seen end at the last line; None: not known."""

    added: int | None = None
    finished: int | None = None

    def note(self, work: Mapping[int, ShardWork] | None) -> tuple[int | None, int | None]:
        """Jobs that came and that ended since the last line; None where that is not known."""
        if work is None:
            return None, None
        finished = sum(shard.finished for shard in work.values())
        added = finished + sum(shard.jobs for shard in work.values())
        came, ended = _since(self.added, added), _since(self.finished, finished)
        self.added, self.finished = added, finished
        return came, ended


def record(parsed: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> int:
    """Record until the time is over or somebody stops it; every expected failure is one sentence
    on stderr and a status."""
    try:
        settings = load(RecordSettings, "OPERATOR", environ, warn_of_unknown=False)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_record(parsed, settings))
    except BadSettings as error:
        complain(str(error))
        return EXIT_MISTAKE
    except CannotStart as error:
        complain(str(error))
    except PlacementAway as error:
        complain(f"PostgreSQL does not tell the shards: {error}.")
    except asyncpg.PostgresError as error:
        complain(f"PostgreSQL refuses to tell the shards ({describe(error)}).")
    except BrokenPipeError:
        stop_telling()
        return EXIT_DONE
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}.")
    except KeyboardInterrupt:
        return EXIT_DONE
    return EXIT_AWAY


async def _record(parsed: argparse.Namespace, settings: RecordSettings) -> int:
    async with AsyncExitStack() as stack:
        postgres = msgspec.structs.replace(settings.postgres, connections_max=CONNECTIONS)
        connections = await open_pool(postgres, "purser-record")
        stack.push_async_callback(connections.close)
        placement = PostgresPlacement(connections)
        redis = open_redis(settings.redis)
        stack.push_async_callback(redis.aclose)
        pool = await _find(placement, parsed.name, parsed.namespace or settings.namespace)
        if pool is None:
            complain(f"There is no pool {parsed.name} with a shard or a worker.")
            return EXIT_NOT_FOUND
        # "x": a recording is a day's work, and no slip of the hand should end it.
        output = sys.stdout if parsed.file is None else stack.enter_context(parsed.file.open("x"))
        stop = _stopped_by_signals()
        await _write_lines(output, placement, redis, pool, parsed.period, parsed.seconds, stop)
    return EXIT_DONE


async def _find(placement: PostgresPlacement, name: str, namespace: str) -> str | None:
    for pool in (f"{namespace}.{name}", name):
        seen = await placement.observe_placement(pool)
        if seen.shards or seen.workers:
            return pool
    return None


async def _write_lines(
    output: TextIO,
    placement: PostgresPlacement,
    redis: Redis,
    pool: str,
    period: float,
    seconds: float | None,
    stop: asyncio.Event,
) -> None:
    output.write(",".join(COLUMNS) + "\n")
    counts, shards = Counts(), list[int]()
    begin = due = time.monotonic()
    wall_ahead = time.time() - begin  # time rises in a trace, also when the wall clock is set back
    while not stop.is_set() and (seconds is None or due - begin <= seconds):
        try:
            seen = await placement.observe_placement(pool)
            shards = [shard.shard for shard in seen.shards]
        except PlacementAway:
            seen = None
        work = await _measure(redis, pool, shards)
        now = time.monotonic()
        output.write(line(wall_ahead + now, seen, work, counts) + "\n")
        output.flush()
        # Looks that were missed while this process or a server stood still are not made up for.
        due = max(due + period, now + period / 2)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, due - time.monotonic())):
                await stop.wait()


def _stopped_by_signals() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM; the second one ends the program at once.

    Not by a cancellation, which is how asyncio takes SIGINT: one that meets the end of a call in a
    client of PostgreSQL or Redis can get lost there, and the recording would go on for ever.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def on_signal() -> None:
        stop.set()
        for number in STOPPING:
            loop.remove_signal_handler(number)

    for number in STOPPING:
        loop.add_signal_handler(number, on_signal)
    return stop


def line(
    now: float,
    seen: PlacementObserved | None,
    work: Mapping[int, ShardWork] | None,
    counts: Counts,
) -> str:
    """One line of the trace; an empty cell is what is not known."""
    came, ended = counts.note(work)
    busy = None if work is None else [shard for shard in work.values() if shard.jobs]
    ages = [shard.oldest_seconds for shard in busy or () if shard.oldest_seconds is not None]
    cells = {
        "time_seconds": f"{now:.3f}",
        "backlog": None if busy is None else sum(shard.jobs for shard in busy),
        "oldest_seconds": f"{max(ages):.1f}" if ages else None,
        "shards_with_work": None if busy is None else len(busy),
        "shards": None if seen is None else len(seen.shards),
        "finished": ended,
        "arrivals": came,
        "workers": None if seen is None else sum(worker.alive for worker in seen.workers),
    }
    return ",".join("" if cells[name] is None else str(cells[name]) for name in COLUMNS)


async def _measure(redis: Redis, pool: str, shards: list[int]) -> dict[int, ShardWork] | None:
    try:
        async with asyncio.timeout(MEASURE_TIMEOUT_SECONDS):
            return await measure_shards(redis, pool, shards, idle_too=True)
    except (TryAgain, TimeoutError, RedisError):
        return None


def _since(before: int | None, now: int) -> int | None:
    """None also where streams were emptied in between: they count from 0 again."""
    return None if before is None or now < before else now - before
