"""What one process takes of the machine's memory, from Linux' /proc."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """In MB."""

    private: float
    """Shared with no other process: what would be free if it ended."""
    written: float
    """The part of it that is no file: others sharing a program's pages or not do not move it."""
    resident: float
    peak: float
    """The most that was ever resident."""


def memory_of(pid: int) -> ProcessMemory:
    """Read a living process's memory."""
    shares, sizes = (_kilobytes(pid, name) for name in ("smaps_rollup", "status"))
    written = shares["Private_Dirty"]
    return ProcessMemory(
        private=(written + shares["Private_Clean"]) / 1024,
        written=written / 1024,
        resident=sizes["VmRSS"] / 1024,
        peak=sizes["VmHWM"] / 1024,
    )


def _kilobytes(pid: int, name: str) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/{name}").read_text().splitlines()
    fields = (line.partition(":") for line in lines if line.endswith(" kB"))
    return {field: int(size.split()[0]) for field, _, size in fields}
