"""How fast charts are drawn, and what that costs in memory: `python -m tests.load.bench_pictures`.

One JSON line per figure, with the commit and the machine. A picture is counted from the call to
the PNG, the way through the painter's pipes included, one after the other, as a worker draws them.
Beside the speed stands how long the event loop was kept from its other work meanwhile: the longest
delay of a task that wants to run each millisecond. Memory is what this process and the painter
grew by together, pages shared with others aside: while the painter lives, at its peak, and when it
has ended.
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

from tests.load.process_memory import memory_of
from tests.unit.user_worker.drawn import candles_picture, equity, portfolio_picture, walk

from user_worker.pictures import ResvgPictures

CANDLES = 96
POINTS = 168
HOLDINGS = [("USDT", "4210"), ("BTC", "3300"), ("ETH", "1500"), ("SOL", "800"), ("XRP", "300")]
COUNT_MAX = 10_000

Draw = Callable[[ResvgPictures], Awaitable[bytes]]


async def bench(count: int) -> None:
    """Measure and print."""
    price = candles_picture(walk(CANDLES))
    worth = [int(candle.close / 10) for candle in walk(POINTS, interval_minutes=60).candles]
    whole = portfolio_picture(equity(worth), HOLDINGS)
    kinds: dict[str, Draw] = {
        "candles": lambda pictures: pictures.candles(price),
        "portfolio": lambda pictures: pictures.portfolio(whole),
    }
    before = memory_of(os.getpid()).written
    async with ResvgPictures() as pictures:
        began = time.perf_counter()
        await pictures.candles(price)
        tell("first_picture_seconds", time.perf_counter() - began)
        for kind, draw in kinds.items():
            await measure(kind, draw, pictures, count // len(kinds))
        assert pictures.painter_pid is not None
        painter = memory_of(pictures.painter_pid)
        growth = memory_of(os.getpid()).written + painter.private - before
        tell("growth_megabytes", growth)
        tell("growth_peak_megabytes", growth + painter.peak - painter.resident)
    tell("growth_after_megabytes", memory_of(os.getpid()).written - before)


async def measure(kind: str, draw: Draw, pictures: ResvgPictures, count: int) -> None:
    """Draw `count` pictures of a kind, one after the other."""
    delays: list[float] = []
    watching = asyncio.create_task(_watch(delays))
    began = time.perf_counter()
    for _ in range(count):
        picture = await draw(pictures)
    seconds = time.perf_counter() - began
    watching.cancel()
    tell(f"{kind}_per_second", count / seconds)
    tell(f"{kind}_bytes", len(picture))
    tell(f"{kind}_loop_delay_max_seconds", max(delays))


async def _watch(delays: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        delays.append(time.perf_counter() - began - 0.001)


def tell(what: str, value: float) -> None:
    """Print one figure."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    line = {
        "bench": "pictures",
        "what": what,
        "value": round(value, 4),
        "commit": commit.stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}",
    }
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="How fast charts are drawn.")
    parser.add_argument("--count", type=int, default=200, help="pictures, half of each kind")
    asyncio.run(bench(max(2, min(parser.parse_args().count, COUNT_MAX))))
