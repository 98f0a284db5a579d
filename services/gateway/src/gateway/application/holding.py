"""Holding notices back while users wait for answers; never the other way.

A look at the database is good for `LOOK_SECONDS`, whoever asks, and is only taken while there is a
notice to send. An answer that Telegram has put off is due again a moment before a sweep takes it
up: so notices rest for `REST_SECONDS` after the last look that found somebody waiting. While the
database is away nothing is known, and nothing can be sent either.
"""

import asyncio
import math
import time

from chassis.telemetry import get_logger
from gateway import metrics
from gateway.application.ports import LatenessStore

LOOK_SECONDS = 0.5
"""How long notices may go on after users began to wait."""

REST_SECONDS = 2.0
"""How long they wait after users were last seen waiting: longer than a sweep and its calls."""

_log = get_logger(__name__)


class NoticeHold:
    """Says whether notices wait."""

    def __init__(self, lateness: LatenessStore) -> None:
        self._lateness = lateness
        self._looked_at = -math.inf
        self._late_at = -math.inf
        self._looking = asyncio.Lock()
        self._is_held = False

    async def is_held(self) -> bool:
        """Whether notices are to wait. Raises TryAgain."""
        async with self._looking:
            if time.monotonic() - self._looked_at > LOOK_SECONDS:
                is_late = await self._lateness.is_late()
                self._looked_at = now = time.monotonic()
                if is_late:
                    self._late_at = now
                self._set(is_held=now - self._late_at < REST_SECONDS)
        return self._is_held

    def _set(self, *, is_held: bool) -> None:
        if is_held != self._is_held:
            _log.info("notices_held" if is_held else "notices_go_on")
        self._is_held = is_held
        metrics.NOTICES_HELD.set(is_held)
