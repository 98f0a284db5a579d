"""A few seeds hold every promise, one seed is one run, and every mistake in `broken` is found."""

import pytest
from tests.simulation.broken import BROKEN
from tests.simulation.run import Simulation

SEEDS = 20
"""`make simulate` runs as many as one likes; these are here to notice what breaks outright."""
SEEDS_TO_FIND_MAX = 100


def test_every_promise_holds() -> None:
    """Whatever goes wrong in these worlds."""
    reports = [Simulation(seed).run() for seed in range(SEEDS)]

    assert [] == [(report.seed, report.violation) for report in reports if report.violation]
    assert all(report.jobs for report in reports)
    assert sum(report.filled for report in reports) >= 10
    assert sum(report.triggered for report in reports) >= 10
    assert sum(report.runs for report in reports) >= 10
    assert sum(report.copied for report in reports) >= 10
    assert sum(report.freezes for report in reports) >= 5
    assert sum(report.stale_refused for report in reports) >= 1, "no fence was ever needed"


def test_one_seed_is_one_run() -> None:
    """To the last step and the last drawn number."""
    seed = 3

    first, second = Simulation(seed).run(), Simulation(seed).run()

    assert first == second


def test_a_trace_changes_nothing() -> None:
    """The run that is looked at is the run that failed."""
    seed, lines = 5, list[str]()

    seen = Simulation(seed, trace=lines.append).run()

    assert Simulation(seed).run() == seen
    assert any("deliver" in line for line in lines)


@pytest.mark.parametrize("mistake", sorted(BROKEN))
def test_a_mistake_is_found(mistake: str) -> None:
    """Within a bounded number of seeds, and called by a promise it breaks."""
    broken = BROKEN[mistake]

    assert broken.seen_in < SEEDS_TO_FIND_MAX, "looking there first must not widen the bound"
    seeds = (broken.seen_in, *range(SEEDS_TO_FIND_MAX))
    runs = (Simulation(seed, broken.parts).run() for seed in seeds)
    violations = (run.violation for run in runs)
    found = next((violation for violation in violations if violation is not None), None)

    assert found is not None, f"{SEEDS_TO_FIND_MAX} seeds did not notice: {mistake}"
    assert found.partition(":")[0] in broken.breaks
