"""Sending the outbox: one task per chat and lane, in order, under the chat's lease.

Rows come two ways: a Deliver call hands over what it has just committed, and a sweep takes chats
that nobody sends to (notices, what a dead gateway left behind, what had to wait). A task sends its
chat's rows one after another, writes down what became of each, and ends the lease with the last
one; if the lease does not end, somebody added rows, and the task looks again. When Telegram wants a
pause the lease is given up with a time before which nobody may take it.

Answers and notices have their own tasks, leases and places for calls under way, so no notice delays
an answer; only notices pass the token buckets, and only they wait while answers are late or shards
behind (`holding`). A lease is kept at a monotonic deadline counted from before it was taken, and
renewed while more than a call's timeout is left of it, so nobody else sends the same row unless
this process stood still in between. While the database is away all leases run out, and what was
sent cannot be written down; whoever met that looks on for a moment before it takes chats again.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID

from chassis.ending import end_tasks
from chassis.errors import ServiceError
from chassis.micro_batch import MicroBatcher
from chassis.telemetry import get_logger
from gateway import metrics
from gateway.application.ports import BotApi, Hold, LeaseStore, Throttle
from gateway.application.saying import SayLimits, postponed, say_once
from gateway.domain import Lane, Mark, OutboxRow, RowState
from gateway.errors import RetryLater

LEASE_MARGIN_SECONDS = 1.0
"""For the difference of two clocks' speeds and the time between the last check and the call."""

LOOK_AGAIN_SECONDS = 0.005
"""While a Deliver call is bringing rows that are already in the outbox."""

HELD_AGAIN_SECONDS = 0.25
"""How often a chat's notice asks whether it may go on."""

MARK_AGAIN_SECONDS = 0.5

MARK_WAIT_MILLISECONDS = 5.0
"""Company saves a transaction; only the next reply of the same chat waits."""

MARK_PATIENCE_SECONDS = 60.0
"""How long to insist on writing down what was sent while the database is away; then it may be sent
again.
"""

AFTER_OUTAGE_SECONDS = 2.0
"""What gateways get to write down what they sent, once the database answers again, before anybody
takes their chats over: two tries and the time of a transaction.
"""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SendLimits:
    """What bounds sending."""

    lease_seconds: float
    request_timeout_seconds: float
    sweep_seconds: float
    rows_in_memory_max: int
    rows_per_look_max: int
    chats_per_sweep_max: int
    answers_concurrent_max: int
    notices_concurrent_max: int
    mark_batch_max: int
    say: SayLimits


@dataclass(slots=True)
class Chat:
    """What this process knows of one chat's lane while it has the lease."""

    lane: Lane
    user_id: UUID
    lease_ends: float
    """Monotonic."""
    arrivals: int = 0
    """The count up to which `rows` is all there is."""
    rows: deque[OutboxRow] = field(default_factory=deque)
    """In order; the first one may be on its way."""
    look_again: bool = False
    """What is here may not be all, or not in order: read the outbox before the next row."""
    looking: bool = False
    """The outbox is being read."""
    cut: bool = False
    """There was more in the outbox than was read."""


class Sending:
    """Sends what is in the outbox."""

    def __init__(
        self,
        leases: LeaseStore,
        telegram: BotApi,
        hold: Hold,
        throttle: Throttle,
        chat_throttle: Throttle,
        limits: SendLimits,
    ) -> None:
        self._leases = leases
        self._telegram = telegram
        self._hold = hold
        self._throttle = throttle
        self._chat_throttle = chat_throttle
        self._limits = limits
        self._chats: dict[tuple[Lane, UUID], Chat] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._arriving: set[UUID] = set()
        self._rows_in_memory = 0
        self._closing = False
        self._wake = {lane: asyncio.Event() for lane in Lane}
        self._places = {
            Lane.ANSWER: asyncio.Semaphore(limits.answers_concurrent_max),
            Lane.NOTICE: asyncio.Semaphore(limits.notices_concurrent_max),
        }
        self._marker: MicroBatcher[Mark, bool] = MicroBatcher(
            self._mark_batch,
            limits.mark_batch_max,
            MARK_WAIT_MILLISECONDS,
            limits.rows_in_memory_max,
        )

    def has_room(self, rows: int) -> bool:
        """Whether so many more rows may be taken into memory; else they wait in the outbox."""
        is_room = self._rows_in_memory + rows <= self._limits.rows_in_memory_max
        return is_room and not self._closing

    @contextmanager
    def arriving(self, causes: set[UUID]) -> Iterator[None]:
        """While inside, rows of these causes are left to whoever is bringing them."""
        self._arriving |= causes
        try:
            yield
        finally:
            self._arriving -= causes

    def arrived(
        self, lane: Lane, user_id: UUID, rows: Sequence[OutboxRow], arrivals: int, began: float
    ) -> None:
        """Take rows that were committed under our lease; `began` is from before the transaction."""
        chat = self._chats.get((lane, user_id))
        if chat is None:
            chat = self._open(lane, user_id, began)
            chat.look_again = arrivals != 1
        if chat.looking or chat.look_again or arrivals != chat.arrivals + 1:
            chat.look_again = True
            return
        chat.arrivals = arrivals
        self._add(chat, rows)

    def wake(self, lane: Lane) -> None:
        """Sweep now: there is something new to find."""
        self._wake[lane].set()

    async def sweep(self, lane: Lane) -> None:
        """Take chats that nobody sends to, until cancelled."""
        failing = False
        while True:
            try:
                taken = await self._take_due(lane)
                if failing:
                    failing = False
                    _log.info("sweep_works_again", lane=lane.name.lower())
            except ServiceError as error:
                if not failing:  # one line per outage, not one per second
                    failing = True
                    _log.warning("sweep_failed", lane=lane.name.lower(), error=str(error))
                await self._wait_out_outage(lane)
                taken = 0
            self._wake[lane].clear()
            if taken < self._limits.chats_per_sweep_max:
                try:
                    async with asyncio.timeout(self._limits.sweep_seconds):
                        await self._wake[lane].wait()
                except TimeoutError:
                    pass
            else:
                await asyncio.sleep(0)

    async def aclose(self, timeout_seconds: float) -> None:
        """Send the answers in memory; what is not done in time is left to other gateways."""
        self._closing = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_seconds)
        await end_tasks(self._tasks)
        await self._marker.aclose()
        try:
            await self._leases.give_up_leases()
        except ServiceError as error:
            _log.warning("leases_not_given_up", error=str(error))

    def _open(self, lane: Lane, user_id: UUID, began: float) -> Chat:
        chat = Chat(lane, user_id, began + self._limits.lease_seconds)
        self._chats[lane, user_id] = chat
        task = asyncio.create_task(self._send_all(chat))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return chat

    def _close(self, chat: Chat) -> None:
        self._set_rows(chat, [])
        del self._chats[chat.lane, chat.user_id]

    def _add(self, chat: Chat, rows: Sequence[OutboxRow]) -> None:
        self._set_rows(chat, [*chat.rows, *rows])

    def _set_rows(self, chat: Chat, rows: Sequence[OutboxRow]) -> None:
        self._rows_in_memory += len(rows) - len(chat.rows)
        chat.rows = deque(rows)
        metrics.ROWS_IN_MEMORY.set(self._rows_in_memory)

    async def _wait_out_outage(self, lane: Lane) -> None:
        """Wait until the database answers, and until the holders of leases had their word."""
        while True:
            await asyncio.sleep(self._limits.sweep_seconds)
            try:
                await self._leases.take_due(lane, 0)
            except ServiceError:
                continue
            await asyncio.sleep(AFTER_OUTAGE_SECONDS)
            return

    async def _take_due(self, lane: Lane) -> int:
        """Take chats nobody sends to; how many there were."""
        chats_max = self._limits.chats_per_sweep_max
        if lane is Lane.NOTICE:
            chats_max -= sum(chat.lane is lane for chat in self._chats.values())
        if chats_max <= 0 or not self.has_room(1):
            return 0
        if lane is Lane.NOTICE and await self._hold.is_held():
            return 0
        began = time.monotonic()
        taken = await self._leases.take_due(lane, chats_max)
        for user_id, (arrivals, rows) in taken.items():
            chat = self._chats.get((lane, user_id))
            if chat is not None:
                # Our own lease had run out while its task was held up.
                chat.look_again = True
                continue
            chat = self._open(lane, user_id, began)
            self._found(chat, arrivals, rows)
        return len(taken)

    def _found(self, chat: Chat, arrivals: int, rows: Sequence[OutboxRow]) -> None:
        chat.arrivals = arrivals
        chat.cut = len(rows) >= self._limits.rows_per_look_max
        if any(row.key.cause in self._arriving for row in rows):
            chat.look_again = True
            rows = []
        self._set_rows(chat, rows)

    async def _look(self, chat: Chat) -> bool:
        """Renew the lease and read what is pending; False when the lease is lost or the database
        away.
        """
        chat.looking, chat.look_again = True, False
        began = time.monotonic()
        try:
            found = await self._leases.look_again(chat.lane, chat.user_id)
        except ServiceError:
            return False
        finally:
            chat.looking = False
        if found is None:
            return False
        chat.lease_ends = began + self._limits.lease_seconds
        self._found(chat, *found)
        if chat.look_again:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return True

    async def _send_all(self, chat: Chat) -> None:
        """Send the chat's rows until its lease has ended."""
        try:
            while await self._has_work(chat):
                if chat.lane is Lane.NOTICE and not await self._pass_buckets(chat):
                    continue
                async with self._places[chat.lane]:
                    if self._is_short(chat) or not chat.rows:
                        continue
                    mark = await self._attempt(chat)
                if not await self._write_down(chat, mark):
                    return
        except ServiceError as error:
            # The lease runs out and a sweep finds what is left.
            _log.warning("sending_interrupted", error=str(error))
        finally:
            self._close(chat)

    async def _has_work(self, chat: Chat) -> bool:
        """See to it that there is a row to send under a lease that is long enough; False: there is
        no more.
        """
        if self._closing and chat.lane is Lane.NOTICE:
            return False
        while chat.look_again or not chat.rows or self._is_short(chat):
            if not await self._look(chat):
                return False
            if _is_idle(chat):
                ended = await self._leases.end_lease(chat.lane, chat.user_id, chat.arrivals)
                if ended and _is_idle(chat):
                    return False
        return True

    def _is_short(self, chat: Chat) -> bool:
        return self._seconds_left(chat) < self._limits.request_timeout_seconds

    def _seconds_left(self, chat: Chat) -> float:
        return chat.lease_ends - LEASE_MARGIN_SECONDS - time.monotonic()

    async def _pass_buckets(self, chat: Chat) -> bool:
        """Wait until a notice may be sent: nobody waits for answers, and the buckets have tokens.

        False: so long that one should look again.
        """
        row = chat.rows[0]
        while await self._hold.is_held():
            if self._closing or self._is_short(chat):
                return False
            await asyncio.sleep(HELD_AGAIN_SECONDS)
        for throttle, who in ((self._chat_throttle, str(row.telegram_id)), (self._throttle, "all")):
            while (delay := await throttle.take(who)) > 0:
                if self._closing:
                    return False
                await asyncio.sleep(delay)
        return bool(chat.rows) and chat.rows[0] is row and not self._is_short(chat)

    async def _attempt(self, chat: Chat) -> Mark:
        """Try the first row; what to write down, the lease's end included."""
        row = chat.rows[0]
        try:
            async with asyncio.timeout(self._seconds_left(chat)):
                mark = await say_once(
                    self._telegram, row, self._leases.message_id, self._limits.say
                )
        except TimeoutError:
            mark = postponed(row, RetryLater("no answer in time"), self._limits.say)
        except ServiceError:
            raise
        except Exception as error:  # noqa: BLE001 (a bug met by one reply must not stop its chat)
            _log.error("reply_failed", cause=str(row.key.cause), exc_info=error)
            mark = postponed(row, RetryLater(type(error).__name__), self._limits.say)
        if mark.state is not RowState.PENDING:
            metrics.SEND_DELAY_SECONDS.labels(row.key.lane.name.lower()).observe(
                time.monotonic() - row.since
            )
            metrics.SENT.labels(row.key.lane.name.lower(), mark.state.name.lower()).inc()
        return mark

    async def _write_down(self, chat: Chat, mark: Mark) -> bool:
        """Mark the first row, end or give up the lease with it; False when the chat is done with
        here.
        """
        is_last = len(chat.rows) == 1 and not chat.look_again and not chat.cut
        if mark.postpone_seconds is None and is_last:
            mark = replace(mark, end_lease_at=chat.arrivals)
        deadline = time.monotonic() + MARK_PATIENCE_SECONDS
        while True:
            try:
                ended = await self._marker.submit(mark)
                break
            except ServiceError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(MARK_AGAIN_SECONDS)
        if mark.postpone_seconds is not None:
            return False
        if mark.blocked:
            chat.look_again = True
        chat.rows.popleft()
        self._rows_in_memory -= 1
        return not ended or not _is_idle(chat)

    async def _mark_batch(self, marks: Sequence[Mark]) -> list[bool | Exception]:
        return list(await self._leases.mark(marks))


def _is_idle(chat: Chat) -> bool:
    """Whether nothing is known that would have to be sent; new rows may come with any await."""
    return not chat.rows and not chat.look_again
