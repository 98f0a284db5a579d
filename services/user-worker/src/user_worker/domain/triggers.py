"""Which of many waiting prices a quote meets. No I/O, no clock.

Per symbol and direction the prices stand in a heap whose top is met first: the highest of those
that wait for a fall, the lowest of those that wait for a rise. A quote looks at the top and takes
what it meets, so it costs the same however many wait further off: O(log n) for each one met, and
nothing for the others. What is removed stays in its heap until it comes up, or until the heap holds
more of the dead than of the living and is made anew.
"""

import enum
from collections.abc import Iterator
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
        self._heaps: dict[tuple[str, Direction], _Heap] = {}

    def __len__(self) -> int:
        return len(self._watches)

    def __contains__(self, watch_id: UUID) -> bool:
        return watch_id in self._watches

    def symbols(self) -> set[str]:
        """Give the symbols that were ever waited for."""
        return {symbol for symbol, _ in self._heaps}

    def add(self, watch: Watch) -> None:
        """Wait for a price; one that is waited for already is no error."""
        if watch.watch_id in self._watches:
            return
        self._watches[watch.watch_id] = watch
        heap = self._heaps.setdefault((watch.symbol, watch.direction), _Heap([]))
        heappush(heap.entries, (_key(watch), watch.watch_id))

    def remove(self, watch_id: UUID) -> None:
        """Wait for it no longer; an unknown one is no error."""
        watch = self._watches.pop(watch_id, None)
        if watch is None:
            return
        heap = self._heaps[watch.symbol, watch.direction]
        heap.dead += 1
        if heap.dead > max(DEAD_MIN, len(heap.entries) // 2):
            self._clear(watch.symbol, watch.direction)

    def crossed(self, symbol: str, price: Decimal) -> list[Watch]:
        """Take out the watches a quote meets, those met first coming first."""
        met: list[Watch] = []
        for direction in Direction:
            heap = self._heaps.get((symbol, direction))
            if heap is not None:
                met += self._taken(heap, direction, price)
        return met

    def _taken(self, heap: _Heap, direction: Direction, price: Decimal) -> Iterator[Watch]:
        bound = price if direction is Direction.AT_OR_ABOVE else price.copy_negate()
        while heap.entries and heap.entries[0][0] <= bound:
            watch = self._watches.pop(heappop(heap.entries)[1], None)
            if watch is None:
                heap.dead -= 1
            else:
                yield watch

    def _clear(self, symbol: str, direction: Direction) -> None:
        watches = self._watches.values()
        living = [w for w in watches if (w.symbol, w.direction) == (symbol, direction)]
        entries = [(_key(watch), watch.watch_id) for watch in living]
        heapify(entries)
        self._heaps[symbol, direction] = _Heap(entries)


def _key(watch: Watch) -> Decimal:
    # Negated by its sign alone: arithmetic would round to the context's precision.
    return watch.price if watch.direction is Direction.AT_OR_ABOVE else watch.price.copy_negate()
