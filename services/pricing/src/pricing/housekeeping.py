"""Forgets candles nobody can read any more, a bounded batch at a time, again soon while there is
more. Any number of replicas may do so at once.
"""

import asyncio
from datetime import timedelta
from typing import Protocol

from chassis.errors import ServiceError
from chassis.telemetry import get_logger
from pricing import metrics

BATCH_ROWS_MAX = 5_000
"""Some 30 ms of the second a transaction may last."""
PAUSE_SECONDS = 0.5
"""Between two full batches: forgetting must not be felt."""
FAILURE_PAUSE_SECONDS = 60.0

_log = get_logger(__name__)


class AgingBook(Protocol):
    """What forgets."""

    async def forget(self, age: timedelta, rows_max: int) -> int:
        """Forget candles of that age, so many at most; how many it were. Raises TryAgain."""


async def forget_candles(book: AgingBook, age: timedelta, every_seconds: float) -> None:
    """Forget until cancelled."""
    while True:
        pause = every_seconds
        try:
            forgotten = await book.forget(age, BATCH_ROWS_MAX)
            metrics.CANDLES.labels("forgotten").inc(forgotten)
            if forgotten == BATCH_ROWS_MAX:
                pause = PAUSE_SECONDS
        except ServiceError as error:
            _log.warning("forgetting_failed", error=str(error))
            pause = min(every_seconds, FAILURE_PAUSE_SECONDS)
        await asyncio.sleep(pause)
