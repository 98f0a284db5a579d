"""Polling: one gateway among the replicas asks Telegram for updates; commit first, then advance.

The offset of the next poll tells Telegram what it may forget, so it moves only past updates that
are in the inbox. Nothing remembers it: a new poller begins without one and meets again what was not
confirmed; the inbox knows which of it are duplicates. After an empty answer it is dropped, since
Telegram may begin its ids anew, lower.

Who polls is a lease on the database's clock, kept at a monotonic deadline counted from before it
was taken. The poll under way is given up when the deadline passes unrenewed.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any, Protocol

from chassis.errors import ServiceError
from chassis.telemetry import get_logger
from gateway import metrics
from gateway.application import Acceptance
from gateway.errors import RetryLater, TelegramFailure, TokenRefused, WrongToken
from gateway.translation import ALLOWED_UPDATES

BACKOFF_SECONDS_MIN = 0.5
LEASE_MARGIN_SECONDS = 1.0
"""A poll is given up so long before the lease ends."""

_log = get_logger(__name__)


class UpdatesApi(Protocol):
    """What polling needs of Telegram."""

    async def get_updates(
        self, offset: int | None, limit: int, wait_seconds: int, kinds: Sequence[str]
    ) -> list[Any]:
        """Wait for updates from `offset` on, as they come. Raises TelegramFailure."""

    async def delete_webhook(self) -> None:
        """Have updates kept for polling; none is dropped. Raises TelegramFailure."""


class PollLease(Protocol):
    """The right to poll."""

    async def take(self, lease_seconds: float) -> bool:
        """Take or renew the lease; False while another gateway has it. Raises TryAgain."""

    async def release(self) -> None:
        """Give the lease up. Raises TryAgain."""


class Poller:
    """Polls while it has the lease."""

    def __init__(
        self,
        telegram: UpdatesApi,
        acceptance: Acceptance,
        lease: PollLease,
        *,
        lease_seconds: float,
        wait_seconds: int,
        updates_max: int,
        failure_seconds_max: float,
    ) -> None:
        self._telegram = telegram
        self._acceptance = acceptance
        self._lease = lease
        self._lease_seconds = lease_seconds
        self._wait_seconds = wait_seconds
        self._updates_max = updates_max
        self._failure_seconds_max = failure_seconds_max

    async def run(self) -> None:
        """Poll until cancelled. Raises WrongToken (a CannotStart)."""
        try:
            while True:
                deadline = await self._take(0.0)
                if not deadline:
                    await asyncio.sleep(self._lease_seconds / 3)
                    continue
                metrics.POLLING.set(1)
                _log.info("polling_begins")
                try:
                    await self._poll_while_leased(deadline)
                finally:
                    metrics.POLLING.set(0)
                _log.warning("polling_lease_lost")
        finally:
            with contextlib.suppress(ServiceError):
                await self._lease.release()

    async def _take(self, deadline: float) -> float:
        """Take or renew the lease; its deadline: the old one if nobody can say, 0 if not ours."""
        began = time.monotonic()
        try:
            taken = await self._lease.take(self._lease_seconds)
        except ServiceError:
            return deadline
        return began + self._lease_seconds - LEASE_MARGIN_SECONDS if taken else 0.0

    async def _poll_while_leased(self, deadline: float) -> None:
        polling = asyncio.create_task(self._poll())
        try:
            while time.monotonic() < deadline:
                await asyncio.wait({polling}, timeout=self._lease_seconds / 3)
                if polling.done():
                    return polling.result()
                deadline = await self._take(deadline)
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    async def _poll(self) -> None:
        offset: int | None = None
        failures = 0
        while True:
            try:
                updates = await self._telegram.get_updates(
                    offset, self._updates_max, self._wait_seconds, ALLOWED_UPDATES
                )
                await self._accept(updates)
            except TokenRefused:
                raise WrongToken from None
            except (TelegramFailure, ServiceError) as failure:
                failures += 1
                await self._pause(failure, failures)
            else:
                failures = 0
                offset = next_offset(updates)

    async def _accept(self, updates: Sequence[object]) -> None:
        """Commit them all. The ones that arrive together share a transaction."""
        results = await asyncio.gather(
            *(self._acceptance.receive(update) for update in updates), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _pause(self, failure: Exception, failures: int) -> None:
        metrics.POLL_FAILURES.labels(type(failure).__name__).inc()
        delay = min(BACKOFF_SECONDS_MIN * 2.0 ** min(failures - 1, 20), self._failure_seconds_max)
        if isinstance(failure, RetryLater) and failure.delay_seconds is not None:
            delay = max(delay, failure.delay_seconds)
        if failures == 1 or failures % 20 == 0:
            _log.warning("poll_failed", failure=str(failure), failures=failures)
        if "webhook is active" in str(failure):
            with contextlib.suppress(TelegramFailure):
                await self._telegram.delete_webhook()
        await asyncio.sleep(delay)


def next_offset(updates: Sequence[Any]) -> int | None:
    """Where the next poll begins: behind the last update; None, from the beginning, when there was
    none.
    """
    ids = [
        update["update_id"]
        for update in updates
        if isinstance(update, dict) and type(update.get("update_id")) is int
    ]
    return max(ids) + 1 if ids else None
