"""The life of one process: an event loop, a stop event, an exit status.

SIGTERM and SIGINT set the stop event that `main` was given; `main` drains and returns. A second
signal ends the process at once, by the signal's own default. What the person who starts the program
can mend (`CannotStart`, `BadSettings`) is one sentence on stderr and no stack trace, and so is what
went away while the program was starting (`TryAgain`): whoever keeps it starts it again. Anything
else that escapes `main` is a bug and is logged with its trace.

Where everything is started at once, what a program needs comes while it waits (`patient`): a
program that ended instead would be started again after ever longer pauses.
"""

import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias

import uvloop

from chassis.errors import BadSettings, CannotStart, NotYet, TryAgain
from chassis.reminders import Reminders
from chassis.telemetry import get_logger, log_before_start

Main: TypeAlias = Callable[[asyncio.Event], Awaitable[None]]
"""Serves until the event is set."""

LOOK_AGAIN_SECONDS = 0.5
"""How often a program that waits for what it needs looks whether it is there."""

EXIT_CANNOT_START = 1
EXIT_BAD_SETTINGS = 2
EXIT_CRASHED = 70
"""BSD's EX_SOFTWARE: a bug, told apart from a refusal to start."""


def run(main: Main) -> None:
    """Run `main(stop)` to its end on uvloop.

    Raises SystemExit with a status other than 0 when it failed.
    """
    log_before_start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_with_signals(main))
    except Exception as error:  # noqa: BLE001 (the last door: every failure becomes an exit status)
        sys.exit(_report(error))


def patient(main: Main, timeout_seconds: float) -> Main:
    """Give a `main` that begins again while what it needs is `NotYet` there, within a time; 0 does
    not wait. The log has what it waits for once a minute, and at once when that is something else.
    """

    async def wait_and_run(stop: asyncio.Event) -> None:
        now = asyncio.get_running_loop().time
        began, reminders = now(), Reminders()
        while True:
            try:
                await main(stop)
            except Exception as error:
                lack, waited = _what_is_lacking(error), now() - began
                if not lack or waited >= timeout_seconds:
                    raise
                if reminders.is_due(now(), lack):
                    get_logger(__name__).info(
                        "waiting",
                        why=lack,
                        waited_seconds=round(waited),
                        timeout_seconds=timeout_seconds,
                    )
            else:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                    await stop.wait()
            if stop.is_set():
                return

    return wait_and_run


def ready_line(service: str, **addresses: object) -> None:
    """Log the event `ready` with where the service listens.

    Who started the process may wait for that line. Also gives back what starting up needed.
    """
    _give_back_memory()
    get_logger(service).info("ready", **addresses)


async def _with_signals(main: Main) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    await main(stop)


def _give_back_memory() -> None:
    """Return to the system what imports left behind: 12 MB of 60, which glibc would keep."""
    gc.collect()
    # What is there now stays: collections need not walk it again.
    gc.freeze()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _report(error: Exception) -> int:
    for leaf in _leaves(error):
        if isinstance(leaf, CannotStart | TryAgain):
            print(leaf, file=sys.stderr)  # noqa: T201 (for a person, before or beside any log)
            return EXIT_BAD_SETTINGS if isinstance(leaf, BadSettings) else EXIT_CANNOT_START
    get_logger("chassis.process").critical("crashed", exc_info=error)
    return EXIT_CRASHED


def _what_is_lacking(error: Exception) -> str:
    """Give what is not there yet; empty when something else is the matter, be it beside it."""
    leaves = list(_leaves(error))
    return str(leaves[0]) if all(isinstance(leaf, NotYet) for leaf in leaves) else ""


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions inside (nested) groups: a TaskGroup wraps what its tasks raised."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
