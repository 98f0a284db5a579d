"""Orders on their way: one task per order, until its end or until the shard is given up.

`domain.carrying_out.next_step` decides, this module acts: it asks the books or the venue, records
what came of it, and looks at the order in the database anew whenever something went unanswered. A
task is dropped with its shard at any point; whoever takes the order up next begins with the record
alone.

The job that confirmed an order and the resumer may both want it carried out: they meet at the same
task. A job that waits for the end says so beforehand (`waited_for`); an end nobody waits for is
recorded together with the event that tells the user.

A task holds one of the slots only while it asks or records, never while it rests: orders whose
dependency is down keep no others from going on.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from chassis.telemetry import get_logger
from kernel.sharding import Claim
from user_worker import metrics
from user_worker.application.outages import note_answer, note_outage
from user_worker.application.waiting import is_set_within
from user_worker.domain.carrying_out import (
    Answer,
    Ask,
    BooksSaid,
    Fresh,
    Pause,
    Record,
    Step,
    Stuck,
    VenueSaid,
    VenueState,
    next_step,
)
from user_worker.domain.orders import Order, OrderState
from user_worker.domain.pauses import Pauses
from user_worker.errors import ClaimLost, DependencyDown
from user_worker.trading_ports import Books, Orders, Seen, Venue

_log = get_logger(__name__)


class ImpossibleAnswer(Exception):  # noqa: N818 (it is the answer that is impossible)
    """Somebody answered what cannot be; nothing was decided by it."""


@dataclass(frozen=True, slots=True)
class CarryingPace:
    """How orders are carried out."""

    steps_at_once_max: int
    after_outage: Pauses
    after_trouble: Pauses
    """After an answer that cannot be, or a mistake of ours."""


@dataclass(frozen=True, slots=True)
class Carried:
    """An order under way."""

    task: asyncio.Task[Order]
    """Ends with the order as it then stands; may raise ClaimLost."""
    hindered: asyncio.Event
    """Set when somebody did not answer: it may take long."""


@dataclass(slots=True)
class _Shard:
    """The orders under way under one claim."""

    when_lost: Callable[[], None]
    orders: dict[UUID, Carried] = field(default_factory=dict)
    draining: asyncio.Event = field(default_factory=asyncio.Event)

    def tasks(self) -> list[asyncio.Task[Order]]:
        return [order.task for order in self.orders.values()]


class CarryingOut:
    """Carries orders out; shared by all shards of the worker."""

    def __init__(
        self,
        orders: Orders,
        books: Books,
        venue: Venue,
        pace: CarryingPace,
        decide: Callable[..., Step] = next_step,
    ) -> None:
        self._decide = decide
        self._orders = orders
        self._books = books
        self._venue = venue
        self._pace = pace
        self._slots = asyncio.Semaphore(pace.steps_at_once_max)
        self._shards: dict[Claim, _Shard] = {}
        self._waiters: Counter[UUID] = Counter()
        self._tasks: set[asyncio.Task[Order]] = set()
        self.ended_untold = asyncio.Event()
        """Set when an order ended that nobody waited for."""
        self.begun = asyncio.Event()
        """Set when a shard was begun: there may be orders to take up."""

    def begin(self, claim: Claim, when_lost: Callable[[], None]) -> None:
        """Begin with a shard; `when_lost` is called when a store knows a newer claim."""
        self._shards[claim] = _Shard(when_lost)
        self.begun.set()

    def stop(self, claim: Claim) -> None:
        """Drop what is under way in a shard at once; one that was not begun is no error."""
        shard = self._shards.pop(claim, None)
        if shard is not None:
            shard.draining.set()
            for order in shard.orders.values():
                order.task.cancel()

    async def finish(self, claim: Claim, timeout_seconds: float) -> int:
        """Let what is under way go on within the bound, then stop; gives how many were cut.

        What rests stops at once: the next owner goes on with it.
        """
        shard = self._shards.get(claim)
        if shard is None:
            return 0
        shard.draining.set()
        if shard.orders:
            await asyncio.wait(shard.tasks(), timeout=timeout_seconds)
        cut = shard.tasks()
        self.stop(claim)
        if cut:
            await asyncio.wait(cut)
        return len(cut)

    async def close(self) -> None:
        """Stop whatever is left and wait until nothing runs."""
        for claim in list(self._shards):
            self.stop(claim)
        if self._tasks:
            await asyncio.wait(self._tasks)

    def claims(self) -> list[Claim]:
        """Give the claims of the shards whose orders may be started."""
        return [claim for claim, shard in self._shards.items() if not shard.draining.is_set()]

    def lost(self, claim: Claim) -> None:
        """Take notice that a store knows a newer claim."""
        shard = self._shards.get(claim)
        if shard is not None:
            shard.when_lost()

    def has(self, claim: Claim, order_id: UUID) -> bool:
        """Say whether an order is being carried out under a claim."""
        shard = self._shards.get(claim)
        return shard is not None and order_id in shard.orders

    @contextmanager
    def waited_for(self, order_id: UUID) -> Iterator[None]:
        """Say that somebody waits for an order's end and will tell of it."""
        self._waiters[order_id] += 1
        try:
            yield
        finally:
            self._waiters[order_id] -= 1
            if not self._waiters[order_id]:
                del self._waiters[order_id]

    def start(self, claim: Claim, seen: Seen) -> Carried | None:
        """Carry an order out, or find the task that does. None when the shard is being given up."""
        shard = self._shards.get(claim)
        if shard is None or shard.draining.is_set():
            return None
        order_id = seen.order.order_id
        if order_id not in shard.orders:
            hindered = asyncio.Event()
            task = asyncio.create_task(self._run(claim, shard, seen, hindered))
            shard.orders[order_id] = Carried(task, hindered)
            self._tasks.add(task)
            metrics.ORDERS_UNDER_WAY.inc()
            task.add_done_callback(partial(self._ended, shard, order_id))
        return shard.orders[order_id]

    def _ended(self, shard: _Shard, order_id: UUID, task: asyncio.Task[Order]) -> None:
        del shard.orders[order_id]
        self._tasks.discard(task)
        metrics.ORDERS_UNDER_WAY.dec()
        if not task.cancelled():
            task.exception()  # a lost claim was acted upon; whoever waits for the task sees it, too

    async def _run(self, claim: Claim, shard: _Shard, seen: Seen, hindered: asyncio.Event) -> Order:
        try:
            return await self._carry_out(claim, shard, seen, hindered)
        except ClaimLost:
            if self._shards.get(claim) is shard:
                self.lost(claim)
            raise

    async def _carry_out(
        self, claim: Claim, shard: _Shard, seen: Seen, hindered: asyncio.Event
    ) -> Order:
        order_id, pace, last, missed = seen.order.order_id, self._pace, None, set[str]()
        outages, troubles = map(iter, (pace.after_outage, pace.after_trouble))
        is_looked_at = True
        while True:
            try:
                if not is_looked_at:
                    seen, last, is_looked_at = await self._orders.look(order_id), None, True
                step = self._decide(seen.order, last, is_late=seen.is_late)
                if step is Pause.ENDED:
                    return seen.order
                before = seen.order.state
                async with self._slots:
                    seen, last = await self._take(claim, seen, step)
                if seen.order.state is not before:
                    outages, troubles = map(iter, (pace.after_outage, pace.after_trouble))
                    while missed:
                        note_answer(missed.pop(), "carry-out")
                if step is not Pause.WAIT:
                    continue
                pause = next(outages)
            except ClaimLost:
                raise
            except DependencyDown as outage:
                note_outage(outage, "carry-out")
                missed.add(outage.dependency)
                pause = next(outages)
            except Exception:  # noqa: BLE001 (an accepted order is never forgotten, whatever fails)
                metrics.ORDER_TROUBLES.inc()
                _log.exception("order_in_trouble", order_id=str(order_id), shard=str(claim))
                pause = next(troubles)
            hindered.set()
            if await is_set_within(shard.draining, pause):
                return seen.order
            is_looked_at = False

    async def _take(
        self, claim: Claim, seen: Seen, step: Step
    ) -> tuple[Seen, Answer | Fresh | None]:
        order = seen.order
        match step:
            case Ask():
                said = await self._ask(claim, order, step)
                if isinstance(said, VenueSaid) and said.state is VenueState.NOT_FOUND:
                    # What follows depends on the time, which is the database's.
                    seen = await self._orders.look(order.order_id)
                return seen, Answer(step, said)
            case Record():
                return await self._record(claim, order, step)
            case Stuck(answer):
                raise ImpossibleAnswer(f"{answer.ask.value}: {answer.said}")
            case Pause():
                return seen, None

    async def _ask(self, claim: Claim, order: Order, ask: Ask) -> BooksSaid | VenueSaid:
        match ask:
            case Ask.HOLD:
                return await self._books.hold(claim, order)
            case Ask.SUBMIT:
                return await self._venue.submit(claim, order)
            case Ask.INQUIRE:
                return await self._venue.inquire(order)
            case Ask.TOMBSTONE:
                return await self._venue.tombstone(claim, order)
            case Ask.POST:
                return await self._books.fill(claim, order)
            case Ask.VOID:
                return await self._books.release(claim, order)

    async def _record(
        self, claim: Claim, order: Order, change: Record
    ) -> tuple[Seen, Answer | Fresh | None]:
        nobody_waits = order.order_id not in self._waiters
        seen = await self._orders.record(claim, order, change, nobody_waits=nobody_waits)
        may_be_late = change.state is OrderState.SUBMITTED and seen.is_late
        if seen.order.state is order.state and not may_be_late:
            raise ImpossibleAnswer(f"{change.step} of {order.state.value} changed nothing")
        if seen.order.state.is_final:
            metrics.ORDERS_ENDED.labels(_ending_of(seen.order)).inc()
            if nobody_waits:
                self.ended_untold.set()
        return seen, Fresh.FRESH if seen.order.state is OrderState.SUBMITTED else None


def _ending_of(order: Order) -> str:
    return order.state.value if order.refused is None else order.refused.value
