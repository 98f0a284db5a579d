"""Lets time act on the books: a bounded step at a time, again at once while there is more."""

import asyncio

from chassis.errors import ServiceError
from chassis.telemetry import get_logger
from ledger import metrics
from ledger.postgres import Housekeeping

PAUSE_SECONDS = 0.2
"""Between two full steps: housekeeping must not be felt."""

_log = get_logger(__name__)


async def expire_holds(housekeeping: Housekeeping, every_seconds: float) -> None:
    """Give back expired holds until cancelled."""
    while True:
        expired = 0
        try:
            expired = await housekeeping.expire_holds()
            metrics.HOLDS_EXPIRED.inc(expired)
        except ServiceError as error:
            _log.warning("sweep_failed", error=str(error))
        await asyncio.sleep(PAUSE_SECONDS if expired else every_seconds)


async def roll_up(housekeeping: Housekeeping, every_seconds: float) -> None:
    """Roll up system accounts until cancelled."""
    while True:
        rolled_up = None
        try:
            rolled_up = await housekeeping.roll_up()
        except ServiceError as error:
            _log.warning("roll_up_failed", error=str(error))
        if rolled_up is not None:
            metrics.ROLLED_UP_SECONDS.set(rolled_up.up_to.timestamp())
        more = rolled_up is not None and rolled_up.is_full
        await asyncio.sleep(PAUSE_SECONDS if more else every_seconds)
