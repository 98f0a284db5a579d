"""The end of a test under load: everything settles, and the whole history is judged.

What is wrong is told once, to the test in which it first shows.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from tests.chaos.settling import settle, stack_traces
from tests.chaos.watching import Connect
from tests.history.books import Books
from tests.history.checker import Violation, judge
from tests.history.records import HistoryFile, Record


class Judge:
    """Judges one history, again and again as it grows."""

    def __init__(self, history: HistoryFile, connect: Connect, folder: Path) -> None:
        """`folder` keeps the newest books."""
        self._history = history
        self._connect = connect
        self._folder = folder
        self._told: set[Violation | str] = set()

    async def judge(self, logs: Iterable[Path]) -> tuple[list[Record], Books]:
        """Wait until nothing is under way; the history so far, and the books. Fails the test for
        what is wrong, stack traces in the logs included.
        """
        settled_seconds, books = await settle(self._connect, self._history.records)
        records = list(self._history.records)
        (self._folder / "books.json").write_bytes(msgspec.json.encode(books))
        wrong: list[Violation | str] = [*judge(records, books)]
        wrong += stack_traces(logs)
        news = [what for what in wrong if what not in self._told]
        self._told.update(news)
        if news or settled_seconds is None:
            pytest.fail("\n".join([f"settled after {settled_seconds} s", *map(str, news)]))
        return records, books
