"""What a simulation came to: the course of it, each step with its reason, and sums. Plain
values."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Point:
    """One decision. `backlog`, `oldest_seconds`: None is unknown, or for the age that no job is
    there. `replicas` is what was decided, `wanted` what the measurements alone asked for."""

    seconds: float
    backlog: int | None
    oldest_seconds: float | None
    replicas: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Step:
    """The count changed."""

    seconds: float
    before: int
    after: int
    why: str


@dataclass(slots=True)
class JobsOutcome:
    """What became of the jobs; in a closed loop only."""

    accepted: int = 0
    ended: int = 0
    late: int = 0
    """Those that took longer than the bound, those still there at the end included."""
    slowest_seconds: float = 0.0
    interrupted: int = 0
    """Were running in a worker that was taken away, and began again elsewhere."""
    left: int = 0
    moved: int = 0
    """How often a shard changed hands, which keeps its users waiting for a moment."""


@dataclass(slots=True)
class Outcome:
    """All of it."""

    seconds: float
    replicas_before: int
    points: list[Point] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    replica_seconds: float = 0.0
    unknown_seconds: float = 0.0
    """For how long the backlog was not known."""
    limited_seconds: dict[str, float] = field(default_factory=dict)
    """For how long ScalingLimited was true, by its reason."""
    jobs: JobsOutcome | None = None
