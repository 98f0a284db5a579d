"""`make status`: each process with its state and memory, and the sum.

Memory is PSS from `/proc/<pid>/smaps_rollup`: pages shared by several processes are divided among
them, so that the sum is what the whole takes. A process that forbids dumps (wallet) closes that
file to all but root; then its resident memory (RSS) stands in, marked, and the sum is a bound. A
server's children (PostgreSQL's sessions) count with their parent. The simulator stands for Telegram
and is counted apart.
"""

import contextlib
import time
from pathlib import Path
from typing import NamedTuple

import psutil  # type: ignore[import-untyped]  # carries no types

from devbox.data_folder import DataFolder, ProcessReport, RunReport

COLUMNS = "{:<24} {:<9} {:>8} {:>9} {:>9} {:>9}"
RSS_MARK = "*"
RSS_NOTE = f"({RSS_MARK} RSS: this process lets only root read its PSS, which is smaller)"


class Memory(NamedTuple):
    """What a process takes."""

    megabytes: float
    is_pss: bool
    """False: some of it is RSS, which counts what is shared in full."""


def render_status(folder: DataFolder) -> tuple[str, bool]:
    """Give the table, and whether a run is alive."""
    report = folder.read_report()
    if report is None or folder.running_pid() is None:
        return f"Purser does not run from {folder.root}. `make run` starts it.", False
    return "\n".join(_table(report)), True


def memory_of(pid: int | None, *, children: bool = True) -> Memory | None:
    """Give the memory of a process, with its descendants; None when there is none."""
    if pid is None:
        return None
    family = [pid]
    if children:
        with contextlib.suppress(psutil.Error):
            family += [child.pid for child in psutil.Process(pid).children(recursive=True)]
    known = [memory for member in family if (memory := _memory_of_one(member)) is not None]
    if not known:
        return None
    return Memory(sum(m.megabytes for m in known), all(m.is_pss for m in known))


def _table(report: RunReport) -> list[str]:
    lines = [COLUMNS.format("process", "state", "pid", "uptime", "restarts", "PSS MB")]
    total = apart = 0.0
    unknown = above = False
    supervisor = ProcessReport(
        name="devbox",
        state="ready" if report.ready else "starting",
        pid=report.pid,
        started_at=report.started_at,
        restarts=0,
        simulated=False,
    )
    for process in [*report.processes, supervisor]:
        # Every other process is the supervisor's child and counted on its own line.
        memory = memory_of(process.pid, children=process is not supervisor)
        megabytes = 0.0 if memory is None else memory.megabytes
        above |= memory is not None and not memory.is_pss
        if process.simulated:
            apart += megabytes
        else:
            unknown |= memory is None
            total += megabytes
        lines.append(_row(process, memory))
    bound = "≥ " if unknown else "≤ " if above else ""
    lines.append(COLUMNS.format("sum", "", "", "", "", f"{bound}{total:.0f}"))
    if above:
        lines.append(RSS_NOTE)
    if apart:
        lines.append(f"(and {apart:.0f} MB for the simulated Telegram)")
    lines.append(f"talk to {report.address}")
    return lines


def _row(process: ProcessReport, memory: Memory | None) -> str:
    up = "" if process.pid is None or process.started_at is None else _uptime(process.started_at)
    return COLUMNS.format(
        process.name,
        process.state,
        process.pid or "",
        up,
        process.restarts,
        "?" if memory is None else f"{memory.megabytes:.0f}{'' if memory.is_pss else RSS_MARK}",
    )


def _uptime(started_at: float) -> str:
    minutes, seconds = divmod(int(max(0.0, time.time() - started_at)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s"


def _memory_of_one(pid: int) -> Memory | None:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return Memory(int(line.split()[1]) / 1024, is_pss=True)
    with contextlib.suppress(psutil.Error):
        return Memory(psutil.Process(pid).memory_info().rss / 2**20, is_pss=False)
    return None
