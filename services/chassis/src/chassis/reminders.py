"""How often the log has what stays as it is: at once when it is new, then once a minute.

Whoever looks again and again (each half second for a schema, each second for a Lease) would fill
the log with it, and bury the line that came before. Reasons that take turns are no news either, so
each is remembered by itself.
"""

from typing import Final

TELL_AGAIN_SECONDS: Final = 60.0
"""Seldom enough to read past, often enough that whoever opens the log now finds it."""


class Reminders:
    """What was told in the last `TELL_AGAIN_SECONDS`; times are of one monotonic clock."""

    def __init__(self) -> None:
        self._told_at: dict[tuple[str, ...], float] = {}

    def is_due(self, now: float, *what: str) -> bool:
        """Whether this is to be told; it counts as told then."""
        self._told_at = {
            told: at for told, at in self._told_at.items() if now - at < TELL_AGAIN_SECONDS
        }
        if what in self._told_at:
            return False
        self._told_at[what] = now
        return True
