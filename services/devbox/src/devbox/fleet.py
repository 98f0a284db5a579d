"""The processes of a run, in the order of their start: told about, added to, stopped in reverse.

Each change of a process's state rewrites the run's report, which is what `make status` reads.
Processes of one rank serve one another and stop together; a higher rank needs the lower ones, so it
stops first.
"""

import asyncio
import contextlib
import enum
import itertools
import os
import subprocess
import time
from collections.abc import Callable
from functools import partial

from devbox.data_folder import DataFolder, RunReport
from devbox.keeper import Keeper, Kept, State
from devbox.processes import ProcessPlan, World
from devbox.programs import start_program
from devbox.readiness import Placement, serves, until


class Rank(enum.IntEnum):
    """What needs what: the higher needs the lower."""

    SERVER = 0
    STORE = 1
    FRONT = 2
    WORKER = 3


class Fleet:
    """Every kept process of this run."""

    def __init__(self, folder: DataFolder, world: World, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._world = world
        self._say = say
        self._members: list[tuple[Rank, Keeper]] = []
        self._began = time.monotonic()
        self._started_at = time.time()
        self._ready = False

    def keep(self, rank: Rank, kept: Kept) -> Keeper:
        """Begin to keep a process."""
        keeper = Keeper(kept, self._note)
        self._members.append((rank, keeper))
        keeper.begin()
        return keeper

    def keep_planned(
        self,
        rank: Rank,
        plan: ProcessPlan,
        placement: Placement,
        needs: asyncio.Event | None = None,
    ) -> Keeper:
        """Begin to keep a process that runs a plan's command."""
        cwd = self._world.cwd
        log = self._folder.log(plan.name)

        async def start() -> subprocess.Popen[bytes]:
            return start_program(plan.command, folder=cwd, log=log, environ=plan.environ)

        async def serving(started: float) -> None:
            await until(partial(serves, plan, started, placement))

        kept = Kept(plan.name, log, start, serving, simulated=plan.simulated, needs=needs)
        return self.keep(rank, kept)

    async def serving(self) -> None:
        """Wait until every process serves; raises `ServerFailed` as soon as one will not."""
        async with asyncio.TaskGroup() as group:
            for _, keeper in self._members:
                group.create_task(keeper.serving())

    def waiting_for(self) -> list[str]:
        """Name the processes that do not serve."""
        return [keeper.name for _, keeper in self._members if keeper.state is not State.READY]

    async def stop(self, keeper: Keeper) -> None:
        """Stop one process and forget it."""
        await keeper.stop()
        self._members = [member for member in self._members if member[1] is not keeper]
        self.write_report()

    def say_ready(self) -> None:
        """Tell the person, and whoever asks later, that everything serves."""
        self._ready = True
        self.write_report()
        real = self._world.settings.bot_token is not None
        where = f"talk to {'' if real else 'it at '}{self._world.address}"
        self._say(f"Purser is ready: {where}  (Ctrl-C stops it; `make status` looks inside)")

    def kill_all(self) -> None:
        """End everything at once, for a person who will not wait."""
        for _, keeper in self._members:
            keeper.kill()

    async def stop_all(self) -> None:
        """Stop everything, the highest rank first."""
        self._ready = False
        by_rank = sorted(self._members, key=lambda member: -member[0])
        for _, members in itertools.groupby(by_rank, key=lambda member: member[0]):
            await asyncio.gather(*(keeper.stop() for _, keeper in members))

    def write_report(self) -> None:
        """Write the run's report."""
        self._folder.write_report(
            RunReport(
                pid=os.getpid(),
                started_at=self._started_at,
                address=self._world.address,
                ports=self._world.ports.by_name(),
                processes=[keeper.report() for _, keeper in self._members],
                ready=self._ready,
            )
        )

    def _note(self, keeper: Keeper) -> None:
        seconds = time.monotonic() - self._began
        if keeper.state is State.READY and not self._ready:
            self._say(f"  {keeper.name:<24} ready after {seconds:.1f} s")
        elif keeper.state is State.READY and keeper.restarts:
            self._tell(keeper, "serves again")
        elif keeper.state is State.BACKOFF:
            self._tell(keeper, f"ended ({keeper.why_ended}); starting it again")
        with contextlib.suppress(OSError):  # a full disk is no reason to stop keeping
            self.write_report()

    def _tell(self, keeper: Keeper, what: str) -> None:
        """Tell the person; once the run is ready, with the time, and the run's own log too."""
        if not self._ready:
            self._say(f"  {keeper.name:<24} {what}")
            return
        from chassis.telemetry import get_logger

        self._say(f"  {keeper.name:<24} {time.strftime('%H:%M:%S')} {what}")
        state = keeper.state.value
        get_logger(__name__).warning("process_changed", process=keeper.name, state=state, what=what)
