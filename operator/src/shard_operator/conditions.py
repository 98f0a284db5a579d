"""The five conditions of a UserShard, said from what one reconcile saw and decided.

    Ready          every shard has a living owner, so every user is served
    Progressing    shards are moving, or the worker count is on its way to another
    Degraded       users are served, but something needs a person: the reason names it
    ScalingActive  the worker count follows the backlog (False: pinned, paused, unknown, contested)
    ScalingLimited the backlog asks for another count than the one decided; the reason names the
    limit

A condition's time is the time its status last changed, as everywhere in Kubernetes; a new message
alone does not move it, and `merge_conditions` keeps it. Of several troubles at once Degraded gives
the reason of the first, in the order of `_troubles`, and the sentences of all.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shard_operator.errors import InvalidUserShard
from shard_operator.planning import AssignmentPlan
from shard_operator.scaling import ScalingDecision, Verdict
from shard_operator.usershard import Condition, UserShardStatus
from shard_operator.workloads import PlacementObserved, PodTrouble, WorkersObserved

CONDITIONS = ("Ready", "Progressing", "Degraded", "ScalingActive", "ScalingLimited")

MESSAGE_CHARACTERS_MAX = 1024
"""The API allows 32,768; a person reads one sentence."""

SERVED_WITHIN_SECONDS = 5.0
"""A shard that changes hands has no owner for some milliseconds, one whose worker died for a few
seconds. Only what takes longer is told: alerts hang on Ready."""

PODS_NAMED_MAX = 3
"""Pods with the same trouble that a message names; of the others it says how many there are."""

UNOBSERVED = Verdict(False, "NotObserved", "this could not be observed")


@dataclass(frozen=True, slots=True)
class Overdue:
    """A shard that is asked of a worker and not given up: who has it, and since when it is
    asked."""

    shard: int
    owner: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Situation:
    """What one reconcile saw and decided; None where it could not see, and the problem then."""

    placement: PlacementObserved | None
    workers: WorkersObserved | None
    target: str
    decision: ScalingDecision | None
    assignment: AssignmentPlan | None
    shards_per_worker_max: int
    taken_by: str = ""
    """The older UserShard that has the same target."""
    target_problem: str = ""
    """Why the target could not be read."""
    placement_problem: str = ""
    """Why placement could not be read, or not be written."""
    scale_problem: str = ""
    """Why a count could not be written."""
    contested: str = ""
    """Who wrote which count, while that is left alone."""
    backlog_unknown: bool = False
    """Whether the streams, which could be asked, did not tell all."""
    overdue: tuple[Overdue, ...] = ()


def say_conditions(situation: Situation) -> dict[str, Verdict | None]:
    """Each condition's verdict; None means Unknown."""
    scaling = situation.decision
    return {
        "Ready": _say_ready(situation),
        "Progressing": _say_progressing(situation),
        "Degraded": _say_degraded(situation),
        "ScalingActive": scaling.active if scaling else _say_why_not_scaling(situation),
        "ScalingLimited": scaling.limited if scaling else None,
    }


def merge_conditions(
    previous: Sequence[Condition],
    verdicts: dict[str, Verdict | None],
    *,
    generation: int,
    now: str,
) -> tuple[Condition, ...]:
    """The conditions to write; a time changes only where a status does."""
    earlier = {condition.type: condition for condition in previous}
    merged = []
    for kind, verdict in verdicts.items():
        before = earlier.get(kind)
        status = "Unknown" if verdict is None else str(verdict.holds)
        said = verdict or UNOBSERVED
        merged.append(
            Condition(
                type=kind,
                status=status,
                reason=said.reason,
                message=said.message[:MESSAGE_CHARACTERS_MAX],
                last_transition_time=(
                    before.last_transition_time if before and before.status == status else now
                ),
                observed_generation=generation,
            )
        )
    return tuple(merged)


def say_invalid(problem: InvalidUserShard, now: str) -> UserShardStatus:
    """The status of an object that cannot be read: everything unknown but the reason."""
    verdicts: dict[str, Verdict | None] = dict.fromkeys(CONDITIONS)
    verdicts["Degraded"] = Verdict(True, "InvalidSpec", problem.problem)
    return UserShardStatus(
        observed_generation=problem.generation,
        conditions=merge_conditions((), verdicts, generation=problem.generation, now=now),
    )


def _say_ready(situation: Situation) -> Verdict | None:
    placement = situation.placement
    if placement is None:
        return None
    if not any(worker.alive for worker in placement.workers):
        return Verdict(False, "NoLiveWorker", "no worker holds a living lease; nobody is served")
    ownerless = [shard.shard for shard in placement.shards if shard.owner is None]
    waited = placement.ownerless_seconds
    unserved = [n for n in ownerless if waited.get(n, math.inf) >= SERVED_WITHIN_SECONDS]
    if unserved:
        first = ", ".join(map(str, unserved[:5])) + (", …" if len(unserved) > 5 else "")
        what = (
            f"shards without a living owner: {len(unserved)} of {len(placement.shards)} ({first})"
        )
        return Verdict(False, "ShardsWithoutOwner", what)
    served = f"{len(placement.shards) - len(ownerless)} of {len(placement.shards)}"
    what = f"every shard has a living owner ({served})"
    if ownerless:
        what = f"shards with a living owner: {served}; the others change hands"
    return Verdict(True, "ShardsServed", what)


def _say_progressing(situation: Situation) -> Verdict | None:
    if situation.placement is None or situation.decision is None or situation.workers is None:
        return None
    asked, wanted = situation.workers.asked, situation.decision.replicas
    moving = sum(
        1
        for shard in situation.placement.shards
        if shard.desired is not None and shard.desired != shard.owner
    )
    if situation.assignment is not None:
        moving = max(moving, len(situation.assignment.changes) + situation.assignment.deferred)
    if wanted < asked:
        what = f"emptying the workers above {wanted} of {asked} before they go"
        return Verdict(True, "DrainingBeforeScaleIn", what)
    if wanted > asked or situation.workers.ready < asked:
        what = f"{situation.workers.ready} of {max(wanted, asked)} workers are ready"
        return Verdict(True, "ScalingOut" if wanted > asked else "WorkersStarting", what)
    if situation.workers.ready > asked:
        what = f"{situation.workers.ready - asked} workers above {asked} are ending"
        return Verdict(True, "WorkersEnding", what)
    if moving:
        return Verdict(True, "Rebalancing", f"{moving} shards are on their way to their owner")
    what = "the workers are as decided and every shard is at its place"
    if situation.assignment is not None and situation.assignment.gap > 0:
        what += f"; the heaviest worker carries {situation.assignment.gap:.0%} more than it must"
    return Verdict(False, "Settled", what)


def _say_degraded(situation: Situation) -> Verdict | None:
    troubles = list(_troubles(situation))
    if troubles:
        return Verdict(True, troubles[0].reason, "; ".join(t.message for t in troubles))
    return Verdict(False, "AsExpected", "nothing needs a person")


def _say_why_not_scaling(situation: Situation) -> Verdict | None:
    """Without a decision the count stays; whatever stops it is a trouble too."""
    first = next(_troubles(situation), None)
    return None if first is None else Verdict(False, first.reason, first.message)


def _troubles(situation: Situation) -> Iterator[Verdict]:
    """All that needs a person, what stops most first."""
    workers = situation.workers
    if situation.taken_by:
        what = (
            f"{situation.target} belongs to the UserShard {situation.taken_by}, which is older:"
            " give this one a StatefulSet of its own"
        )
        yield Verdict(True, "ScaleTargetTaken", what)
    elif situation.target_problem:
        yield Verdict(True, "ScaleTargetUnknown", situation.target_problem)
    elif workers is None:
        what = f"there is no {situation.target} in this namespace"
        yield Verdict(True, "ScaleTargetNotFound", what)
    if situation.placement_problem:
        what = f"{situation.placement_problem}; the workers go on with what they have"
        yield Verdict(True, "PlacementAway", what)
    if situation.scale_problem:
        yield Verdict(True, "FailedUpdateScale", situation.scale_problem)
    if situation.contested:
        yield Verdict(True, "ScaleTargetContested", situation.contested)
    if situation.backlog_unknown:
        what = (
            "the backlog cannot be measured: Redis does not answer; workers find jobs in PostgreSQL"
        )
        yield Verdict(True, "BacklogUnknown", what)
    yield from _pod_troubles(workers.troubles if workers else ())
    yield from _moving_troubles(situation)
    if workers and workers.in_order:
        what = (
            f"{situation.target} has podManagementPolicy OrderedReady: one pod that does not get"
            " ready keeps all above it from coming; make it anew with Parallel"
        )
        yield Verdict(True, "PodsStartInOrder", what)


def _pod_troubles(troubles: Sequence[PodTrouble]) -> Iterator[Verdict]:
    """One sentence for each kind of trouble, with the first pods that have it."""
    by_reason: dict[str, list[PodTrouble]] = {}
    for trouble in troubles:
        by_reason.setdefault(trouble.reason, []).append(trouble)
    for reason, alike in by_reason.items():
        said = [f"{trouble.pod}: {trouble.message}" for trouble in alike[:PODS_NAMED_MAX]]
        if len(alike) > PODS_NAMED_MAX:
            said.append(f"{len(alike) - PODS_NAMED_MAX} more pods")
        yield Verdict(True, reason, ", ".join(said))


def _moving_troubles(situation: Situation) -> Iterator[Verdict]:
    if situation.overdue:
        slowest = max(situation.overdue, key=lambda overdue: overdue.seconds)
        what = (
            f"{slowest.owner} was asked for shard {slowest.shard} {slowest.seconds:.0f} s ago and"
            f" has not given it up ({len(situation.overdue)} such shards): look at its log"
        )
        yield Verdict(True, "MovesOverdue", what)
    assignment = situation.assignment
    if assignment is not None and assignment.overloaded:
        what = (
            f"workers carry up to {assignment.load_max} shards,"
            f" shardsPerWorkerMax is {situation.shards_per_worker_max}"
        )
        yield Verdict(True, "WorkersOverloaded", what)
