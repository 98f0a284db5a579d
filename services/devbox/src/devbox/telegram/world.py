"""Everything one simulated Telegram holds, and the call as its methods see it.

State lives in memory and is gone when the simulator stops: chats, updates, files, webhook.
"""

import secrets
from dataclasses import dataclass, field

from devbox.telegram.chats import Chats
from devbox.telegram.clicks import Clicks
from devbox.telegram.faults import Faults
from devbox.telegram.files import Files, Upload
from devbox.telegram.limits import Limits
from devbox.telegram.polling import Polling
from devbox.telegram.shapes import Json, Method, Shapes
from devbox.telegram.updates import Pending, Updates
from devbox.telegram.webhook import Webhook

SIMULATOR_TOKEN = "1000000001:simulator-token-is-no-secret-000000"  # noqa: S105 -- it is none
"""The token of the simulated bot unless another is given. It opens nothing outside a simulator."""

FIRST_ID_MAX = 1 << 30
"""Update and message ids begin at a random number up to this, as Telegram's update ids do after
a pause: ids of an earlier run are then practically never used again."""


@dataclass(frozen=True, slots=True)
class Call:
    """One Bot API call: its method, its typed parameters, the files that came along."""

    method: Method
    parameters: Json
    uploads: dict[str, Upload] = field(default_factory=dict)


@dataclass(slots=True)
class SendCounts:
    """Calls of send methods, for `GET /sim/stats`."""

    accepted: int = 0
    refused: int = 0


class World:
    """One simulated Telegram with one bot."""

    def __init__(
        self,
        shapes: Shapes,
        limits: Limits,
        token: str,
        username: str,
        seed: int,
        first_update_id: int | None,
        first_message_id: int | None,
    ) -> None:
        self.shapes = shapes
        self.limits = limits
        self.token = token
        self.bot: Json = {
            "id": int(token.partition(":")[0]),
            "is_bot": True,
            "first_name": "Purser",
            "username": username,
        }
        self.faults = Faults(seed)
        self.updates = Updates(limits, self.faults, first_update_id or random_first_id())
        self.chats = Chats(limits, self.bot, first_message_id or random_first_id())
        self.clicks = Clicks(limits)
        self.files = Files(limits.files_bytes_max)
        self.polling = Polling(self.updates)
        self.webhook = Webhook(self.updates, limits)
        self.commands: dict[str, list[Json]] = {}
        """Command lists by scope and language, see `bot_profile.commands_key`."""
        self.commands_version = 0
        self.sends = SendCounts()
        self.calls: dict[str, int] = {}
        self.updates.on_ready = self.deliver

    def deliver(self, entry: Pending) -> None:
        """An update became deliverable: to the webhook if there is one, else to the poller."""
        if self.webhook.settings is not None:
            self.webhook.send(entry)
        else:
            self.polling.wake()

    def stats(self) -> Json:
        """The counters of `GET /sim/stats`."""
        counts = self.updates.counts
        return {
            "updates_made": counts.made,
            "updates_delivered": counts.delivered,
            "updates_acknowledged": counts.acknowledged,
            "updates_pending": self.updates.waiting(),
            "updates_redelivered": counts.redelivered,
            "updates_duplicated": counts.duplicated,
            "updates_reordered": counts.reordered,
            "updates_unwanted": counts.unwanted,
            "updates_dropped": counts.dropped,
            "sends_accepted": self.sends.accepted,
            "sends_refused": self.sends.refused,
            "calls": dict(sorted(self.calls.items())),
        }


def random_first_id() -> int:
    """Where a counter of ids begins."""
    return 1 + secrets.randbelow(FIRST_ID_MAX)
