"""`devbox run`: everything of Purser on this machine, until a signal.

One `AsyncExitStack` holds what was opened; leaving it, whatever the reason, stops everything in
reverse, each within its bound. A second signal while stopping kills what has not stopped yet.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path

from devbox.bringing_up import bring_up
from devbox.data_folder import DataFolder
from devbox.fleet import Fleet
from devbox.settings import RunSettings
from devbox.world import make_world


async def run(
    settings: RunSettings, environ: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """Run everything until SIGINT, SIGTERM or SIGHUP. Raises `DevboxError` with one sentence."""
    folder = DataFolder(settings.data_dir)
    folder.ensure()
    with folder.locked():
        world = make_world(settings, environ, folder, Path.cwd())
        fleet = Fleet(folder, world, say)
        stop = _stop_on_signals(fleet)
        try:
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(fleet.stop_all)
                if await _until_ready_or(stop, bring_up(world, folder, fleet, stack)):
                    fleet.say_ready()
                    await stop.wait()
                say("Stopping …")
        finally:
            fleet.write_report()


async def _until_ready_or(stop: asyncio.Event, bringing_up: Coroutine[None, None, None]) -> bool:
    """Whether everything was brought up before a signal came."""
    starting = asyncio.create_task(bringing_up)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not stop.is_set():
        await starting
        return True
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    return False


def _stop_on_signals(fleet: Fleet) -> asyncio.Event:
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            fleet.kill_all()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stop
