"""The past of prices: fills in the minutes that nobody was there to collect.

A chart right after the first start, or after an outage, must not be empty. A source that knows its
past is asked for the minutes that are missing, an hour of one symbol at a time, the newest hours of
all symbols first. It is background work: after each piece it rests for longer than the piece took,
so that it never takes more than a named share of a core. What is written twice, by two replicas or
again after a crash, is kept once.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from chassis.errors import TryAgain
from chassis.telemetry import get_logger
from pricing import metrics
from pricing.domain import Candle, Traded, beginning

PIECE = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
START_MINUTE_SECONDS = 65.0
"""After so long the minute of the start is over, whatever was left of it."""
REST_PER_WORK = 3.0
"""A quarter of a core at most: others have to start at the same time."""
PAUSE_AFTER_OUTAGE_SECONDS = 5.0

_log = get_logger(__name__)


class PastSource(Protocol):
    """A source that knows its past."""

    @property
    def instruments(self) -> Sequence[Traded]:
        """What it states prices for."""
        ...

    async def past(self, symbol: str, begin: datetime, end: datetime) -> list[Candle]:
        """State the whole minutes from `begin` to before `end`, oldest first. Raises TryAgain."""
        ...


class PastBook(Protocol):
    """Where candles are kept."""

    async def count(self, traded: Traded, begin: datetime, end: datetime) -> int:
        """Count the minutes that are kept from `begin` to before `end`. Raises TryAgain."""
        ...

    async def add(self, candles: Sequence[Candle]) -> None:
        """Keep candles; one that is there stays as it is. Raises TryAgain."""
        ...


async def fill_in(source: PastSource, book: PastBook, now: datetime, reach: timedelta) -> None:
    """Fill in what is missing of the hours between `now - reach` and `now`; ends when it is done.

    A piece that cannot be had or kept now is tried again after a pause, for as long as it takes.
    """
    if not reach:
        return
    newest, this_minute = beginning(now, PIECE), beginning(now, MINUTE)
    filled = 0
    for back in range(int(reach / PIECE) + 1):
        begin = newest - back * PIECE
        filled += await _ensure(source, book, begin, min(begin + PIECE, this_minute))
    # The minute of the start: those who listen have not heard it from its beginning.
    await asyncio.sleep(START_MINUTE_SECONDS)
    filled += await _ensure(source, book, this_minute, this_minute + MINUTE)
    if filled:
        _log.info("history_filled_in", minutes=filled, reach_hours=reach / PIECE)


async def _ensure(source: PastSource, book: PastBook, begin: datetime, end: datetime) -> int:
    """Make sure that a piece is kept of each symbol; gives how many minutes were offered."""
    return sum(
        [await _ensure_piece(source, book, traded, begin, end) for traded in source.instruments]
    )


async def _ensure_piece(
    source: PastSource, book: PastBook, traded: Traded, begin: datetime, end: datetime
) -> int:
    """Make sure that a piece of one symbol is kept, however long that takes."""
    if begin >= end:
        return 0
    while True:
        began = time.monotonic()
        try:
            if await book.count(traded, begin, end) >= (end - begin) / MINUTE:
                return 0
            candles = await source.past(traded.symbol, begin, end)
            if candles:
                await book.add(candles)
        except TryAgain as error:
            _log.warning("history_waits", symbol=traded.symbol, error=str(error))
            await asyncio.sleep(PAUSE_AFTER_OUTAGE_SECONDS)
            continue
        metrics.CANDLES.labels("filled_in").inc(len(candles))
        await asyncio.sleep((time.monotonic() - began) * REST_PER_WORK)
        return len(candles)
