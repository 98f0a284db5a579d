"""`record` writes what the streams tell and `simulate` reads it: real servers to a picture."""

import asyncio
import os
import signal
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from chassis.streams import append, remove
from devbox.database import Database
from kernel.names import jobs_stream
from kernel.sharding import ShardKey
from shard_operator.simulating.recorded import parse_trace

POOL = "default.main"
STREAM = jobs_stream(ShardKey(POOL, 1))


async def start(*arguments: str, database_url: str = "", redis_url: str = "") -> Any:
    """The operator's program with a verb, as a person types it."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shard_operator",
        *arguments,
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "OPERATOR_DATABASE_URL": database_url,
            "OPERATOR_REDIS_URL": redis_url,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def lines_in(file: Path, count: int) -> None:
    """Wait for so many lines."""
    for _ in range(200):
        if len(written := _lines(file)) >= count:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{file.name} has no {count} lines: {written}")


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


async def test_a_recording_tells_what_came_and_what_ended(
    stage: Any, database: Database, redis_url: str, tmp_path: Path
) -> None:
    """Line by line; a flushed Redis is unknown for a line, never a negative count."""
    await stage.make_shards(3)
    await stage.run_of("w-0")
    file = tmp_path / "trace.csv"
    async with Redis.from_url(redis_url) as redis:
        entries = [await append(redis, STREAM, b"job")]
        recording = await start(
            *("record", "main", "--period", "0.3", "--file", str(file)),
            database_url=database.url("purser_operator"),
            redis_url=redis_url,
        )
        await lines_in(file, 2)
        entries += [await append(redis, STREAM, b"job") for _ in range(3)]
        await lines_in(file, 4)
        await remove(redis, STREAM, entries)
        await lines_in(file, 6)
        await append(redis, STREAM, b"job")
        await lines_in(file, 8)
        await redis.flushall()
        await lines_in(file, 11)
    recording.send_signal(signal.SIGINT)
    assert (b"", b"") == await recording.communicate()
    assert 0 == recording.returncode
    trace = parse_trace(file.read_text().splitlines(keepends=True))

    begin, *rows = trace.rows
    assert (1, 1, 3, 1) == (begin.backlog, begin.shards_with_work, begin.shards, begin.workers)
    assert (None, None) == (begin.arrivals, begin.finished)
    flushed = next(n for n, row in enumerate(rows) if row.arrivals is None)
    assert (4, 4) == (
        sum(row.arrivals or 0 for row in rows[:flushed]),
        sum(row.finished or 0 for row in rows[:flushed]),
    )
    assert {0, 1, 4} <= {row.backlog for row in rows[:flushed]}
    assert (0, 0) == (rows[flushed].backlog, rows[flushed + 1].arrivals)


async def test_a_recording_that_stood_still_makes_up_for_nothing(
    stage: Any, database: Database, redis_url: str, tmp_path: Path
) -> None:
    """Its lines stay apart: a trace whose time does not rise could not be read."""
    await stage.make_shards(1)
    file = tmp_path / "trace.csv"
    recording = await start(
        *("record", POOL, "--period", "0.1", "--file", str(file)),
        database_url=database.url("purser_operator"),
        redis_url=redis_url,
    )
    await lines_in(file, 2)
    recording.send_signal(signal.SIGSTOP)
    await asyncio.sleep(1)
    recording.send_signal(signal.SIGCONT)
    await lines_in(file, len(_lines(file)) + 4)
    recording.send_signal(signal.SIGINT)
    assert 0 == await recording.wait()

    moments = [row.seconds for row in parse_trace(file.read_text().splitlines(keepends=True)).rows]
    steps = [later - earlier for earlier, later in pairwise(moments)]
    assert 0.9 < max(steps)
    assert 0.049 < min(steps)


async def test_what_was_recorded_can_be_simulated(
    stage: Any, database: Database, redis_url: str, tmp_path: Path
) -> None:
    """Open and closed, as SVG and as PNG."""
    await stage.make_shards(3)
    file = tmp_path / "trace.csv"
    async with Redis.from_url(redis_url) as redis:
        await append(redis, STREAM, b"job")
        recording = await start(
            *("record", POOL, "--period", "0.2", "--seconds", "1", "--file", str(file)),
            database_url=database.url("purser_operator"),
            redis_url=redis_url,
        )
        assert 0 == await recording.wait()
    for more in ([], ["--loop", "closed", "--worker-rate", "9", "-p", str(tmp_path / "t.png")]):
        simulating = await start("simulate", str(file), *more)
        output, errors = await simulating.communicate()
        assert (0, b"") == (simulating.returncode, errors)
        assert b"replica-minutes" in output

    assert (tmp_path / "trace.svg").read_text().startswith("<svg")
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")


async def test_a_recording_overwrites_nothing(
    stage: Any, database: Database, redis_url: str, tmp_path: Path
) -> None:
    """And names no pool it does not find, nor looks more often than it can tell apart."""
    url = database.url("purser_operator")
    file = tmp_path / "trace.csv"
    often = await start("record", "main", "--period", "0.01")
    _, errors = await often.communicate()
    assert (2, True) == (often.returncode, b"from 0.1 to 3600" in errors)
    unknown = await start("record", "main", database_url=url, redis_url=redis_url)
    _, errors = await unknown.communicate()
    assert (3, b"There is no pool main with a shard or a worker.\n") == (
        unknown.returncode,
        errors,
    )

    await stage.make_shards(1)
    file.write_text("a day's work")
    recording = await start(
        "record", "main", "--file", str(file), database_url=url, redis_url=redis_url
    )
    _, errors = await recording.communicate()
    assert 1 == recording.returncode
    assert b"File exists" in errors
    assert "a day's work" == file.read_text()


async def test_a_reader_that_has_enough_ends_it(
    stage: Any, database: Database, redis_url: str
) -> None:
    """`record main | head` leaves no trace of a broken pipe."""
    await stage.make_shards(1)
    recording = await start(
        *("record", "main", "--period", "0.1"),
        database_url=database.url("purser_operator"),
        redis_url=redis_url,
    )
    assert (await recording.stdout.readline()).startswith(b"time_seconds,")
    recording._transport.get_pipe_transport(1).close()
    async with asyncio.timeout(20):
        errors = await recording.stderr.read()
        await recording.wait()

    assert (0, b"") == (recording.returncode, errors)
