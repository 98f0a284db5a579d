"""Where the webhook is, told to Telegram at each start: the same again changes nothing.

Without it no update arrives, so a Telegram that is away or refuses is told again until it listens.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from chassis.settings import Secret
from chassis.telemetry import get_logger
from gateway.errors import RetryLater, TelegramFailure

PAUSE_SECONDS = 5.0
"""Between tries; longer when Telegram says so."""

_log = get_logger(__name__)


class WebhookApi(Protocol):
    """What this needs of Telegram."""

    async def set_webhook(
        self, url: str, secret: Secret, kinds: Sequence[str], connections_max: int
    ) -> None:
        """Have updates delivered to `url`. Raises TelegramFailure."""


async def tell_webhook(
    telegram: WebhookApi, url: str, secret: Secret, kinds: Sequence[str], connections_max: int
) -> None:
    """See to it that updates are delivered to `url`. Never raises TelegramFailure."""
    while True:
        pause = PAUSE_SECONDS
        try:
            await telegram.set_webhook(url, secret, kinds, connections_max)
        except RetryLater as failure:
            pause = max(pause, failure.delay_seconds or 0.0)
            _log.error("set_webhook_failed", failure=str(failure), again_in_seconds=pause)
        except TelegramFailure as failure:
            _log.error("set_webhook_failed", failure=str(failure), again_in_seconds=pause)
        else:
            _log.info("webhook_set")
            return
        await asyncio.sleep(pause)
