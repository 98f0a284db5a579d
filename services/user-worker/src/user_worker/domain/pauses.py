"""How long to rest before trying again: doubling, capped, with jitter.

The jitter is full (a random share of the pause, at least half): workers that lost the same
dependency do not come back to it in step.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pauses:
    """A rhythm of pauses; iterate it anew for each thing that is tried."""

    first_seconds: float
    longest_seconds: float

    def __iter__(self) -> Iterator[float]:
        """Yield pauses for ever."""
        pause = self.first_seconds
        while True:
            yield pause * random.uniform(0.5, 1.0)  # noqa: S311 (spreads load, keeps no secret)
            pause = min(pause * 2, self.longest_seconds)
