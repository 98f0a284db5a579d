"""The end of a run: wait until nothing is under way, and read the books of that very moment.

Settled means: every update that was sent is known, none undone, no order open, no
answer unsent, no event untold. What does not settle within its bound is not waited for any longer;
the checker names it.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.chaos.watching import Connect
from tests.e2e.live_run import DATABASE_GONE
from tests.history.books import Books
from tests.history.reading_books import read_books
from tests.history.records import Pressed, Record, Said

SETTLE_SECONDS_MAX = 90.0
"""Longer than any wait of Purser's own: an order is given up a minute after it was accepted."""
LOOK_AGAIN_SECONDS = 0.1
CHATS_CATCH_UP_SECONDS = 1.0
"""What Telegram took a moment ago is seen by the next poll of the chats."""
TRACE_BEGINS = "Traceback (most recent call last)"

_UNSETTLED = """
SELECT (SELECT count(*) FROM gateway.inbox WHERE done_at IS NULL) AS jobs,
       (SELECT count(*) FROM worker.orders WHERE ended_at IS NULL) AS orders,
       (SELECT count(*) FROM gateway.outbox WHERE state = 0) AS answers,
       (SELECT count(*) FROM worker.events WHERE relayed_at IS NULL) AS events,
       (SELECT count(*) < $1 FROM gateway.inbox) AS updates
"""


async def settle(
    connect: Connect, records: Sequence[Record], seconds_max: float = SETTLE_SECONDS_MAX
) -> tuple[float | None, Books]:
    """Wait until nothing that was sent by now is under way and the chats show it; how long that
    took (None: it did not), and the books.

    A person takes any news for the answer, a notice that came a moment before the button was
    pressed too; so an update may still be on its way to the gateway when everybody has done.
    """
    sent = sum(isinstance(record, Said | Pressed) for record in records)
    settled_seconds, books = await _settle(connect, sent, seconds_max)
    await asyncio.sleep(CHATS_CATCH_UP_SECONDS)
    return settled_seconds, books


async def _settle(connect: Connect, sent: int, seconds_max: float) -> tuple[float | None, Books]:
    begin = time.monotonic()
    while True:
        passed = time.monotonic() - begin
        with contextlib.suppress(*DATABASE_GONE):
            connection = await connect()
            try:
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    row = await connection.fetchrow(_UNSETTLED, sent)
                    is_settled = row is not None and not any(row.values())
                    if is_settled or passed > seconds_max:
                        return passed if is_settled else None, await read_books(connection)
            finally:
                connection.terminate()
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


def stack_traces(logs: Iterable[Path]) -> list[str]:
    """The last line of each stack trace in the logs, with the log's name. In a log of JSON a trace
    is a part of one line.
    """
    traces = []
    for log in sorted(logs):
        inside = False
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith(TRACE_BEGINS):
                inside = True
            elif TRACE_BEGINS in line:
                traces.append(f"{log.name}: {line}")
            elif inside and not line.startswith((" ", "\t")) and line.strip():
                inside = False
                traces.append(f"{log.name}: {line}")
    return traces
