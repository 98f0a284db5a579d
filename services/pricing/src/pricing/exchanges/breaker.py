"""A circuit breaker: whoever does not answer is asked less and less often. Pure; time is given.

closed ── FAILURES_MAX failures in a row, or a wish to be left alone ──► open
open ── its time is over ──► half-open: the next call is a probe
half-open ── the probe succeeds ──► closed;  it fails ──► open, for twice as long, up to a maximum

One step asks an exchange once, so half-open needs no count of the probes under way. A wish to be
left alone opens it for as long as wished; it says nothing about the exchange's health, so it does
not lengthen the next opening.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

FAILURES_MAX = 5
"""Failures in a row that open it: a lost packet is no outage, five steps without an answer are."""
OPEN_SECONDS = 5.0
"""How long it is open at first."""
OPEN_SECONDS_MAX = 15.0
"""How long it is open at most. A call each quarter of a minute burdens nobody, and nobody can trade
until the first exchange that came back is asked."""


class State(IntEnum):
    """The states; the numbers are those of the metric."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker of one exchange, as of its last call. Times are monotonic seconds."""

    failures: int = 0
    """In a row."""
    open_until: float | None = None
    next_open_seconds: float = OPEN_SECONDS

    def state(self, now: float) -> State:
        """Say how it stands."""
        if self.open_until is None:
            return State.CLOSED
        return State.OPEN if now < self.open_until else State.HALF_OPEN

    def admits(self, now: float) -> bool:
        """Say whether a call may be made."""
        return self.state(now) is not State.OPEN

    def after_success(self) -> "Breaker":
        """Close it."""
        return Breaker()

    def after_failure(self, now: float) -> "Breaker":
        """Count a failure; open when there were too many, or when it was the probe's."""
        failures = self.failures + 1
        if failures < FAILURES_MAX and self.state(now) is State.CLOSED:
            return replace(self, failures=failures)
        return Breaker(
            failures,
            now + self.next_open_seconds,
            min(self.next_open_seconds * 2, OPEN_SECONDS_MAX),
        )

    def after_throttling(self, now: float, seconds: float) -> "Breaker":
        """Leave the exchange alone for as long as it wishes."""
        return replace(self, open_until=now + seconds)
