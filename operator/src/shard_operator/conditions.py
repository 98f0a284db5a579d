"""The five conditions of a UserShard, said from what one reconcile saw and decided.

    Ready          every shard has a living owner, so every user is served
    Progressing    shards are moving, or the worker count is on its way to another
    Degraded       users are served, but something needs a person: the reason names it
    ScalingActive  the worker count follows the backlog (False: pinned, paused, unknown, contested)
    ScalingLimited the backlog asks for another count than the one decided; the reason names the
    limit

A condition's time is the time its status last changed, as everywhere in Kubernetes; a new message
alone does not move it, and `merge_conditions` keeps it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shard_operator.errors import InvalidUserShard
from shard_operator.planning import AssignmentPlan
from shard_operator.scaling import ScalingDecision, Verdict
from shard_operator.usershard import Condition, UserShardStatus
from shard_operator.workloads import PlacementObserved, WorkersObserved

CONDITIONS = ("Ready", "Progressing", "Degraded", "ScalingActive", "ScalingLimited")

MESSAGE_CHARACTERS_MAX = 1024
"""The API allows 32,768; a person reads one sentence."""


UNOBSERVED = Verdict(False, "NotObserved", "this could not be observed")


@dataclass(frozen=True, slots=True)
class Situation:
    """What one reconcile saw and decided; None where it could not see."""

    placement: PlacementObserved | None
    workers: WorkersObserved | None
    target: str
    decision: ScalingDecision | None
    assignment: AssignmentPlan | None
    shards_per_worker_max: int


def say_conditions(situation: Situation) -> dict[str, Verdict | None]:
    """Each condition's verdict; None means Unknown."""
    scaling = situation.decision
    return {
        "Ready": _say_ready(situation),
        "Progressing": _say_progressing(situation),
        "Degraded": _say_degraded(situation),
        "ScalingActive": scaling.active if scaling else None,
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
    if ownerless:
        first = ", ".join(map(str, ownerless[:5])) + (", …" if len(ownerless) > 5 else "")
        what = f"{len(ownerless)} of {len(placement.shards)} shards have no living owner: {first}"
        return Verdict(False, "ShardsWithoutOwner", what)
    return Verdict(True, "ShardsServed", f"all {len(placement.shards)} shards have a living owner")


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
    if situation.workers is None:
        what = f"there is no {situation.target} in this namespace"
        return Verdict(True, "ScaleTargetNotFound", what)
    if situation.decision and situation.decision.active.reason in (
        "ScaleTargetContested",
        "BacklogUnknown",
    ):
        return Verdict(True, situation.decision.active.reason, situation.decision.active.message)
    if situation.assignment is None:
        return None
    if situation.assignment.overloaded:
        what = (
            f"workers carry up to {situation.assignment.load_max} shards,"
            f" shardsPerWorkerMax is {situation.shards_per_worker_max}"
        )
        return Verdict(True, "WorkersOverloaded", what)
    return Verdict(False, "AsExpected", "nothing needs a person")
