"""A day's arrivals under this operator's scaler and under KEDA with its HPA, side by side.

Closed loop in `simulating.pool_model`: the same arrivals, workers and start of pods; what waits
follows from each scaler's own decisions. Ours is the default UserShard, which moves a few shards at
each look and empties a worker before it goes; KEDA has the same target and bounds, shares one queue
among its workers at once and takes them away whatever they are at. What is modelled in its favour:
its metric is never stale by more than it is configured to be, and an interrupted job begins again
at once.

Each day is told for the defaults of KEDA and for settings somebody might choose in their place.
`--picture` draws an hour of the first day: the workers there were, and those the arrivals needed.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.load.charts import Axis, Line, chart
from tests.load.figures import tell
from tests.load.keda import KedaScaler, ScaledObject
from tests.load.recorded_day import STEP_SECONDS, USERS, make_day

from shard_operator.simulating.outcome import JobsOutcome, Outcome
from shard_operator.simulating.pool_model import PoolFigures
from shard_operator.simulating.recorded import Trace
from shard_operator.simulating.replay import replay_closed
from shard_operator.simulating.scaler import PurserScaler, Scaler
from shard_operator.usershard import ScaleTarget, UserShardSpec

SHARDS = 100
START_SECONDS = 15.0
LATE_SECONDS = 5.0
REPLICAS_BEFORE = 2


@dataclass(frozen=True, slots=True)
class World:
    """One day with one kind of worker. Users are as many as make the same number of workers
    busy."""

    seed: int
    rate: float
    job_seconds: float

    def figures(self) -> PoolFigures:
        """The pool."""
        return PoolFigures(self.rate, self.job_seconds, START_SECONDS, SHARDS, LATE_SECONDS)

    def day(self) -> Trace:
        """What comes in."""
        return make_day(round(USERS * self.rate / DEFAULT_RATE), self.seed)


DEFAULT_RATE = 40.0
"""Jobs a second of a worker with a quarter of a core: a job takes some 6 ms of one."""
DEFAULT_JOB_SECONDS = 0.1
"""What a trade takes at rest."""

WORLDS = (
    *(World(seed, DEFAULT_RATE, DEFAULT_JOB_SECONDS) for seed in (1, 2, 3)),
    # Waits for exchanges for long; slower; faster.
    World(1, DEFAULT_RATE, 2.0),
    World(1, 20.0, 0.5),
    World(1, 160.0, 0.1),
)


def purser() -> PurserScaler:
    """The default UserShard."""
    return PurserScaler(UserShardSpec(scale_target_ref=ScaleTarget(name="w")))


OURS, THEIRS = "purser", "keda"
SCALERS: dict[str, Callable[[], Scaler]] = {
    OURS: purser,
    THEIRS: lambda: KedaScaler(ScaledObject()),
    "keda, cached metrics": lambda: KedaScaler(ScaledObject(caches_metrics=True)),
    "keda, sync every 5 s": lambda: KedaScaler(ScaledObject(sync_seconds=5.0)),
    "keda, window of 120 s": lambda: KedaScaler(ScaledObject(down_window_seconds=120.0)),
    "keda, target 25": lambda: KedaScaler(ScaledObject(target=25.0)),
}

PICTURE_BEGIN_SECONDS, PICTURE_SECONDS = 68_000.0, 3600.0
"""A part of the evening with two rushes in it."""


async def bench(asked: argparse.Namespace) -> bool:
    """Measure and tell; False when ours was not better in both than KEDA's defaults on a day."""
    is_better = True
    for world in WORLDS:
        day = world.day()
        seen = {name: run(day, make(), world) for name, make in SCALERS.items()}
        for name, outcome in seen.items():
            _tell(world, name, outcome)
        is_better &= is_better_in_both(seen[OURS], seen[THEIRS])
    if asked.picture is not None:
        draw(asked.picture)
    return is_better


def run(day: Trace, scaler: Scaler, world: World) -> Outcome:
    """One day under one scaler."""
    return replay_closed(day, scaler, world.figures(), REPLICAS_BEFORE)


def draw(file: Path) -> None:
    """Write the picture."""
    world = WORLDS[0]
    day = world.day()
    end = PICTURE_BEGIN_SECONDS + PICTURE_SECONDS
    shown = [row for row in day.rows if PICTURE_BEGIN_SECONDS <= row.seconds <= end]
    needed = [
        (_minute(row.seconds), (row.arrivals or 0) / STEP_SECONDS / world.rate) for row in shown
    ]
    lines = [
        Line("needed", needed, 2),
        Line("Purser", _stairs(run(day, SCALERS[OURS](), world)), 1),
        Line("KEDA and HPA", _stairs(run(day, SCALERS[THEIRS](), world)), 0),
    ]
    title = "Workers in an hour of the evening, and those the arrivals need"
    across = Axis("minutes", 0, PICTURE_SECONDS / 60)
    file.write_text(chart(title, across, Axis("workers", 0, 25), lines))


def _stairs(outcome: Outcome) -> list[tuple[float, float]]:
    """The count's corners within the picture."""
    end = PICTURE_BEGIN_SECONDS + PICTURE_SECONDS
    stairs: list[tuple[float, float]] = []
    for point in outcome.points:
        if PICTURE_BEGIN_SECONDS <= point.seconds <= end:
            if stairs and stairs[-1][1] != point.replicas:
                stairs.append((_minute(point.seconds), stairs[-1][1]))
            if not stairs or stairs[-1][1] != point.replicas:
                stairs.append((_minute(point.seconds), float(point.replicas)))
    return [*stairs, (PICTURE_SECONDS / 60, stairs[-1][1])]


def _minute(seconds: float) -> float:
    return (seconds - PICTURE_BEGIN_SECONDS) / 60


def _tell(world: World, name: str, outcome: Outcome) -> None:
    jobs = _jobs(outcome)
    how = {
        "scaler": name,
        "day": world.seed,
        "worker_jobs_per_second": world.rate,
        "job_seconds": world.job_seconds,
    }
    tell(
        "replica-minutes of a day", outcome.replica_seconds / 60, "replica-minutes",
        **how, steps=len(outcome.steps), fewest_possible=round(jobs.accepted / world.rate / 60),
    )  # fmt: skip
    tell(
        f"jobs older than {LATE_SECONDS:g} s", _late(outcome), "%",
        **how, jobs=jobs.accepted, slowest_seconds=round(jobs.slowest_seconds, 1),
        interrupted=jobs.interrupted, shards_moved=jobs.moved,
    )  # fmt: skip


def is_better_in_both(ours: Outcome, theirs: Outcome) -> bool:
    """Fewer replica-minutes and fewer late jobs."""
    return ours.replica_seconds < theirs.replica_seconds and _late(ours) < _late(theirs)


def _late(outcome: Outcome) -> float:
    jobs = _jobs(outcome)
    return 100 * jobs.late / max(1, jobs.accepted)


def _jobs(outcome: Outcome) -> JobsOutcome:
    if outcome.jobs is None:
        raise AssertionError("a closed loop tells of jobs")
    return outcome.jobs
