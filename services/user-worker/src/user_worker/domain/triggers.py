"""Which of many waiting prices a quote meets. No I/O, no clock.

Per symbol and direction the prices stand in a heap whose top is met first: the highest of those
that wait for a fall, the lowest of those that wait for a rise. A quote looks at the top and takes
what it meets, so it costs the same however many wait further off: O(log n) for each one met, and
nothing for the others. What is removed stays in its heap until it comes up, or until the heap holds
more of the dead than of the living and is made anew.
"""

import enum
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from heapq import heapify, heappop, heappush
from uuid import UUID

from user_worker.domain.resting import Direction

DEAD_MIN = 32
"""Removed watches a heap may hold in any case."""


class Purpose(enum.Enum):
    """What follows when a price is met."""

    LIMIT = "limit"
    """An order, once the venue would execute it within its limit."""
    MARKET = "market"
    """An order."""
    ALERT = "alert"
    """A notice."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A price that is waited for. An id stands for one watch for ever."""

    watch_id: UUID
    purpose: Purpose
    symbol: str
    direction: Direction
    price: Decimal


@dataclass(slots=True)
class _Heap:
    """Prices of one symbol and direction, with their watches' ids; met first comes first."""

    entries: list[tuple[Decimal, UUID]]
    dead: int = 0


class Triggers:
    """The watches of one shard."""

    def __init__(self) -> None:
        self._watches: dict[UUID, Watch] = {}
        # By symbol alone: a quote is looked up in every shard, and an enum is slow to hash.
        self._falling: dict[str, _Heap] = {}
        self._rising: dict[str, _Heap] = {}

    def __len__(self) -> int:
        return len(self._watches)

    def __contains__(self, watch_id: UUID) -> bool:
        return watch_id in self._watches

    def ids(self) -> Collection[UUID]:
        """The ids of all that is waited for, as it changes."""
        return self._watches.keys()

    def add(self, watch: Watch) -> None:
        """Wait for a price; one that is waited for already is no error."""
        if watch.watch_id in self._watches:
            return
        self._watches[watch.watch_id] = watch
        heap = self._heaps_of(watch).setdefault(watch.symbol, _Heap([]))
        heappush(heap.entries, (_key(watch), watch.watch_id))

    def remove(self, watch_id: UUID) -> None:
        """Wait for it no longer; an unknown one is no error."""
        watch = self._watches.pop(watch_id, None)
        if watch is None:
            return
        heaps = self._heaps_of(watch)
        heap = heaps[watch.symbol]
        heap.dead += 1
        if heap.dead > max(DEAD_MIN, len(heap.entries) // 2):
            # One that was removed and added again stands there twice.
            living = list({entry for entry in heap.entries if entry[1] in self._watches})
            heapify(living)
            heaps[watch.symbol] = _Heap(living)

    def crossed(self, symbol: str, price: Decimal) -> list[Watch]:
        """Take out the watches a quote meets, those met first coming first."""
        met: list[Watch] = []
        falling, rising = self._falling.get(symbol), self._rising.get(symbol)
        if falling is not None:
            self._take(falling, price.copy_negate(), met)
        if rising is not None:
            self._take(rising, price, met)
        return met

    def _take(self, heap: _Heap, bound: Decimal, met: list[Watch]) -> None:
        while heap.entries and heap.entries[0][0] <= bound:
            watch = self._watches.pop(heappop(heap.entries)[1], None)
            if watch is None:
                heap.dead -= 1
            else:
                met.append(watch)

    def _heaps_of(self, watch: Watch) -> dict[str, _Heap]:
        return self._rising if watch.direction is Direction.AT_OR_ABOVE else self._falling


def _key(watch: Watch) -> Decimal:
    # Negated by its sign alone: arithmetic would round to the context's precision.
    return watch.price if watch.direction is Direction.AT_OR_ABOVE else watch.price.copy_negate()
