"""What one reconcile tells people: a status composed from what was seen and decided.

Figures that change by themselves from second to second (backlog, ages, messages quoting them) are
told apart from decisions by `without_figures`, so that a status is written at once for the latter
and seldom for the former.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from shard_operator.conditions import Overdue, Situation, merge_conditions, say_conditions
from shard_operator.planning import AssignmentPlan
from shard_operator.scaling import Backlog, ScalingDecision
from shard_operator.usershard import (
    WORKERS_IN_STATUS_MAX,
    UserShard,
    UserShardStatus,
    WorkerStatus,
)
from shard_operator.workloads import PlacementObserved, WorkersObserved, shards_by_owner


@dataclass(frozen=True, slots=True)
class Observation:
    """One pool's world at one moment; None where it could not be seen, or is not there."""

    workers: WorkersObserved | None
    placement: PlacementObserved | None
    backlog: Backlog | None
    taken_by: str = ""
    """The older UserShard that has the same target: this one must leave it alone."""
    target_problem: str = ""
    placement_problem: str = ""
    contested: str = ""
    """Who wrote which count, while that is left alone."""
    overdue: tuple[Overdue, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """What one round decided."""

    decision: ScalingDecision | None
    assignment: AssignmentPlan | None
    scale_to: int | None
    """The count to write now: on the way in it trails the decision until workers are empty."""
    scale_problem: str = ""
    """Why the count could not be written."""
    placement_problem: str = ""
    """Why placement, which could be read, could not be written: nothing was decided."""


def say_status(
    user_shard: UserShard,
    seen: Observation,
    plan: PoolPlan,
    *,
    previous: UserShardStatus,
    last_scale_time: str | None,
    now: str,
) -> UserShardStatus:
    """Compose the status; `previous` lends the times of conditions that did not change."""
    target = user_shard.spec.scale_target_ref
    situation = Situation(
        placement=seen.placement,
        workers=seen.workers,
        target=f"{target.kind} {target.name}",
        decision=plan.decision,
        assignment=plan.assignment,
        shards_per_worker_max=user_shard.spec.workers.shards_per_worker_max,
        taken_by=seen.taken_by,
        target_problem=seen.target_problem,
        placement_problem=seen.placement_problem or plan.placement_problem,
        scale_problem=plan.scale_problem,
        contested=seen.contested,
        backlog_unknown=seen.placement is not None and seen.backlog is None,
        overdue=seen.overdue,
    )
    oldest = seen.backlog.oldest_seconds if seen.backlog else None
    return UserShardStatus(
        observed_generation=user_shard.generation,
        replicas=seen.workers.asked if seen.workers else None,
        ready_replicas=seen.workers.ready if seen.workers else None,
        users=seen.placement.users if seen.placement else None,
        shards=len(seen.placement.shards) if seen.placement else None,
        backlog=seen.backlog.jobs if seen.backlog else None,
        oldest_job_seconds=None if oldest is None else int(oldest),
        selector=seen.workers.selector or None if seen.workers else None,
        last_scale_time=last_scale_time or user_shard.status.last_scale_time,
        workers=None if seen.placement is None else _say_workers(seen.placement, seen.backlog),
        conditions=merge_conditions(
            previous.conditions,
            say_conditions(situation),
            generation=user_shard.generation,
            now=now,
        ),
    )


def without_figures(status: UserShardStatus) -> UserShardStatus:
    """The status without what changes by itself from second to second."""
    conditions = tuple(msgspec.structs.replace(c, message="") for c in status.conditions)
    workers = status.workers and tuple(
        msgspec.structs.replace(worker, backlog=None) for worker in status.workers
    )
    return msgspec.structs.replace(
        status,
        users=None,
        backlog=None,
        oldest_job_seconds=None,
        conditions=conditions,
        workers=workers,
    )


def _say_workers(placement: PlacementObserved, backlog: Backlog | None) -> tuple[WorkerStatus, ...]:
    owned = shards_by_owner(placement.shards)
    alive = sorted(worker.name for worker in placement.workers if worker.alive)
    return tuple(
        WorkerStatus(
            name=name,
            shards=len(owned.get(name, ())),
            backlog=None if backlog is None else _sum(backlog.depths, owned.get(name, ())),
        )
        for name in alive[:WORKERS_IN_STATUS_MAX]
    )


def _sum(depths: Mapping[int, int], shards: Sequence[int]) -> int:
    return sum(depths.get(shard, 0) for shard in shards)
