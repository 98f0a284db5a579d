"""What the scenarios measure, as lines of JSON: printed at the end and kept in a file.

A figure is no assertion: this machine may be busy. Where it is far from its goal, the scenario's
own bounds fail.
"""

import json
from pathlib import Path

import pytest


class Figures:
    """The figures of one session, in a file that all its test processes write to; it is kept until
    the next session.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def begin(self, config: pytest.Config) -> None:
        """Forget those of the session before, unless this process is one of several of this one."""
        if not hasattr(config, "workerinput"):
            self._file.unlink(missing_ok=True)

    def note(self, scenario: str, figure: str, value: float | None, goal: float | None) -> None:
        """Write a figure down; `value` None could not be measured, `goal` None has none."""
        rounded = None if value is None else round(value, 3)
        line = {"scenario": scenario, "figure": figure, "value": rounded, "goal": goal}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a") as file:
            file.write(f"{json.dumps(line)}\n")

    def tell(self, report: pytest.TerminalReporter) -> None:
        """Print them, after everything else."""
        if self._file.exists():
            report.section(f"figures ({self._file})")
            report.write(self._file.read_text())
