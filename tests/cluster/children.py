"""Processes that cannot outlive the test run.

The kernel is asked to signal each child when the process that started it ends, however it ends
(PR_SET_PDEATHSIG), so a killed pytest leaves nothing behind. The request belongs to the *thread*
that started the child: start children from a thread that lives as long as they should, which in
pytest and in asyncio is the main thread.

Output goes to a file per child, not to a pipe: nobody has to read it for the child to go on.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

STOP_TIMEOUT_SECONDS = 5.0
"""Between SIGTERM and SIGKILL. What the children keep is thrown away, so there is little to wait
for.
"""

LOG_TAIL_BYTES = 2000
"""How much of a log is worth quoting when its process failed."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def dying_with_parent(signal_number: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn` that makes the child get `signal_number` when the calling thread ends.

    Elsewhere than on Linux the kernel has no such service and a killed run leaves its children.
    """
    parent = os.getpid()

    def ask_kernel() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal_number)
            if os.getppid() != parent:  # it ended before the kernel was asked
                os._exit(1)

    return ask_kernel


class Child:
    """One process of ours, its name and its log."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        *,
        folder: Path | None = None,
        parent_end_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.command = command
        self.log = log
        self._folder = folder
        self._parent_end_signal = parent_end_signal
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                # Ctrl-C in a terminal is for the run, which then stops its children in order.
                start_new_session=True,
                preexec_fn=dying_with_parent(parent_end_signal),  # noqa: PLW1509 - one prctl, no locks taken
            )

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    def again(self) -> "Child":
        """Starts the same command anew, for a process that ended; its log goes on."""
        return Child(
            self.name,
            self.command,
            self.log,
            folder=self._folder,
            parent_end_signal=self._parent_end_signal,
        )

    def stop(self) -> None:
        """Ends the process if it still runs: SIGTERM, a short wait, SIGKILL. Safe to call again."""
        if self.running:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    def log_tail(self) -> str:
        """The end of what the process printed, for an error that should explain itself."""
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
