"""What the fence costs: a write that asks it, beside the same write that does not, in turns.

One connection, one row each, on a PostgreSQL that syncs each commit, as in production; then with
`synchronous_commit` off, which leaves the processor time and the round trip that the disk hides.
The fence is a statement of its own before the write, so it costs one round trip more.
"""

import statistics
import time
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
from tests.integration.stores import make_claims
from tests.load.databases import durable_database
from tests.load.figures import tell
from tests.load.intervals import ratio_with_interval

PAIRS = 1_500
WARM_UP_PAIRS = 100
WRITE = "INSERT INTO public.written (shard, epoch) VALUES ($1, $2)"


async def bench(_asked: object) -> bool:
    """Measure and tell; True: a write that failed would have raised."""
    async with durable_database() as database:
        claim = await make_claims(database)(0)
        connection = await asyncpg.connect(database.owner_url)
        try:
            await connection.execute("CREATE TABLE public.written (shard integer, epoch bigint)")

            async def write(*, is_fenced: bool) -> None:
                async with connection.transaction():
                    if is_fenced:
                        await connection.execute(
                            "SELECT placement.fence($1, $2, $3)",
                            *(claim.pool, claim.shard, claim.epoch),
                        )
                    await connection.execute(WRITE, claim.shard, claim.epoch)

            for commits in ("on", "off"):
                await connection.execute(f"SET synchronous_commit = {commits}")
                fenced, plain = await _in_turns(
                    lambda: write(is_fenced=True), lambda: write(is_fenced=False)
                )
                ratio, interval = ratio_with_interval(fenced, plain)
                tell(
                    "a fenced write against the same write without",
                    ratio,
                    "times",
                    interval_95=[round(bound, 3) for bound in interval],
                    fenced_microseconds=round(statistics.median(fenced) * 1e6),
                    plain_microseconds=round(statistics.median(plain) * 1e6),
                    pairs=PAIRS,
                    synchronous_commit=commits,
                )
        finally:
            await connection.close()
    return True


async def _in_turns(
    *ways: Callable[[], Coroutine[Any, Any, None]],
) -> list[list[float]]:
    seconds: list[list[float]] = [[] for _ in ways]
    for pair in range(WARM_UP_PAIRS + PAIRS):
        for taken, way in zip(seconds, ways, strict=True):
            began = time.perf_counter()
            await way()
            if pair >= WARM_UP_PAIRS:
                taken.append(time.perf_counter() - began)
    return seconds
