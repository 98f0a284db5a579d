"""Purser broken on purpose fails under chaos, and only then: the proof that chaos proves something.

Each run is a few seconds of load with the one fault that the missing part is there for. What is
broken is found at length (`long`); that the fence holds alone is a promise, and tried every time.
"""

from pathlib import Path

import pytest
from tests.chaos.run import Load, Outcome, run_chaos
from tests.chaos.sabotage import NO_DEDUPLICATION, NO_FENCE, STUBBORN
from tests.chaos.schedule import Event

pytestmark = pytest.mark.timeout(150)

LOAD = Load(users=20, users_per_shard=5, rate=6.0, seed=3)
FROZEN = [
    Event(at=0.0, kind="phase", target="rough"),
    # Long enough for the other worker to serve its shards when it wakes.
    Event(at=1.0, kind="freeze", target="purser-user-worker-0", seconds=8.0),
    # Both read the same streams, and Redis serves first who waited first: always the same one. So
    # the other stands still too, for less than its lease, and all that comes is the woken one's.
    Event(at=9.5, kind="freeze", target="purser-user-worker-1", seconds=2.5),
    Event(at=13.0, kind="phase", target="quiet"),
]
MISBEHAVING = [
    Event(at=0.0, kind="phase", target="rough"),
    Event(at=0.5, kind="telegram", seconds=6.0),
]
STALE = "no stale write is accepted"
LOST = "no acknowledged update is lost, doubled or overtaken"


async def test_the_fence_alone_stops_a_worker_that_believes_in_no_lease(tmp_path: Path) -> None:
    """It works on after it woke, and every store refuses it."""
    outcome = await _run(tmp_path, FROZEN, **STUBBORN)
    assert outcome.violations == []
    assert outcome.stale_claims_refused > 0


@pytest.mark.long
async def test_without_the_fence_stale_writes_are_found(tmp_path: Path) -> None:
    """The same worker in the same run, and the database lets everything pass."""
    outcome = await _run(tmp_path, FROZEN, NO_FENCE, **STUBBORN)
    assert STALE in _broken(outcome)


@pytest.mark.long
async def test_without_deduplication_doubled_updates_are_found(tmp_path: Path) -> None:
    """Telegram repeats what was acknowledged."""
    outcome = await _run(tmp_path, MISBEHAVING, NO_DEDUPLICATION)
    assert LOST in _broken(outcome)
    assert any("once too often" in violation.what for violation in outcome.violations)


async def _run(folder: Path, schedule: list[Event], sabotaged: str = "", **environ: str) -> Outcome:
    return await run_chaos(
        folder, LOAD, schedule, lambda line: None, sabotaged=sabotaged, **environ
    )


def _broken(outcome: Outcome) -> set[str]:
    return {violation.promise for violation in outcome.violations}
