"""The README tells of every reason, Event and metric there is: an SRE looks them up by name."""

import re
from pathlib import Path

import pytest

import shard_operator

SOURCES = Path(shard_operator.__file__).parent
README = (SOURCES.parents[1] / "README.md").read_text()
REASON = re.compile(r'(?:Verdict\(\s*\w+,|PodTrouble\(|Told\(|_fixed\([^"]*,)\s*"([A-Z][A-Za-z]+)"')
METRIC = re.compile(r'"purser_operator_(\w+)"')


def found(pattern: re.Pattern[str]) -> set[str]:
    """All that the sources name."""
    return {name for file in SOURCES.rglob("*.py") for name in pattern.findall(file.read_text())}


def test_reasons_are_found_where_they_are() -> None:
    """Else the next test would hold of nothing."""
    expected = {"ShardsServed", "Pinned", "PodCrashLooping", "Recovered", "ScaleTargetTaken"}
    assert expected <= found(REASON)
    assert len(found(METRIC)) > 12


@pytest.mark.parametrize("reason", sorted(found(REASON)))
def test_every_reason_is_told_of(reason: str) -> None:
    """In a table, or in a sentence."""
    assert reason in README


@pytest.mark.parametrize("metric", sorted(found(METRIC)))
def test_every_metric_is_told_of(metric: str) -> None:
    """By its name without the prefix all share."""
    assert re.search(rf"`{metric}(\{{|`)", README)
