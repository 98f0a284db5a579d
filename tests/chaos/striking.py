"""Does what the schedule says, to real processes, and writes down what was done when.

Whatever is stopped is let go again, whatever happens: nobody finds a frozen process afterwards.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable

import psutil  # type: ignore[import-untyped]  # carries no types
from redis.asyncio import Redis
from redis.exceptions import RedisError
from tests.chaos.schedule import WORKER, Event
from tests.chaos.telegram import Telegram
from tests.chaos.watching import PlacementWatch
from tests.e2e.live_run import LiveRun
from tests.history.records import HistoryFile, Phase, Struck

from devbox.keyring import ensure_secret

MISBEHAVIOUR = {
    "status_429": 0.15,
    "duplicate_updates": 0.3,
    "reorder_updates": 0.3,
    "drop_connection": 0.05,
    "status_500": 0.05,
}
UNTIL_THERE_SECONDS = 5.0
"""How long a fault waits for a process that is just being started."""


class _NotThere(Exception):  # noqa: N818  # it is no error
    """The process waits to be started again after an earlier fault."""


class Striker:
    """Carries a schedule out against one run."""

    def __init__(
        self,
        run: LiveRun,
        telegram: Telegram,
        placement: PlacementWatch,
        history: HistoryFile,
        say: Callable[[str], None],
    ) -> None:
        self._run = run
        self._telegram = telegram
        self._placement = placement
        self._history = history
        self._say = say

    async def carry_out(self, schedule: list[Event]) -> None:
        """Do everything at its time; returns when all of it is over."""
        begin = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for event in sorted(schedule, key=lambda event: event.at):
                await asyncio.sleep(max(0.0, begin + event.at - time.monotonic()))
                group.create_task(self._do(event))

    async def _do(self, event: Event) -> None:
        try:
            await self._strike(event)
        except _NotThere as gone:
            self._say(f"  {event.at:6.1f} s  {event.kind} left out: {gone} is not there")

    async def _strike(self, event: Event) -> None:
        at, target = time.time(), event.target
        if event.kind == "phase":
            self._history.add(Phase(at, target))
            return
        if target == WORKER:
            owners = self._placement.owners() or ["purser-user-worker-0"]
            target = owners[int(event.pick * len(owners))]
        match event.kind:
            case "scale":
                target = f"{event.workers} workers"
                self._run.folder.pin_workers(event.workers)
            case "kill":
                at = await self._signal(target, signal.SIGKILL)
            case "restart":
                at = await self._signal(target, signal.SIGTERM)
            case "freeze":
                at = await self._freeze(target, event.seconds)
            case "flush":
                await self._flush()
            case "telegram":
                await self._misbehave(event.seconds)
        over_at = time.time() if event.seconds else at
        self._history.add(Struck(at, event.kind, target, over_at))
        lasted = f" for {over_at - at:.1f} s" if event.seconds else ""
        self._say(f"  {event.at:6.1f} s  {event.kind} {target}{lasted}")

    async def _signal(self, name: str, how: signal.Signals) -> float:
        """Send a signal to a process, once it is there; when it was sent."""
        pid = await self._pid(name)
        at = time.time()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
        return at

    async def _freeze(self, name: str, seconds: float) -> float:
        try:
            process = psutil.Process(await self._pid(name))
            # A server's sessions are processes of their own.
            pids = [process.pid, *(child.pid for child in process.children(recursive=True))]
        except psutil.NoSuchProcess:
            raise _NotThere(name) from None
        at = time.time()
        try:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(seconds)
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        return at

    async def _flush(self) -> None:
        password = ensure_secret(self._run.folder.secrets, "redis.password")
        with contextlib.suppress(RedisError, OSError):  # it may just have been killed: as empty
            async with Redis(port=self._run.report.ports["redis"], password=password) as redis:
                await redis.flushall()

    async def _misbehave(self, seconds: float) -> None:
        try:
            await self._telegram.misbehave(**MISBEHAVIOUR)
            await asyncio.sleep(seconds)
        finally:
            await self._telegram.misbehave()

    async def _pid(self, name: str) -> int:
        deadline = time.monotonic() + UNTIL_THERE_SECONDS
        while (pid := self._run.pid(name)) is None:
            if time.monotonic() > deadline:
                raise _NotThere(name)
            await asyncio.sleep(0.05)
        return pid
