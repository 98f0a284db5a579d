"""How fast charts are drawn, and what that costs in memory: `python -m tests.load.bench_pictures`.

One JSON line per figure, with the commit and the machine. A picture is counted from the call to
the PNG, the way through the painter's pipes included, one after the other, as a worker draws them.
Beside the speed stands how long the event loop was kept from its other work meanwhile: the longest
delay of a task that wants to run each millisecond. Memory is what this process and the painter
grew by together, pages shared with others aside: while the painter lives, at its peak, and when it
has ended.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable

from tests.load.figures import tell
from tests.load.process_memory import memory_of
from tests.unit.user_worker.drawn import candles_picture, equity, portfolio_picture, walk

from user_worker.pictures import ResvgPictures

CANDLES = 96
POINTS = 168
HOLDINGS = [("USDT", "4210"), ("BTC", "3300"), ("ETH", "1500"), ("SOL", "800"), ("XRP", "300")]
PICTURES = 100
"""Of each kind."""

Draw = Callable[[ResvgPictures], Awaitable[bytes]]


async def bench(_asked: object) -> bool:
    """Measure and tell."""
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
        tell("first picture", time.perf_counter() - began, "s")
        for kind, draw in kinds.items():
            await measure(kind, draw, pictures)
        assert pictures.painter_pid is not None
        painter = memory_of(pictures.painter_pid)
        growth = memory_of(os.getpid()).written + painter.private - before
        tell("memory of drawing, between pictures", growth, "MB")
        tell("memory of drawing, at most", growth + painter.peak - painter.resident, "MB")
    tell("memory of drawing, afterwards", memory_of(os.getpid()).written - before, "MB")
    return True


async def measure(kind: str, draw: Draw, pictures: ResvgPictures) -> None:
    """Draw pictures of a kind, one after the other."""
    delays: list[float] = []
    watching = asyncio.create_task(_watch(delays))
    began = time.perf_counter()
    for _ in range(PICTURES):
        picture = await draw(pictures)
    seconds = time.perf_counter() - began
    watching.cancel()
    tell(f"pictures of {kind}", PICTURES / seconds, "1/s", count=PICTURES)
    tell(f"size of a picture of {kind}", len(picture), "B")
    tell(f"longest delay of the event loop, {kind}", max(delays), "s")


async def _watch(delays: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        delays.append(time.perf_counter() - began - 0.001)


if __name__ == "__main__":
    asyncio.run(bench(None))
