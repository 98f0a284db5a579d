"""The webhook: Telegram calls, we commit, then answer 200.

401 without the secret (compared in constant time), 413 above the size limit, 400 for what is no
JSON, 503 when nothing durable can be written: Telegram tries again. Whatever else Telegram sends is
acknowledged, since sending it again would not make it any better; what cannot be read is kept aside
by the inbox.
"""

import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from chassis.errors import CannotStart, LimitReached, ServiceError, TryAgain
from chassis.settings import Secret
from chassis.telemetry import get_logger, split_address
from gateway import metrics
from gateway.application import Acceptance

PATH = "/telegram"
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 (the header's name)
SHUTDOWN_SECONDS = 5.0
"""What calls under way get to finish."""

_log = get_logger(__name__)


@asynccontextmanager
async def listening(
    acceptance: Acceptance, secret: Secret, address: str, bytes_max: int
) -> AsyncIterator[str]:
    """Take webhook calls inside the block; gives `host:port`. Raises CannotStart if it is taken."""
    application = web.Application(client_max_size=bytes_max)
    application.router.add_post(PATH, _Door(acceptance, secret).take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    host, port = split_address(address)
    site = web.TCPSite(runner, host, port)
    try:
        try:
            await site.start()
        except OSError as error:
            raise CannotStart(f"cannot listen on {address}: {error.strerror}.") from None
        yield f"{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class _Door:
    def __init__(self, acceptance: Acceptance, secret: Secret) -> None:
        self._acceptance = acceptance
        self._secret = secret.reveal().encode()

    async def take(self, request: web.Request) -> web.Response:
        """Answer one call."""
        status = await self._status(request)
        metrics.WEBHOOK_ANSWERS.labels(str(status)).inc()
        return web.Response(status=status)

    async def _status(self, request: web.Request) -> int:
        given = request.headers.get(SECRET_HEADER, "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, self._secret):
            return 401
        try:
            raw = json.loads(await request.read())
        except web.HTTPRequestEntityTooLarge:
            return 413
        except (ValueError, RecursionError):
            return 400
        try:
            await self._acceptance.receive(raw)
        except (TryAgain, LimitReached) as error:
            _log.warning("update_not_accepted", error=str(error))
            return 503
        except ServiceError:
            return 503
        return 200
