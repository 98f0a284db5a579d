"""What is told as Events: each decision with its reason and figures, each trouble when it begins
and when it is over. Pure.

Troubles are told by what changed between two statuses, so another operator that takes over does not
tell again what the status says already.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from shard_operator.planning import AssignmentPlan
from shard_operator.scaling import ScalingDecision
from shard_operator.usershard import Condition, UserShardStatus


@dataclass(frozen=True, slots=True)
class Told:
    """One Event: a reason in CamelCase, a sentence, and whether it is a warning."""

    reason: str
    message: str
    warning: bool = False


def tell_scaled(before: int, after: int, decision: ScalingDecision) -> Told:
    """The count was written."""
    reason = "ScaledOut" if after > before else "ScaledIn"
    return Told(reason, f"{before} to {after} workers: {_why(decision)}")


def tell_draining(asked: int, decision: ScalingDecision) -> Told:
    """Fewer workers are wanted, and those that will go have shards."""
    what = f"emptying the workers above {decision.replicas} of {asked} before they go"
    return Told("Draining", f"{what}: {_why(decision)}")


def tell_rebalanced(assignment: AssignmentPlan, written: int) -> Told:
    """Desired owners were written."""
    what = (
        f"shards assigned: {written}, of them moved from a worker that serves them:"
        f" {assignment.moves}, still to move: {assignment.deferred}"
    )
    return Told("Rebalanced", what)


def tell_changes(before: UserShardStatus, after: UserShardStatus) -> Iterator[Told]:
    """What a person would want to be woken for, or to read in the morning."""
    was, now = _by_type(before), _by_type(after)
    if (degraded := now.get("Degraded")) is not None:
        reason_before = was["Degraded"].reason if _is(was, "Degraded", "True") else ""
        if degraded.status == "True" and degraded.reason != reason_before:
            yield Told(degraded.reason, degraded.message, warning=True)
        if degraded.status == "False" and reason_before:
            yield Told("Recovered", f"{reason_before} is over")
    if (ready := now.get("Ready")) is not None:
        if ready.status == "False" and _is(was, "Ready", "True"):
            yield Told(ready.reason, ready.message, warning=True)
        if ready.status == "True" and not _is(was, "Ready", "True"):
            yield Told(ready.reason, ready.message)
    active = now.get("ScalingActive")
    if active is not None and "ScalingActive" in was and active.status != "Unknown":
        is_other = active.reason != was["ScalingActive"].reason
        if is_other and (active.reason in ("Pinned", "Paused") or active.status == "True"):
            yield Told(active.reason, active.message)


def _why(decision: ScalingDecision) -> str:
    if decision.limited.holds:
        return f"{decision.active.message}; {decision.limited.message}"
    return decision.active.message


def _by_type(status: UserShardStatus) -> dict[str, Condition]:
    return {condition.type: condition for condition in status.conditions}


def _is(conditions: dict[str, Condition], kind: str, status: str) -> bool:
    return kind in conditions and conditions[kind].status == status
