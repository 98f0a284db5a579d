"""Start programs, wait for their end, stop them within a bound, find what a killed run left.

A program here is a plain `subprocess.Popen`, bound to no event loop, so that a pytest session and a
test of its own loop can share one. Its end is learnt from a pidfd in the running loop. Each program
has a session of its own: Ctrl-C in the terminal reaches the devbox only, which then stops the
programs in its order.

What a killed run left behind is found by what it *is* (the program file) and where it *works* (its
current folder), never by a pid from a file alone: pids are given again.
"""

import asyncio
import contextlib
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # carries no types

from devbox.errors import CannotBegin

LAUNCHER = Path(__file__).with_name("launch.py")
PROBE_TIMEOUT_SECONDS = 5.0


def start_program(
    argv: Sequence[str | Path],
    *,
    folder: Path,
    log: Path,
    death_signal: signal.Signals = signal.SIGKILL,
    identity: str = "same",
    environ: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that works in `folder` and appends what it prints to `log`.

    Call it from the main thread only: `death_signal` is sent when the starting *thread* ends.
    `environ` None means ours.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            launched(argv, death_signal, identity),
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def launched(argv: Sequence[str | Path], death_signal: signal.Signals, identity: str) -> list[str]:
    """Put the launcher in front of a command."""
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER)]
    return [*launcher, str(os.getpid()), str(int(death_signal)), identity, *map(str, argv)]


async def wait_for_end(process: subprocess.Popen[bytes], timeout_seconds: float | None) -> bool:
    """Wait until the program ended; False when it had not after `timeout_seconds`."""
    if process.poll() is not None:
        return True
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    pidfd = os.pidfd_open(process.pid)
    loop.add_reader(pidfd, ended.set)
    try:
        async with asyncio.timeout(timeout_seconds):
            await ended.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
    process.wait()
    return True


async def stop_program(
    process: subprocess.Popen[bytes], *steps: tuple[signal.Signals, float]
) -> None:
    """Send each signal and wait its seconds; SIGKILL closes the list."""
    for step, seconds in steps:
        if process.poll() is not None:
            return
        process.send_signal(step)
        if await wait_for_end(process, seconds):
            return
    process.kill()
    await wait_for_end(process, None)


def find_leftovers(program: Path, folder: Path) -> list[psutil.Process]:
    """List the living processes of `program` whose current folder is `folder`, oldest first."""
    found = []
    for process in psutil.process_iter():
        try:
            same = process.exe() == str(program.resolve()) and process.cwd() == str(
                folder.resolve()
            )
            if same and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return sorted(found, key=lambda process: process.create_time())


async def end_leftovers(
    program: Path, folder: Path, gentle: signal.Signals, timeout_seconds: float
) -> int:
    """End what a killed run left of a server; returns how many processes that were.

    The oldest process gets `gentle`; whatever lives after `timeout_seconds` is killed, children
    too.
    """
    left = find_leftovers(program, folder)
    if not left:
        return 0
    with contextlib.suppress(psutil.NoSuchProcess):
        left[0].send_signal(gentle)
    _, alive = await asyncio.to_thread(psutil.wait_procs, left, timeout_seconds)
    for process in [*alive, *find_leftovers(program, folder)]:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    await asyncio.to_thread(psutil.wait_procs, alive, timeout_seconds)
    return len(left)


def log_mark(log: Path) -> int:
    """Return where a log ends now, for `log_since`."""
    return log.stat().st_size if log.exists() else 0


def log_since(log: Path, mark: int) -> str:
    """Return what was logged after `mark`."""
    with log.open("rb") as file:
        file.seek(mark)
        return file.read().decode(errors="replace")


def unprivileged_identity() -> str:
    """Find an identity that is not root for the launcher: ours, else a user namespace, else a
    system user."""
    if os.geteuid() != 0:
        return "same"
    users = [user.pw_name for user in pwd.getpwall() if user.pw_uid != 0]
    if not users:
        raise CannotBegin(
            "PostgreSQL refuses to run as root, and this machine knows no other user: run as one."
        )
    name = "nobody" if "nobody" in users else users[0]
    identity = f"namespace:{name}"
    probe = subprocess.run(
        launched([sys.executable, "-I", "-S", "-c", ""], signal.SIGKILL, identity),
        capture_output=True,
        timeout=PROBE_TIMEOUT_SECONDS,
        check=False,
    )
    return identity if probe.returncode == 0 else f"user:{name}"
