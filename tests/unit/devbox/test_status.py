"""`make status`: what a process takes, also when it lets nobody look."""

import os
from pathlib import Path

import pytest

from devbox import status
from devbox.data_folder import DataFolder, ProcessReport, RunReport
from devbox.status import Memory, memory_of, render_status


def table_of(folder: Path, memory: dict[int, Memory], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The table of a living run, whose processes take so much."""
    monkeypatch.setattr(status, "memory_of", lambda pid, children: memory.get(pid))
    data = DataFolder(folder)
    data.ensure()
    processes = [
        ProcessReport(
            name=f"p{pid}", state="ready", pid=pid, started_at=1.0, restarts=0, simulated=False
        )
        for pid in (7, 8)
    ]
    report = RunReport(
        pid=9,
        started_at=1.0,
        address="http://here",
        ports={},
        processes=processes,
        ready=True,
    )
    with data.locked():
        data.write_report(report)
        table, alive = render_status(data)
    assert alive
    return table.splitlines()


def test_a_process_that_forbids_dumps_shows_its_resident_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel closes smaps_rollup to all but root then; the resident size stays open."""

    def forbidden(path: Path) -> str:
        raise PermissionError(path)

    assert (memory_of(os.getpid(), children=False) or Memory(0, is_pss=False)).is_pss
    monkeypatch.setattr(Path, "read_text", forbidden)
    memory = memory_of(os.getpid(), children=False)
    assert memory is not None
    assert not memory.is_pss
    assert memory.megabytes > 1


def test_a_sum_with_resident_memory_in_it_is_an_upper_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marked in its row, bounded in the sum, explained below."""
    memory = {
        7: Memory(30, is_pss=True),
        8: Memory(20, is_pss=False),
        9: Memory(50, is_pss=True),
    }
    rows = {line.split()[0]: line for line in table_of(tmp_path, memory, monkeypatch)}
    assert rows["p7"].endswith(" 30")
    assert rows["p8"].endswith(" 20*")
    assert rows["sum"].endswith(" ≤ 100")
    assert "(*" in rows


def test_a_sum_without_a_process_that_is_away_is_a_lower_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something is restarting: what is there is counted."""
    memory = {7: Memory(30, is_pss=True), 9: Memory(50, is_pss=True)}
    rows = {line.split()[0]: line for line in table_of(tmp_path, memory, monkeypatch)}
    assert rows["p8"].endswith(" ?")
    assert rows["sum"].endswith(" ≥ 80")
