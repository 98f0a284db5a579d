"""One seed, one run: everything the code under test draws, and every wall clock it reads for an id,
comes from here while a run lasts.
"""

import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest import mock

from kernel import identifiers

BEGIN = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
"""The database's time at the world's moment 0."""
_BEGIN_NANOSECONDS = int(BEGIN.timestamp()) * 1_000_000_000


def at(moment: float) -> datetime:
    """Database time at a moment of the world."""
    return BEGIN + timedelta(seconds=moment)


class _Bits:
    """Stands for `secrets` where ids are made."""

    def __init__(self, source: random.Random) -> None:
        self.randbits = source.getrandbits


class _Wall:
    """Stands for `time` where ids are made."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    def time_ns(self) -> int:
        return _BEGIN_NANOSECONDS + int(self._now() * 1e9)


@contextmanager
def seeded(source: random.Random, now: Callable[[], float]) -> Iterator[None]:
    """Draw jitter and ids from `source`, and make ids by `now`, in seconds of the world."""
    state = random.getstate()
    random.seed(source.getrandbits(64))
    with (
        mock.patch.object(identifiers, "secrets", _Bits(source)),
        mock.patch.object(identifiers, "time", _Wall(now)),
        mock.patch.object(identifiers, "_last_tick", 0),
    ):
        try:
            yield
        finally:
            random.setstate(state)


def uuid_of(source: random.Random) -> uuid.UUID:
    """Draw a random id."""
    return uuid.UUID(int=source.getrandbits(128), version=4)
