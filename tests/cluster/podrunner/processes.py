"""Processes that stand for what runs inside a container.

Each is the leader of a session and process group of its own, and dies with the pod runner
(children.py says how).
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.children import dying_with_parent

GRACE_POLL_SECONDS = 0.1
"""How soon a grace period that was shortened meanwhile is noticed."""


@dataclass(frozen=True)
class Launch:
    """What a container's process is started with."""

    command: Sequence[str]
    environment: dict[str, str] = field(repr=False)
    folder: Path
    log: Path


async def spawn(command: Sequence[str], launch: Launch) -> asyncio.subprocess.Process:
    """Starts `command` where `launch` says. Raises OSError when there is no such program."""
    with launch.log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=launch.folder,
            env=launch.environment,
            start_new_session=True,
            preexec_fn=dying_with_parent(signal.SIGKILL),
        )


async def execute(command: Sequence[str], launch: Launch) -> int:
    """Runs a command beside the container's own, to its end, and gives its exit code."""
    process = await spawn(command, launch)
    try:
        return await process.wait()
    finally:
        kill_group(process)


async def end_process(process: asyncio.subprocess.Process, kill_at: Callable[[], float]) -> None:
    """SIGTERM to the process, then SIGKILL to its group when the loop's clock reaches `kill_at()`.

    `kill_at` is asked again and again: a grace period can be shortened while it runs.
    """
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    while process.returncode is None and (left := kill_at() - loop.time()) > 0:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), min(left, GRACE_POLL_SECONDS))
    kill_group(process)
    await process.wait()


def kill_group(process: asyncio.subprocess.Process) -> None:
    """Kills the process and all it started that stayed in its group. Safe when they have gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
