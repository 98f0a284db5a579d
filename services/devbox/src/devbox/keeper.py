"""Keep one process alive: start it, know when it serves, start it again when it ends.

A restart waits; the wait doubles with each failure up to a bound and starts over once the process
has served for a while. Before the first time it served, only so many tries are made: then whatever
is wrong will not go away by itself, and `serving()` raises a sentence with the last line of the
log. Afterwards it is tried for ever.
"""

import asyncio
import contextlib
import enum
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from devbox.data_folder import ProcessReport
from devbox.errors import DevboxError, ServerFailed
from devbox.programs import log_mark, log_since, stop_program, wait_for_end

STOP_TIMEOUT_SECONDS = 10.0
"""A drain finishes its work within a few seconds or never."""


class State(enum.StrEnum):
    """Where a process is in its life."""

    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"
    """It ended; waiting to start it again."""
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of keeping."""

    restart_delay_first_seconds: float = 0.2
    """A kill should cost little; most processes start well the second time."""
    restart_delay_max_seconds: float = 10.0
    """A process that cannot start must not take the machine from the others."""
    stable_after_seconds: float = 10.0
    """Serving for so long proves that the trouble is over."""
    starts_without_ready_max: int = 4
    """A port can be lost to another program between its choice and its use; not four times."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a keeper has to know about its process."""

    name: str
    log: Path
    start: Callable[[], Awaitable[subprocess.Popen[bytes]]]
    serves: Callable[[float], Coroutine[None, None, None]]
    """Returns once the process, started at that monotonic time, serves."""
    stop_steps: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, STOP_TIMEOUT_SECONDS),)
    """Signals, each with how long to wait for the end; SIGKILL follows the last."""
    simulated: bool = False
    needs: asyncio.Event | None = None
    """Set once what it needs is there. It is started without waiting for that, since starting takes
    long; should it end before, it lost a bet: it starts again when the event is set, and no failure
    is counted."""


class Keeper:
    """Keeps one process; `changed` is called at each change of state."""

    def __init__(
        self,
        kept: Kept,
        changed: Callable[["Keeper"], None],
        limits: Limits = Limits(),  # frozen
    ) -> None:
        self.kept = kept
        self.state = State.STOPPED
        self.process: subprocess.Popen[bytes] | None = None
        self.restarts = 0
        self.why_ended = ""
        self._changed = changed
        self._limits = limits
        self._started_at: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._serving: asyncio.Future[None] | None = None

    @property
    def name(self) -> str:
        """The process's name in status and logs."""
        return self.kept.name

    @property
    def pid(self) -> int | None:
        """Its process, while there is one."""
        alive = self.process is not None and self.process.poll() is None
        return self.process.pid if alive and self.process is not None else None

    def begin(self) -> None:
        """Start keeping."""
        self._serving = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def serving(self) -> None:
        """Wait until it serves for the first time; raises `ServerFailed` when it will not."""
        if self._serving is not None:
            await asyncio.shield(self._serving)

    async def stop(self) -> None:
        """End the process: its signal, a bounded wait, SIGKILL. Never raises; safe to repeat."""
        if self.state in (State.STOPPING, State.STOPPED):
            return
        self._enter(State.STOPPING)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self.process is not None:
            await stop_program(self.process, *self.kept.stop_steps)
        if self._serving is not None:
            self._serving.cancel()
        self._enter(State.STOPPED)

    def kill(self) -> None:
        """End the process at once; whoever is waiting in `stop` goes on."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()

    def report(self) -> ProcessReport:
        """Say how it is."""
        return ProcessReport(
            name=self.name,
            state=self.state.value,
            pid=self.pid,
            started_at=self._started_at,
            restarts=self.restarts,
            simulated=self.kept.simulated,
        )

    async def _keep(self) -> None:
        delay = self._limits.restart_delay_first_seconds
        while True:
            mark = log_mark(self.kept.log)
            served_seconds = await self._live()
            if self.kept.needs is not None and not self.kept.needs.is_set():
                await self.kept.needs.wait()
                continue
            if served_seconds >= self._limits.stable_after_seconds:
                delay = self._limits.restart_delay_first_seconds
            if self._gives_up(mark):
                return
            self._enter(State.BACKOFF)
            await asyncio.sleep(delay)
            delay = min(delay * 2, self._limits.restart_delay_max_seconds)
            self.restarts += 1

    async def _live(self) -> float:
        """Start it and wait for its end; returns how long it served."""
        self._enter(State.STARTING)
        started, self._started_at = time.monotonic(), time.time()
        try:
            self.process = await self.kept.start()
        except (DevboxError, OSError) as error:  # OSError: the machine is out of something
            self.why_ended = str(error)
            return 0.0
        ended = asyncio.create_task(wait_for_end(self.process, None))
        serves = asyncio.create_task(self.kept.serves(started))
        try:
            await asyncio.wait({ended, serves}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                self.why_ended = _ending(self.process)
                return 0.0
            await serves
            ready = time.monotonic()
            self._enter(State.READY)
            if self._serving is not None and not self._serving.done():
                self._serving.set_result(None)
            await ended
            self.why_ended = _ending(self.process)
            return time.monotonic() - ready
        finally:
            ended.cancel()
            serves.cancel()
            await asyncio.gather(ended, serves, return_exceptions=True)

    def _gives_up(self, mark: int) -> bool:
        """Whether it never served and was tried often enough; tells who waits for it."""
        if self._serving is None or self._serving.done():
            return False
        if self.restarts + 1 < self._limits.starts_without_ready_max:
            return False
        said = log_since(self.kept.log, mark).strip().splitlines()
        last = f" It says: {said[-1]}" if said else ""
        self._serving.set_exception(
            ServerFailed(
                f"{self.name} does not start: {self.why_ended}.{last} (log: {self.kept.log})"
            )
        )
        self._enter(State.STOPPED)
        return True

    def _enter(self, state: State) -> None:
        self.state = state
        self._changed(self)


def _ending(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    return f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
