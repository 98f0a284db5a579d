"""The schedule of faults: one seed, one plan; and every kind of fault comes up."""

from hypothesis import given
from hypothesis import strategies as st
from tests.chaos.schedule import (
    CYCLE_SECONDS,
    SMALL,
    WORKERS_FEWEST,
    WORKERS_MOST,
    duration,
    make_schedule,
)

SEEDS = st.integers(min_value=0, max_value=1_000_000)


@given(seed=SEEDS)
def test_a_seed_gives_the_same_schedule_again(seed: int) -> None:
    """So that a run that failed can be run again."""
    assert make_schedule(seed, 3) == make_schedule(seed, 3)


def test_two_seeds_give_two_schedules() -> None:
    """Else there would be nothing to choose."""
    assert make_schedule(1, 3) != make_schedule(2, 3)


@given(seed=SEEDS)
def test_nothing_strikes_in_quiet_and_moving_phases(seed: int) -> None:
    """What is measured there is not what a fault did."""
    phase = ""
    for event in make_schedule(seed, 4):
        if event.kind == "phase":
            phase = event.target
        elif event.kind == "scale":
            assert phase == "moving"
            assert WORKERS_FEWEST <= event.workers <= WORKERS_MOST
        else:
            assert phase == "rough"


@given(seed=SEEDS)
def test_a_long_run_meets_every_fault(seed: int) -> None:
    """The bag is emptied before anything comes twice."""
    struck = {(event.kind, event.target) for event in make_schedule(seed, 15)}
    assert {(e.kind, e.target) for e in make_schedule(0, 60)} - struck <= {("phase", "")}


def test_the_small_schedule_has_one_of_each_kind() -> None:
    """What the tests of every day run, within their time."""
    kinds = {event.kind for event in make_schedule(0, 60)}
    assert {event.kind for event in SMALL} == kinds
    assert duration(SMALL) <= 30


def test_minutes_are_cycles() -> None:
    """At least one, however short the run."""
    for minutes, cycles in ((0.1, 1), (10, round(600 / CYCLE_SECONDS))):
        phases = [e for e in make_schedule(5, minutes) if e.kind == "phase"]
        assert len(phases) == 3 * cycles
