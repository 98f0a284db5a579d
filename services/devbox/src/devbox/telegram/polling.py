"""getUpdates: one poller at a time, which waits until there is something.

A second getUpdates ends the first with 409 Conflict and takes its place, as with Telegram; so two
bots with one token see a conflict at every turn. Telegram also slows conflicts down to one in
three seconds; the simulator does not.
"""

import asyncio

from devbox.telegram.errors import Conflict
from devbox.telegram.limits import POLL_SECONDS_MAX, UPDATES_PER_POLL_MAX
from devbox.telegram.updates import Updates

SECOND_POLLER = (
    "terminated by other getUpdates request; make sure that only one bot instance is running"
)
WEBHOOK_IS_SET = (
    "can't use getUpdates method while webhook is active;"
    " use deleteWebhook to delete the webhook first"
)


class Polling:
    """The one long poll that may be waiting."""

    def __init__(self, updates: Updates) -> None:
        self._updates = updates
        self._waiting: asyncio.Future[str | None] | None = None

    async def get_updates(self, offset: int, limit: int, wait_seconds: int) -> bytes:
        """The next updates as a JSON list, after at most `wait_seconds`.

        Numbers out of their range are moved into it. Raises Conflict when another poller comes
        or a webhook is set meanwhile.
        """
        self.end(SECOND_POLLER)
        if offset < 0:
            self._updates.keep_last(-offset)
        elif offset > 0:
            self._updates.confirm(offset)
        count_max = limit if 1 <= limit <= UPDATES_PER_POLL_MAX else UPDATES_PER_POLL_MAX
        batch = self._updates.take(count_max)
        if not batch and wait_seconds > 0:
            await self._wait(min(wait_seconds, POLL_SECONDS_MAX))
            batch = self._updates.take(count_max)
        return b"[" + b",".join(entry.body for entry in batch) + b"]"

    async def _wait(self, seconds: float) -> None:
        future: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting = future
        try:
            async with asyncio.timeout(seconds):
                conflict = await future
        except TimeoutError:
            return
        finally:
            if self._waiting is future:
                self._waiting = None
        if conflict is not None:
            raise Conflict(conflict)

    def wake(self) -> None:
        """Let the waiting poll look again: an update became deliverable, or the server stops."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def end(self, reason: str) -> None:
        """Answer the waiting poll with 409 Conflict for this reason, if one waits."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(reason)
        self._waiting = None
