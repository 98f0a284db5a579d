"""The scaler against KEDA and its HPA on the day that is kept: the figures may move, not the
order."""

import pytest
from tests.load.bench_scaling import OURS, SCALERS, THEIRS, WORLDS, is_better_in_both, run
from tests.load.recorded_day import FILE

from shard_operator.simulating.recorded import parse_trace


@pytest.mark.long
def test_it_is_better_in_both_than_the_defaults_of_keda() -> None:
    """Fewer replica-minutes and fewer late jobs, with no job interrupted."""
    day = parse_trace(FILE.read_text().splitlines())
    ours, theirs = (run(day, SCALERS[name](), WORLDS[0]) for name in (OURS, THEIRS))

    assert is_better_in_both(ours, theirs)
    assert ours.jobs is not None
    assert theirs.jobs is not None
    assert 0 == ours.jobs.interrupted < theirs.jobs.interrupted
