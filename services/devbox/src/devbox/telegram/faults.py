"""Deliberate misfortune: what the control API's `POST /sim/faults` switches on.

Every decision comes from one seeded random generator, so the same calls in the same order meet
the same faults. Faults strike Bot API calls only; the control API and the page never fail.
A dropped connection is dropped before the call or after it, each half the time: after it, the
bot cannot know that its message was sent.
"""

import asyncio
import random
from enum import Enum
from typing import Any

import msgspec

from devbox.telegram.errors import InternalError, InvalidControl, TooManyRequests

DELAY_MS_MAX = 60_000


class FaultSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body of `POST /sim/faults`; each POST sets all of them, absent ones to no fault.

    Chances are between 0 and 1.
    """

    duplicate_updates: float = 0.0
    """Chance that an acknowledged update is delivered once more, with the same update id."""

    reorder_updates: float = 0.0
    """Chance that an update is overtaken by the next one, if that is another user's."""

    status_429: float = 0.0
    status_500: float = 0.0
    """Chance that a call is refused this way, before it has any effect."""

    drop_connection: float = 0.0
    """Chance that a call's connection is closed without an answer, before or after its effect."""

    delay_ms: float = 0.0
    """Wait before every call."""

    retry_after: int = 1
    """Seconds a 429 asks the bot to wait."""

    chat_sends_per_second: float = 0.0
    """Flood limit of a chat, with a burst of one second's worth (at least one); 0 is no limit."""

    methods: list[str] | None = None
    """The methods that 429, 500, drops and delays strike; all if absent."""

    seed: int | None = None
    """Starts the random generator again from this number."""


class Drop(Enum):
    """When a call's connection is dropped, if it is."""

    NEVER = "never"
    BEFORE = "before"
    AFTER = "after"


class Faults:
    """Draws the lots; `settings` says with what chance."""

    def __init__(self, seed: int) -> None:
        self.settings = FaultSettings()
        self._random = random.Random(seed)  # noqa: S311 -- must be the same in every run
        self._striking: frozenset[str] | None = None

    def set(self, settings: FaultSettings) -> None:
        """Replace all settings. Raises InvalidControl for a number out of its range."""
        for name in ("duplicate_updates", "reorder_updates", "status_429", "status_500"):
            check_range(name, getattr(settings, name), 1.0)
        check_range("drop_connection", settings.drop_connection, 1.0)
        check_range("delay_ms", settings.delay_ms, DELAY_MS_MAX)
        check_range("retry_after", settings.retry_after, 86_400)
        check_range("chat_sends_per_second", settings.chat_sends_per_second, 1_000_000)
        self.settings = settings
        methods = settings.methods
        self._striking = None if methods is None else frozenset(name.lower() for name in methods)
        if settings.seed is not None:
            self._random.seed(settings.seed)

    def duplicates(self) -> bool:
        """Whether this update will be delivered twice."""
        return self._happens(self.settings.duplicate_updates)

    def reorders(self) -> bool:
        """Whether this update is held back for the next one."""
        return self._happens(self.settings.reorder_updates)

    async def strike(self, method: str) -> Drop:
        """Delay the call, refuse it, or say when its connection is to be dropped.

        Raises TooManyRequests or InternalError.
        """
        settings = self.settings
        if self._striking is not None and method not in self._striking:
            return Drop.NEVER
        if settings.delay_ms:
            await asyncio.sleep(settings.delay_ms / 1000)
        if self._happens(settings.status_429):
            raise TooManyRequests(settings.retry_after)
        if self._happens(settings.status_500):
            raise InternalError
        if self._happens(settings.drop_connection):
            return Drop.BEFORE if self._random.random() < 0.5 else Drop.AFTER
        return Drop.NEVER

    def _happens(self, chance: float) -> bool:
        return chance > 0.0 and self._random.random() < chance


def check_range(name: str, value: Any, maximum: float) -> None:
    """Raise InvalidControl unless 0 <= value <= maximum."""
    if not 0 <= value <= maximum:
        raise InvalidControl(f"{name} must be between 0 and {maximum:g}")
