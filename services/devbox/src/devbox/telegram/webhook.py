"""Delivery by webhook: each update is POSTed until the bot answers 2xx.

One user's updates go one after another, different users' side by side, at most `max_connections`
at a time. A failed call is repeated after a pause that doubles (1 s, 2 s, ... 60 s), or after the
seconds of a `Retry-After` header. While it pauses, only that user's later updates wait.

Telegram wants https; the simulator takes http as well, since it never leaves the machine. What a
bot writes into its answer (a method call) is not carried out.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field

import aiohttp

from devbox.telegram.limits import WEBHOOK_CONNECTIONS_DEFAULT, Limits
from devbox.telegram.shapes import Json
from devbox.telegram.updates import Pending, Updates

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 -- the name of a header


@dataclass(slots=True)
class WebhookSettings:
    """What setWebhook was told."""

    url: str
    secret_token: str | None = None
    max_connections: int = WEBHOOK_CONNECTIONS_DEFAULT
    ip_address: str | None = None


@dataclass(slots=True)
class Line:
    """One user's updates waiting for their turn, and the task that sends them."""

    entries: deque[Pending] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


class Webhook:
    """The webhook, if one is set, and its deliveries under way."""

    def __init__(self, updates: Updates, limits: Limits) -> None:
        self._updates = updates
        self._limits = limits
        self._lines: dict[int, Line] = {}
        self._client: aiohttp.ClientSession | None = None
        self._room = asyncio.Semaphore(WEBHOOK_CONNECTIONS_DEFAULT)
        self.settings: WebhookSettings | None = None
        self.last_error: tuple[int, str] | None = None
        """When (Unix seconds) and why a delivery last failed."""

    async def set(self, settings: WebhookSettings) -> None:
        """Deliver to this webhook from now on, beginning with what already waits."""
        await self.stop()
        self.settings = settings
        self.last_error = None
        self._room = asyncio.Semaphore(settings.max_connections)
        self._client = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._limits.webhook_timeout_seconds),
            connector=aiohttp.TCPConnector(limit=0),  # `_room` is the limit
        )
        for entry in list(self._updates.pending.values()):
            self.send(entry)

    async def stop(self) -> None:
        """End the deliveries; what was not acknowledged waits on."""
        self.settings = None
        tasks = [line.task for line in self._lines.values() if line.task is not None]
        self._lines.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
            self._client = None

    def send(self, entry: Pending) -> None:
        """An update became deliverable: put it in its user's line."""
        line = self._lines.get(entry.sender)
        if line is None:
            line = self._lines[entry.sender] = Line()
        line.entries.append(entry)
        if line.task is None:
            line.task = asyncio.create_task(self._empty(entry.sender, line))

    async def _empty(self, sender: int, line: Line) -> None:
        """Deliver a user's updates one by one until none is left."""
        while line.entries:
            await self._deliver(line.entries.popleft())
        if self._lines.get(sender) is line:
            del self._lines[sender]

    async def _deliver(self, entry: Pending) -> None:
        pause = self._limits.webhook_retry_first_seconds
        while entry.update_id in self._updates.pending:
            async with self._room:
                error, retry_after = await self._post(entry)
            if error is None:
                if self._updates.acknowledge(entry):
                    return
                continue
            self.last_error = (int(self._updates.clock()), error)
            await asyncio.sleep(retry_after or pause)
            pause = min(pause * 2, self._limits.webhook_retry_seconds_max)
            self._updates.forget_old()

    async def _post(self, entry: Pending) -> tuple[str | None, float]:
        """One attempt: (what went wrong or None, seconds the bot asked to wait or 0)."""
        client, settings = self._client, self.settings
        if client is None or settings is None:
            return "Webhook was deleted", 0.0
        headers = {"Content-Type": "application/json"}
        if settings.secret_token is not None:
            headers[SECRET_HEADER] = settings.secret_token
        self._updates.mark_delivered(entry)
        try:
            async with client.post(
                settings.url, data=entry.body, headers=headers, allow_redirects=False
            ) as response:
                await response.read()
        except TimeoutError:
            return "Read timeout expired", 0.0
        except aiohttp.ClientConnectorError as error:
            return f"Connection failed: {error.os_error.strerror}", 0.0
        except (aiohttp.ClientError, OSError) as error:
            return f"Connection failed: {type(error).__name__}", 0.0
        if 200 <= response.status < 300:
            return None, 0.0
        asked = response.headers.get("Retry-After", "")
        status = f"{response.status} {response.reason or ''}".strip()
        return (
            f"Wrong response from the webhook: {status}",
            float(asked) if asked.isdecimal() else 0.0,
        )

    def info(self) -> Json:
        """What getWebhookInfo answers."""
        settings = self.settings
        info: Json = {
            "url": settings.url if settings else "",
            "has_custom_certificate": False,
            "pending_update_count": self._updates.waiting(),
        }
        if settings is not None:
            info["max_connections"] = settings.max_connections
            if settings.ip_address:
                info["ip_address"] = settings.ip_address
        if self.last_error is not None:
            info["last_error_date"], info["last_error_message"] = self.last_error
        if self._updates.allowed:
            info["allowed_updates"] = self._updates.allowed
        return info
