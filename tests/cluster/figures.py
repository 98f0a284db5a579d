"""What the scenarios measure, as lines of JSON: printed at the end and kept in a file.

A figure is no assertion: this machine may be busy. Where it is far from its goal, the scenario's
own bounds fail.
"""

import json
from pathlib import Path

import pytest

FIGURES_FILE = Path("build/cluster/figures.jsonl")


class Figures:
    """The figures of one session; the file holds those of the last one."""

    def __init__(self, file: Path) -> None:
        self.lines: list[str] = []
        self._file = file

    def note(self, scenario: str, figure: str, value: float | None, goal: float | None) -> None:
        """Write a figure down; `value` None could not be measured, `goal` None has none."""
        rounded = None if value is None else round(value, 3)
        line = {"scenario": scenario, "figure": figure, "value": rounded, "goal": goal}
        self.lines.append(json.dumps(line))
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text("".join(f"{line}\n" for line in self.lines))

    def tell(self, report: pytest.TerminalReporter) -> None:
        """Print them, after everything else."""
        if self.lines:
            report.section(f"figures ({self._file})")
            for line in self.lines:
                report.write_line(line)
