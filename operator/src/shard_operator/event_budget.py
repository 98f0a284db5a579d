"""How many Events may be told: a few at once of each reason, then slowly.

An Event is an object in etcd for an hour and is sent to everybody who watches. When another writer
changes an object many times a second, each pass finds something to tell; telling all of it would
multiply the storm. So each reason of each UserShard has a bucket of its own, and a flood of one
reason withholds no other's. The log has every decision either way.
"""

import time
from collections.abc import Callable, Hashable

BURST_MAX = 10
"""Events of one reason at once: more than any decision taken step by step needs."""

REFILL_SECONDS = 6.0
"""After a burst, one Event of a reason in this time."""

BUCKETS_MAX = 10_000
"""Reasons of UserShards remembered; above it those that are full again are dropped."""


class EventBudget:
    """One bucket per key."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._buckets: dict[Hashable, tuple[float, float]] = {}
        """By key: what was left in it, and when."""

    def take(self, key: Hashable) -> bool:
        """Whether one more may be told now; if so, it is taken."""
        now = self._monotonic()
        left, at = self._buckets.get(key, (float(BURST_MAX), now))
        left = min(float(BURST_MAX), left + (now - at) / REFILL_SECONDS)
        is_allowed = left >= 1
        self._buckets[key] = (left - is_allowed, now)
        if len(self._buckets) > BUCKETS_MAX:
            self._drop_full(now)
        return is_allowed

    def _drop_full(self, now: float) -> None:
        full_after = BURST_MAX * REFILL_SECONDS
        self._buckets = {
            key: bucket for key, bucket in self._buckets.items() if now - bucket[1] < full_after
        }
