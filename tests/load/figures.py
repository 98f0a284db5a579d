"""How a benchmark tells a figure: one line of JSON, with what one needs to compare it later.

    {"figure": "quotes from the local copy", "value": 812345.6, "unit": "1/s", …,
     "commit": "5c8950c", "machine": {"cores": 2, "cpu": "…", "python": "3.11.7"}}

A commit that ends in "+" had changes on top. Figures of two machines, or of one machine at two
times, say little beside each other: what counts are ratios measured in one run.
"""

import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

import msgspec

SIGNIFICANT_DIGITS = 4
"""More would be noise."""


def tell(figure: str, value: float | None, unit: str, **how: object) -> None:
    """Print one figure; `how` says how it was measured. None is a figure that could not be had."""
    told = {
        "figure": figure,
        "value": None if value is None else float(f"{value:.{SIGNIFICANT_DIGITS}g}"),
        "unit": unit,
        **how,
        "commit": commit(),
        "machine": machine(),
    }
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    sys.stdout.flush()


@cache
def commit() -> str:
    """Name the commit that is measured."""
    here = Path(__file__).parent
    asked = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--exclude=*"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "unknown"


@cache
def machine() -> dict[str, object]:
    """Describe the machine without naming it."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "python": platform.python_version(),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
