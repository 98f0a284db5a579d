"""How long this worker may believe that it owns its shards.

The database counts the lease from when it worked the heartbeat; this side counts the same length
from before the heartbeat was sent, on the monotonic clock, and stops a margin earlier. So this
side's end always comes first, however long the answer took, as long as the two clocks run equally
fast within the margin. The fence does not rely on it: being late costs refused writes, never a
wrong one.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Lease:
    """The lease of one incarnation. Times are seconds of one monotonic clock."""

    length_seconds: float
    """What the database was asked for."""
    margin_seconds: float
    """How much earlier this side stops."""
    ends_at: float = float("-inf")

    def renewed(self, sent_at: float) -> None:
        """Count from `sent_at`, read before the successful heartbeat was sent. Never shortens."""
        self.ends_at = max(self.ends_at, sent_at + self.length_seconds - self.margin_seconds)

    def remaining(self, now: float) -> float:
        """Seconds left, 0 when it is over."""
        return max(0.0, self.ends_at - now)

    def is_over(self, now: float) -> bool:
        """Whether everything owned must be dropped."""
        return now >= self.ends_at
