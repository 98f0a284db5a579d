"""From an update as Telegram gives it to a committed job.

Updates that arrive together, by whichever door, share a transaction (group commit). When the
database refuses the data of a batch, the batch is halved until the row to blame is alone; that one
is kept as it came, with the error, and counts as acknowledged: one poisonous row holds up nobody.
When the database is away nothing is acknowledged and Telegram tries again. Whoever returns from
`receive` may acknowledge.

Who sends more than a person would is held to a limit before the transaction. What is over it goes
into the same transaction as seen, together with one answer per rush: it is acknowledged, it makes
no job, and the same update again is a duplicate like any other. The same happens to what finds
too much waiting, which the inbox knows.
"""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from chassis.micro_batch import MicroBatcher
from chassis.telemetry import current_traceparent, get_logger, new_trace
from gateway import metrics
from gateway.application.ports import BatchLimits, BotApi, InboxStore, RushGuard
from gateway.application.pushing import StreamPusher
from gateway.domain import (
    AcceptedJob,
    Ignored,
    Incoming,
    Malformed,
    Membership,
    OverLimit,
    Storable,
    Verdict,
)
from gateway.errors import RowsRefused, TelegramFailure
from gateway.texts import TOO_MANY_MESSAGES, in_language
from gateway.translation import sender_of, translate
from purser.gateway.v1 import reply_pb2

COURTESIES_MAX = 50
"""Lines to people who have no place in the outbox, under way at once; more are dropped."""

RAW_BYTES_MAX = 1024 * 1024
"""Kept of an update that cannot be read; Telegram's are far smaller."""

_REFUSED = (Verdict.OVER_LIMIT, Verdict.TOO_MUCH_WAITING)
"""Presses among those are answered silently."""

Result = tuple[Verdict, AcceptedJob | None]

_log = get_logger(__name__)


class Acceptance:
    """Takes updates in."""

    def __init__(
        self,
        inbox: InboxStore,
        guard: RushGuard,
        pusher: StreamPusher,
        telegram: BotApi,
        batches: BatchLimits,
        turned_away_text: str,
    ) -> None:
        self._inbox = inbox
        self._guard = guard
        self._pusher = pusher
        self._telegram = telegram
        self._turned_away_text = turned_away_text
        self._courtesies: set[asyncio.Task[None]] = set()
        self._batcher: MicroBatcher[tuple[Storable, object], Verdict] = MicroBatcher(
            self._accept_batch, batches.entries_max, batches.wait_milliseconds, batches.queue_max
        )

    async def receive(self, raw: object) -> Verdict:
        """Take one update in; return once it may be acknowledged.

        Raises TryAgain, LimitReached: it may not.
        """
        began = time.perf_counter()
        translated = translate(raw)
        match translated:
            case Ignored():
                verdict = self._ignore(translated)
            case Malformed():
                await self._set_aside(translated.update_id, raw, translated.error)
                verdict = Verdict.SET_ASIDE
            case Membership():
                verdict = await self._batcher.submit((translated, raw))
            case Incoming():
                with new_trace("gateway.update"):
                    translated.draft.traceparent = current_traceparent()
                    verdict = await self._batcher.submit((translated, raw))
                if verdict is Verdict.TURNED_AWAY:
                    self._turn_away(translated)
                elif verdict in _REFUSED and translated.press_id:
                    self._be_courteous(lambda: self._telegram.answer_silently(translated.press_id))
        metrics.UPDATES.labels(verdict.name.lower()).inc()
        metrics.ACCEPT_SECONDS.observe(time.perf_counter() - began)
        return verdict

    async def aclose(self) -> None:
        """Refuse new updates, commit those that wait, drop the courtesies under way."""
        await self._batcher.aclose()
        for task in self._courtesies:
            task.cancel()
        await asyncio.gather(*self._courtesies, return_exceptions=True)

    async def _accept_batch(
        self, batch: Sequence[tuple[Storable, object]]
    ) -> list[Verdict | Exception]:
        metrics.BATCH_UPDATES.observe(len(batch))
        # The same update twice in a batch: the first decides, like across batches.
        first: dict[int, tuple[Storable, object]] = {}
        for update, raw in batch:
            first.setdefault(update.update_id, (update, raw))
        results = await self._accept(await self._limit(list(first.values())))
        by_id = dict(zip(first, results, strict=True))
        self._pusher.push(job for _, job in results if job is not None)
        return [
            by_id[update.update_id][0]
            if update is first[update.update_id][0]
            else Verdict.DUPLICATE
            for update, _ in batch
        ]

    async def _limit(self, items: list[tuple[Storable, object]]) -> list[tuple[Storable, object]]:
        """Put those over their user's limit in place of what would become jobs."""
        incoming = [update for update, _ in items if isinstance(update, Incoming)]
        rushes = await self._guard.rushes(incoming)
        over: dict[int, Storable] = {
            update.update_id: OverLimit(
                update.update_id, update.telegram_id, rush, _too_many(update.draft.language_code)
            )
            for update, rush in zip(incoming, rushes, strict=True)
            if rush is not None
        }
        return [(over.get(update.update_id, update), raw) for update, raw in items]

    async def _accept(self, items: Sequence[tuple[Storable, object]]) -> list[Result]:
        try:
            return await self._inbox.accept([update for update, _ in items])
        except RowsRefused as error:
            if len(items) > 1:
                middle = len(items) // 2
                return await self._accept(items[:middle]) + await self._accept(items[middle:])
            ((update, raw),) = items
            await self._set_aside(update.update_id, raw, str(error))
            return [(Verdict.SET_ASIDE, None)]

    async def _set_aside(self, update_id: int | None, raw: object, error: str) -> None:
        try:
            as_came = json.dumps(raw).encode()[:RAW_BYTES_MAX]
        except (RecursionError, ValueError):
            as_came = b"(cannot be written down)"
        await self._inbox.set_aside(update_id, sender_of(raw), as_came, error)
        _log.warning("update_set_aside", update_id=update_id, error=error)

    def _ignore(self, ignored: Ignored) -> Verdict:
        metrics.IGNORED.labels(ignored.reason).inc()
        if ignored.press_id:
            self._be_courteous(lambda: self._telegram.answer_silently(ignored.press_id))
        return Verdict.IGNORED

    def _turn_away(self, update: Incoming) -> None:
        if update.press_id:
            self._be_courteous(lambda: self._telegram.answer_silently(update.press_id))
        self._be_courteous(
            lambda: self._telegram.send_plain(update.telegram_id, self._turned_away_text)
        )

    def _be_courteous(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Say something to somebody whom the outbox does not know: once, if there is room, and no
        more.
        """

        async def once() -> None:
            try:
                await call()
            except TelegramFailure as failure:
                _log.info("courtesy_failed", failure=type(failure).__name__)

        if len(self._courtesies) < COURTESIES_MAX:
            task = asyncio.create_task(once())
            self._courtesies.add(task)
            task.add_done_callback(self._courtesies.discard)


def _too_many(language_code: str) -> reply_pb2.Reply:
    text = in_language(TOO_MANY_MESSAGES, language_code)
    return reply_pb2.Reply(send_text=reply_pb2.SendText(text=text))
