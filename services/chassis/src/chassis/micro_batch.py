"""Group commit: many callers, one write.

Items wait in a bounded queue. One task takes what is there (up to `entries_max`; after the first it
waits `wait_milliseconds` for company), hands the batch to `handle` and gives every caller its own
result or exception. While one batch is being written the next gathers, so under load batches grow
by themselves and the wait can stay at 0.

A caller who is cancelled does not disturb the batch; its item may still be written. If `handle`
itself raises, all of its batch get that exception. `aclose` writes what was accepted, then ends.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

from chassis.errors import LimitReached, TryAgain

Item = TypeVar("Item")
Result = TypeVar("Result")


class MicroBatcher(Generic[Item, Result]):
    """Gathers items into batches for `handle`, which answers each in order with a result or an
    exception.
    """

    def __init__(
        self,
        handle: Callable[[list[Item]], Awaitable[Sequence[Result | Exception]]],
        entries_max: int,
        wait_milliseconds: float,
        queue_max: int,
    ) -> None:
        self._handle = handle
        self._entries_max = entries_max
        self._wait_seconds = wait_milliseconds / 1000
        self._queue_max = queue_max
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._more = asyncio.Event()
        self._full = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def depth(self) -> int:
        """How many items wait for a batch."""
        return len(self._waiting)

    async def submit(self, item: Item) -> Result:
        """Write one item with the next batch and return its result.

        Raises what `handle` answered or raised; LimitReached when `queue_max` items wait already;
        TryAgain after `aclose`.
        """
        if self._closing:
            raise TryAgain("this process is going away")
        if len(self._waiting) >= self._queue_max:
            raise LimitReached(f"{self._queue_max} writes are waiting already")
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="micro-batch")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._more.set()
        if len(self._waiting) >= self._entries_max:
            self._full.set()
        return await future

    async def aclose(self) -> None:
        """Refuse new items, write those that wait, end. Safe to repeat."""
        self._closing = True
        self._more.set()
        self._full.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while True:
            await self._more.wait()
            if not self._waiting:
                if self._closing:
                    return
                self._more.clear()
                continue
            if self._wait_seconds and not self._closing and len(self._waiting) < self._entries_max:
                self._full.clear()
                await _wait_at_most(self._full, self._wait_seconds)
            count = min(len(self._waiting), self._entries_max)
            await self._write([self._waiting.popleft() for _ in range(count)])

    async def _write(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        # A caller who has given up before its batch began is spared the write.
        batch = [(item, future) for item, future in batch if not future.done()]
        if not batch:
            return
        try:
            results = await self._handle([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 (it is every caller's, not this task's)
            results = [error] * len(batch)
        if len(results) != len(batch):
            wrong = RuntimeError(f"{len(batch)} items were handed over, {len(results)} answered")
            results = [wrong] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


async def _wait_at_most(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
