"""Half a minute of chaos, one fault of each kind, judged as `make chaos` judges its long runs."""

from pathlib import Path

import pytest
from tests.chaos.run import Load, run_chaos
from tests.chaos.schedule import SMALL

pytestmark = pytest.mark.timeout(150)

LOAD = Load(users=20, users_per_shard=5, rate=5.0, seed=1, resting_per_user=1)
TRADES_FEWEST = 20
"""Fewer would say that the crowd did not trade; most runs give twice as many."""


async def test_nothing_is_lost_and_nothing_done_twice_whatever_breaks(tmp_path: Path) -> None:
    """Every promise of the checker, while everything is killed, frozen, flushed and moved."""
    outcome = await run_chaos(tmp_path, LOAD, SMALL, lambda line: None)
    assert outcome.violations == []
    assert outcome.stack_traces == []
    assert outcome.settled_seconds is not None
    assert outcome.figures.trades >= TRADES_FEWEST
    assert outcome.figures.taken_over, "no shard was taken over from a killed worker"
