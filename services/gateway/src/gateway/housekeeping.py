"""Forgets what is over, a bounded batch at a time, again at once while there is more."""

import asyncio

from chassis.errors import ServiceError
from chassis.telemetry import get_logger
from gateway import metrics
from gateway.postgres import Housekeeping

PAUSE_SECONDS = 0.2
"""Between two full batches: purging must not be felt."""

_log = get_logger(__name__)


async def keep_house(housekeeping: Housekeeping, every_seconds: float) -> None:
    """Purge until cancelled."""
    while True:
        more = False
        try:
            for what, (rows, is_full) in (await housekeeping.purge()).items():
                metrics.PURGED.labels(what).inc(rows)
                more = more or is_full
        except ServiceError as error:
            _log.warning("purge_failed", error=str(error))
        await asyncio.sleep(PAUSE_SECONDS if more else every_seconds)
