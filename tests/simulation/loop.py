"""An event loop on simulated time, in which several processes live beside each other.

Every handle belongs to a process: a context variable says which, tasks inherit it, and so does
whatever they start. Within a process handles run in the order asyncio promises; between processes
nothing is shared but the messages of the network, whose delays are drawn. Time moves only when
nothing is left to run, straight to the next timer.

A process can be killed (its handles never run again: no `finally`, no `except`, as with kill -9),
stopped for a while (its handles are held back, as with SIGSTOP) and have a clock of its own:
`loop.time()` answers the process that asks.

Hashes decide the order in which a set is walked, and an object's hash is its address. Tasks are
hashed by their number here, so that one seed gives one run.
"""

import asyncio
import contextvars
import enum
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

STEPS_MAX = 2_000_000
"""Handles of one run; more is a loop that turns without waiting."""


AWAITS_IN_FINALLY_MAX = 50
"""How often one coroutine may go on waiting when it is taken apart."""


class Handle:
    """What is to run: `asyncio.Handle` without what nobody here asks of it."""

    __slots__ = ("args", "callback", "context", "is_cancelled")

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context,
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.is_cancelled = False

    def cancel(self) -> None:
        """Let it not run."""
        self.is_cancelled = True


class Timer(Handle):
    """What is to run later: `asyncio.TimerHandle`."""

    __slots__ = ()


class Life(enum.Enum):
    """Whether a process runs."""

    RUNNING = "running"
    STOPPED = "stopped"
    DEAD = "dead"


class Process:
    """Whose handles are whose. `rate` is how many of its seconds pass in one of the world's."""

    def __init__(self, loop: "SimulatedLoop", name: str, rate: float = 1.0, offset: float = 0.0):
        self.name = name
        self.life = Life.RUNNING
        self._loop = loop
        self._rate = rate
        self._offset = offset
        self._held: list[Handle] = []
        self.context = contextvars.copy_context()
        self.context.run(_PROCESS.set, self)

    def local(self, now: float) -> float:
        """What this process' clock shows at a moment of the world."""
        return self._offset + now * self._rate

    def moment(self, local: float) -> float:
        """When this process' clock shows `local`."""
        return (local - self._offset) / self._rate

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task of this process."""
        return self.context.run(self._loop.create_task, work)

    def kill(self) -> None:
        """End it between two of its steps; nothing of it runs again."""
        self.life = Life.DEAD
        self._held.clear()

    def stop(self) -> None:
        """Let it stand still."""
        if self.life is Life.RUNNING:
            self.life = Life.STOPPED

    def go_on(self, *, timers_first: bool) -> None:
        """Let it go on: what came due meanwhile is there at once."""
        if self.life is not Life.STOPPED:
            return
        self.life = Life.RUNNING
        # A selector gives messages first, then timers; a busy loop may meet them as they came.
        held, self._held = self._held, []
        held.sort(key=lambda handle: isinstance(handle, Timer) is not timers_first)
        for handle in held:
            self._loop.put(self, handle)

    def hold(self, handle: Handle) -> None:
        """Keep a handle for later, unless there is no later."""
        if self.life is Life.STOPPED:
            self._held.append(handle)


_PROCESS: contextvars.ContextVar[Process] = contextvars.ContextVar("process")


class _Task(asyncio.Task[Any]):
    """A task whose hash is its number."""

    number: int

    def __hash__(self) -> int:
        return self.number


class SimulatedLoop:
    """Runs handles; `run` is the whole of it.

    Of `asyncio.AbstractEventLoop` it has what tasks, futures, timeouts and locks ask of a loop.
    """

    def __init__(self, random: Random) -> None:
        self._as_loop: Any = self
        self.now = 0.0
        self.steps = 0
        self.world = Process(self, "world")
        self.current = self.world
        self.failure: BaseException | None = None
        """What a callback raised; ends the run."""
        self._random = random
        self._ready: deque[tuple[Process, Handle]] = deque()
        self._timers: list[tuple[float, float, int, Process, Handle]] = []
        self._tasks: list[_Task] = []
        self._is_over = False
        self._number = 0

    # What asyncio asks of a loop

    def time(self) -> float:
        """Read the clock of the process that asks."""
        return self.current.local(self.now)

    def call_soon(
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Handle:
        """Run a callback as soon as what is ready has run."""
        if context is None:
            process, context = self.current, contextvars.copy_context()
        else:
            process = context.get(_PROCESS, self.world)
        handle = Handle(callback, args, context)
        if not self._is_over:
            self._ready.append((process, handle))
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Timer:
        """Run a callback when the clock of the current process shows `when`."""
        if context is None:
            process, context = self.current, contextvars.copy_context()
        else:
            process = context.get(_PROCESS, self.world)
        handle = Timer(callback, args, context)
        if not self._is_over:
            self._push(process.moment(when), process, handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Timer:
        """Run a callback after so many seconds of the current process."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future."""
        return asyncio.Future(loop=self._as_loop)

    def create_task(
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[Any]:
        """Start a task of the current process."""
        task = _Task.__new__(_Task)
        self._number += 1
        task.number = self._number
        task.__init__(coro, loop=self._as_loop, name=name, context=context)  # type: ignore[misc]
        self._tasks.append(task)
        return task

    def get_debug(self) -> bool:
        """Nothing is slowed down for it."""
        return False

    def is_running(self) -> bool:
        """It runs whenever anybody can ask."""
        return True

    def is_closed(self) -> bool:
        """Tasks ask before they complain."""
        return self._is_over

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Nothing may raise where nobody catches it."""
        if not self._is_over and self.failure is None and self.current.life is not Life.DEAD:
            self.failure = context.get("exception") or RuntimeError(context["message"])

    # What the simulation asks of it

    def post(
        self, process: Process, delay: float, callback: Callable[..., object], *args: Any
    ) -> None:
        """Run a callback in a process after so many seconds of the world: an arriving message."""
        if not self._is_over:
            self._push(self.now + delay, process, Handle(callback, args, process.context))

    def put(self, process: Process, handle: Handle) -> None:
        """Make a handle ready."""
        self._ready.append((process, handle))

    def run(self, is_over: Callable[[], bool], until: float) -> None:
        """Run until `is_over`, the world's time `until`, or a failure."""
        before = events._get_running_loop()
        events._set_running_loop(self._as_loop)
        ready, timers = self._ready, self._timers
        try:
            while self.failure is None and not is_over():
                while ready:
                    process, handle = ready.popleft()
                    if handle.is_cancelled:
                        continue
                    if process.life is not Life.RUNNING:
                        process.hold(handle)
                        continue
                    self.current = process
                    self.steps += 1
                    try:
                        handle.context.run(handle.callback, *handle.args)
                    except (SystemExit, KeyboardInterrupt):
                        raise
                    except BaseException as error:  # noqa: BLE001 (the run ends with it)
                        self.call_exception_handler({"exception": error})
                self.current = self.world
                if self.steps > STEPS_MAX:
                    raise RuntimeError(f"more than {STEPS_MAX} steps")
                if not timers or timers[0][0] > until:
                    self.now = until
                    return
                when, _, _, process, handle = heapq.heappop(timers)
                self.now = max(self.now, when)
                if not handle.is_cancelled:
                    ready.append((process, handle))
        finally:
            events._set_running_loop(before)

    def dispose(self) -> None:
        """Take what is left apart, quietly: nothing of it may run or complain later."""
        self._is_over = True
        self._ready.clear()
        self._timers.clear()
        before = events._get_running_loop()
        events._set_running_loop(self._as_loop)
        try:
            for task in self._tasks:
                if task.done():
                    task.cancelled() or task.exception()
                    continue
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                _close(task)
        finally:
            events._set_running_loop(before)
        self._tasks.clear()

    def _push(self, when: float, process: Process, handle: Handle) -> None:
        self._number += 1
        # Messages of the same instant arrive in any order; a process' own timers keep theirs.
        tie = self._random.random() if process is self.world else 0.5
        heapq.heappush(self._timers, (when, tie, self._number, process, handle))


def _close(task: _Task) -> None:
    coroutine: Any = task.get_coro()
    for _ in range(AWAITS_IN_FINALLY_MAX):
        try:
            coroutine.close()
        except RuntimeError:
            continue  # a `finally` that awaits: it is told again, at the next await
        except BaseException:  # noqa: BLE001, S110 (whatever a `finally` raises: nobody is there)
            pass
        return
