"""Whether a watch still tells what happens: what it told, compared with what listings show.

A watch whose connection died in silence, or whose client stopped reading, looks like a cluster in
which nothing happens. Time limits end most of those; this finds the rest. A listing shows an object
at a version that the watch has not told of: if the watch does not catch up within moments, it is
stale, for as long as it has been known to be behind.
"""

import time
from collections.abc import Callable, Hashable, Mapping


class Freshness:
    """One kind's watch. Versions are those of `stateful_sets.version_of`."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._told: dict[Hashable, int] = {}
        self._behind: dict[Hashable, tuple[int, float]] = {}
        """By object: the version the watch must reach, and since when."""

    def note_event(self, key: Hashable, version: int, *, deleted: bool) -> None:
        """The watch told of an object."""
        if deleted:
            self._told.pop(key, None)
        else:
            self._told[key] = version
        if key in self._behind and version >= self._behind[key][0]:
            del self._behind[key]

    def note_listing(self, listed: Mapping[Hashable, int], version: int) -> None:
        """A listing of this version shows these objects, and no others."""
        now = self._monotonic()
        missed = {key: v for key, v in listed.items() if v > self._told.get(key, 0)}
        gone = [key for key in self._told.keys() - listed.keys() if self._told[key] <= version]
        # A deletion has a version that nobody knows; any event of the object will do.
        missed |= dict.fromkeys(gone, 0)
        self._behind = {
            key: (version, self._behind[key][1] if key in self._behind else now)
            for key, version in missed.items()
        }

    def begin_anew(self) -> None:
        """Another watch begins: it tells of everything that is there, and has told nothing yet."""
        self._told.clear()
        self._behind = {key: seen for key, seen in self._behind.items() if seen[0]}

    def stale_seconds(self) -> float:
        """For how long the watch has been known to be behind; 0 when it is not."""
        now = self._monotonic()
        return max((now - since for _, since in self._behind.values()), default=0.0)
