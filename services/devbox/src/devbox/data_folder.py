"""The data folder: what lies where, who may use it now, and what the run says about itself.

One run at a time: a run holds a lock on `run/lock` (flock: the kernel lets go of it whatever way
the run ends). `run/state.json` is written anew, whole, at each change, for `status` and `stop` to
read. Logs grow by appending and are set aside (`.1`) when a process starts and its log is above
`LOG_BYTES_MAX`.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from devbox.errors import AlreadyRunning, CannotBegin

LOG_BYTES_MAX = 10_000_000
PATH_BYTES_MAX = 800
"""PostgreSQL refuses paths of 1024 bytes, and the longest name below the folder takes some 100."""


class ProcessReport(msgspec.Struct, frozen=True, kw_only=True):
    """One process as `make status` shows it."""

    name: str
    state: str
    pid: int | None
    started_at: float | None
    """Seconds since the epoch."""
    restarts: int
    simulated: bool
    """Stands for something outside Purser (Telegram): not part of the sum."""


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a run says about itself."""

    pid: int
    started_at: float
    address: str
    """Where a person talks to the bot."""
    ports: dict[str, int]
    processes: list[ProcessReport]
    ready: bool


class DataFolder:
    """Paths inside the data folder, and its lock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.postgres = root / "postgres"
        self.valkey = root / "valkey"
        self.logs = root / "logs"
        self.secrets = root / "secrets"
        self.run = root / "run"
        self._pin = self.run / "replicas"

    def ensure(self) -> None:
        """Make the folders, for us alone."""
        if len(os.fsencode(self.root)) > PATH_BYTES_MAX:
            raise CannotBegin(
                f"The path of the data folder is longer than {PATH_BYTES_MAX} bytes, too long for "
                "PostgreSQL: choose a shorter one with PURSER_DATA_DIR=…"
            )
        try:
            for folder in (self.root, self.logs, self.secrets, self.run):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise CannotBegin(
                f"The data folder {self.root} cannot be made ({error.strerror}): "
                "choose another one with PURSER_DATA_DIR=…"
            ) from None
        for folder in (self.root, *(entry for entry in self.root.iterdir() if entry.is_dir())):
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise CannotBegin(
                    f"We may not write to {folder}, which another user may have made: "
                    "give it back to us, or choose another data folder with PURSER_DATA_DIR=…"
                )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only run of this folder; raises `AlreadyRunning`."""
        descriptor = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(self._who_runs()) from None
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
            for last_runs in (self.run / "state.json", self._pin):
                last_runs.unlink(missing_ok=True)
            yield
        finally:
            os.close(descriptor)

    def running_pid(self) -> int | None:
        """Give the process of the run that is alive; None when there is none. Raises
        `CannotBegin` when it may not be looked at."""
        try:
            descriptor = os.open(self.run / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise CannotBegin(
                f"The data folder {self.root} cannot be read ({error.strerror}): "
                "is it another user's?"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(os.read(descriptor, 32) or b"0") or None
        else:
            return None
        finally:
            os.close(descriptor)

    def log(self, process: str) -> Path:
        """Give a process's log, after setting a big one aside."""
        log = self.logs / f"{process}.log"
        with contextlib.suppress(FileNotFoundError):
            if log.stat().st_size > LOG_BYTES_MAX:
                log.replace(log.with_suffix(".log.1"))
        return log

    def write_report(self, report: RunReport) -> None:
        """Replace the run's report."""
        beside = self.run / "state.json.new"
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
        beside.replace(self.run / "state.json")

    def read_report(self) -> RunReport | None:
        """Read the last report; None when there is none that can be read."""
        try:
            return msgspec.json.decode((self.run / "state.json").read_bytes(), type=RunReport)
        except (OSError, msgspec.DecodeError):
            return None

    def pin_workers(self, count: int | None) -> None:
        """Note how many workers the run shall have; None leaves it to the control loop."""
        beside = self._pin.with_suffix(".new")
        beside.write_text("" if count is None else str(count))
        beside.replace(self._pin)

    def pinned_workers(self) -> int | None:
        """Read how many workers somebody wants; None when nobody said, or nothing readable."""
        try:
            return int(self._pin.read_text())
        except (OSError, ValueError):
            return None

    def _who_runs(self) -> str:
        report = self.read_report()
        if report is None:
            return f"Purser is just starting from {self.root}."
        return (
            f"Purser already runs from {self.root} (process {report.pid}): "
            f"talk to {report.address}; `make stop` stops it."
        )
