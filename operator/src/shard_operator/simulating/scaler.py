"""A scaler over time: this operator's, and whatever else a pool is put under to compare. Pure.

`PurserScaler` asks `scaling.plan_replicas` itself and keeps the history the control loop would
keep, so that what is simulated is what would be done.
"""

from dataclasses import dataclass
from typing import Protocol

from shard_operator.scaling import Backlog, ScalingHistory, WorkerCounts, plan_replicas
from shard_operator.usershard import UserShardSpec


@dataclass(frozen=True, slots=True)
class Seen:
    """What a scaler may know at one moment."""

    asked: int
    serving: int
    shards: int
    backlog: Backlog | None


@dataclass(frozen=True, slots=True)
class Decided:
    """The count, what the measurements alone asked for, and why. `limit`: ScalingLimited's reason,
    None while nothing limits."""

    replicas: int
    wanted: int
    why: str
    limit: str | None = None


class Scaler(Protocol):
    """Decides every `period_seconds`."""

    @property
    def period_seconds(self) -> float:
        """How often it looks."""

    @property
    def moves_max(self) -> int | None:
        """How many shards it moves at each look; it empties a worker before it takes it away.

        None: workers share one queue, and one that is taken away loses what it is at."""

    def decide(self, now: float, seen: Seen) -> Decided:
        """The count to ask for now."""


class PurserScaler:
    """The operator's own rule under one spec."""

    def __init__(self, spec: UserShardSpec) -> None:
        self._spec = spec
        self._history = ScalingHistory()

    @property
    def period_seconds(self) -> float:
        """The spec's."""
        return float(self._spec.scaling.poll_period_seconds)

    @property
    def moves_max(self) -> int | None:
        """The spec's."""
        return self._spec.rebalance.max_concurrent_moves

    def decide(self, now: float, seen: Seen) -> Decided:
        """Ask the rule, and remember what it wants remembered."""
        decision, self._history = plan_replicas(
            self._spec,
            WorkerCounts(seen.asked, seen.serving),
            seen.shards,
            seen.backlog,
            self._history,
            now,
        )
        why = decision.active.message
        if decision.limited.holds:
            why += f"; {decision.limited.message}"
        return Decided(
            decision.replicas,
            decision.wanted,
            why,
            decision.limited.reason if decision.limited.holds else None,
        )
