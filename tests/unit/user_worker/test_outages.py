"""A dependency that is away is counted each time and told about seldom."""

import time

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from user_worker.application import outages
from user_worker.application.outages import (
    START_SECONDS,
    WARNING_PERIOD_SECONDS,
    note_answer,
    note_outage,
    note_start,
)
from user_worker.errors import DependencyDown


@pytest.fixture(autouse=True)
def started_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the module as it was found."""
    monkeypatch.setattr(outages, "_started_at", float("-inf"))
    monkeypatch.setattr(outages, "_answered", set())


def counted(dependency: str) -> float:
    """Read the metric."""
    name = "purser_worker_outages_total"
    return REGISTRY.get_sample_value(name, {"dependency": dependency}) or 0.0


def test_many_unanswered_calls_are_one_warning_per_purpose_and_period(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The log of a worker with two thousand users stays readable."""
    outage = DependencyDown("oracle", "UNAVAILABLE: refused")
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    with capture_logs() as lines:
        for _ in range(100):
            note_outage(outage, "answer")
        note_outage(outage, "fetch")
        monkeypatch.setattr(time, "monotonic", lambda: 1000.0 + WARNING_PERIOD_SECONDS)
        note_outage(outage, "answer")

    assert ["answer", "fetch", "answer"] == [line["purpose"] for line in lines]
    assert "refused" in lines[0]["reason"]
    assert 102 == counted("oracle")


def test_the_first_answer_after_a_warning_says_how_long_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who reads the log at night sees when it was over; a healthy call says nothing."""
    monkeypatch.setattr(time, "monotonic", lambda: 5000.0)
    with capture_logs() as lines:
        note_answer("oracle", "consult")
        note_outage(DependencyDown("oracle", "UNAVAILABLE: refused"), "consult")
        monkeypatch.setattr(time, "monotonic", lambda: 5012.34)
        note_answer("oracle", "ask")
        note_answer("oracle", "consult")
        note_answer("oracle", "consult")

    assert ["dependency_down", "dependency_back"] == [line["event"] for line in lines]
    assert 12.3 == lines[-1]["away_seconds"]


def test_a_dependency_that_is_still_starting_is_counted_and_not_warned_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All processes start at once: a healthy start has no warning, a failed one has it in time."""
    outage = DependencyDown("late", "UNAVAILABLE: refused")
    monkeypatch.setattr(time, "monotonic", lambda: 9000.0)
    note_start()
    with capture_logs() as early:
        note_outage(outage, "fetch")
    monkeypatch.setattr(time, "monotonic", lambda: 9000.0 + START_SECONDS)
    with capture_logs() as later:
        note_outage(outage, "fetch")

    assert [] == early
    assert ["dependency_down"] == [line["event"] for line in later]
    assert 2 == counted("late")


def test_a_dependency_that_has_answered_is_warned_about_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was there: its silence is an outage, however young the worker is."""
    monkeypatch.setattr(time, "monotonic", lambda: 9500.0)
    note_start()
    with capture_logs() as lines:
        note_answer("lost", "fetch")
        note_outage(DependencyDown("lost", "UNAVAILABLE: refused"), "fetch")

    assert ["dependency_down"] == [line["event"] for line in lines]
