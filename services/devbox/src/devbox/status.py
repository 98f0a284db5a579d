"""`make status`: each process with its state and memory, and the sum.

Memory is PSS from `/proc/<pid>/smaps_rollup`: pages shared by several processes are divided among
them, so that the sum is what the whole takes. A server's children (PostgreSQL's sessions) count
with their parent. The simulator stands for Telegram and is counted apart.
"""

import contextlib
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # carries no types

from devbox.data_folder import DataFolder, ProcessReport, RunReport

COLUMNS = "{:<24} {:<9} {:>8} {:>9} {:>9} {:>9}"


def render_status(folder: DataFolder) -> tuple[str, bool]:
    """Give the table, and whether a run is alive."""
    report = folder.read_report()
    if report is None or folder.running_pid() is None:
        return f"Purser does not run from {folder.root}. `make run` starts it.", False
    return "\n".join(_table(report)), True


def pss_megabytes(pid: int | None, *, children: bool = True) -> float | None:
    """Give the memory of a process, with its descendants; None when it cannot be read."""
    if pid is None:
        return None
    family = [pid]
    if children:
        with contextlib.suppress(psutil.Error):
            family += [child.pid for child in psutil.Process(pid).children(recursive=True)]
    found = [_pss_kilobytes(member) for member in family]
    known = [kilobytes for kilobytes in found if kilobytes is not None]
    return sum(known) / 1024 if known else None


def _table(report: RunReport) -> list[str]:
    lines = [COLUMNS.format("process", "state", "pid", "uptime", "restarts", "PSS MB")]
    total = apart = 0.0
    unknown = False
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
        megabytes = pss_megabytes(process.pid, children=process is not supervisor)
        if process.simulated:
            apart += megabytes or 0.0
        else:
            unknown |= megabytes is None
            total += megabytes or 0.0
        lines.append(_row(process, megabytes))
    at_least = "≥ " if unknown else ""
    lines.append(COLUMNS.format("sum", "", "", "", "", f"{at_least}{total:.0f}"))
    if apart:
        lines.append(f"(and {apart:.0f} MB for the simulated Telegram)")
    lines.append(f"chat page: {report.address}")
    return lines


def _row(process: ProcessReport, megabytes: float | None) -> str:
    up = "" if process.pid is None or process.started_at is None else _uptime(process.started_at)
    return COLUMNS.format(
        process.name,
        process.state,
        process.pid or "",
        up,
        process.restarts,
        "?" if megabytes is None else f"{megabytes:.0f}",
    )


def _uptime(started_at: float) -> str:
    minutes, seconds = divmod(int(max(0.0, time.time() - started_at)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s"


def _pss_kilobytes(pid: int) -> int | None:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except (OSError, ProcessLookupError):
        return None
    return None
