"""Which pairs an exchange is asked for. Pure; time is given.

Both exchanges refuse a whole call when they do not trade one of its pairs, without saying which. So
after such a refusal the next call asks for all pairs there are, from whose answer the traded ones
are learned; from then on those are asked for. What an exchange begins to trade is noticed within an
hour, what it ceases to trade at once.
"""

from collections.abc import Iterable, Sequence

LEARN_AGAIN_SECONDS = 3600.0


class Listing:
    """The pairs of one exchange. Times are monotonic seconds."""

    def __init__(self, wanted: Sequence[str]) -> None:
        self._wanted = tuple(wanted)
        self._listed: tuple[str, ...] | None = self._wanted
        self._learned_at: float | None = None

    def to_ask(self, now: float) -> Sequence[str] | None:
        """Give the pairs to ask for; None for all there are, empty for no call at all."""
        if self._learned_at is not None and now - self._learned_at >= LEARN_AGAIN_SECONDS:
            self._listed, self._learned_at = self._wanted, None
        return self._listed

    def refused(self) -> None:
        """One of the pairs that were asked for is not traded."""
        self._listed, self._learned_at = None, None

    def answered(self, pairs: Iterable[str], now: float) -> None:
        """Learn from an answer to a call for all."""
        if self._listed is None:
            known = frozenset(pairs)
            self._listed = tuple(pair for pair in self._wanted if pair in known)
            self._learned_at = now
