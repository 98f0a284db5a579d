"""The status of a pod, computed from those of its containers. Pure."""

import datetime as dt
from collections.abc import Sequence

from tests.cluster.api import JsonObject


def timestamp() -> str:
    """Now, as Kubernetes writes it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod_phase(
    restart_policy: str, initial: Sequence[JsonObject], containers: Sequence[JsonObject]
) -> str:
    """The phase, from the statuses of the init containers and of the containers."""
    if any(_failed_for_good(status, restart_policy) for status in initial):
        return "Failed"
    if not all(exit_code(status) == 0 for status in initial):
        return "Pending"
    if not any("running" in status["state"] or _has_run(status) for status in containers):
        return "Pending"
    codes = [exit_code(status) for status in containers]
    if None in codes or restart_policy == "Always":
        return "Running"
    if all(code == 0 for code in codes):
        return "Succeeded"
    return "Failed" if restart_policy == "Never" else "Running"


def final_phase(containers: Sequence[JsonObject]) -> str:
    """The phase of a pod that was told to end and whose processes have."""
    return "Succeeded" if all(exit_code(status) in (0, None) for status in containers) else "Failed"


def exit_code(status: JsonObject) -> int | None:
    """How a container ended; None while it has not."""
    ended: JsonObject | None = status["state"].get("terminated")
    return None if ended is None else ended["exitCode"]


def pod_conditions(
    phase: str,
    initial: Sequence[JsonObject],
    containers: Sequence[JsonObject],
    before: Sequence[JsonObject],
) -> list[JsonObject]:
    """The conditions a kubelet answers for; those in `before` keep their time while they keep their
    value.
    """
    waiting = [status["name"] for status in containers if not status["ready"]]
    initialized = phase == "Succeeded" or all(exit_code(status) == 0 for status in initial)
    ready = phase == "Running" and not waiting
    if phase in ("Succeeded", "Failed"):
        reason, message = f"Pod{'Completed' if phase == 'Succeeded' else 'Failed'}", ""
    else:
        reason, message = "ContainersNotReady", f"containers with unready status: {waiting}"
    return [
        _condition("Initialized", initialized, "ContainersNotInitialized", "", before),
        _condition("ContainersReady", ready, reason, message, before),
        _condition("Ready", ready, reason, message, before),
    ]


def _condition(
    kind: str, holds: bool, reason: str, message: str, before: Sequence[JsonObject]
) -> JsonObject:
    value = str(holds)
    same = next((c for c in before if c["type"] == kind and c["status"] == value), None)
    since = same["lastTransitionTime"] if same else timestamp()
    # An explicit null takes away what a strategic merge would leave from before.
    why = {"reason": None, "message": None} if holds else {"reason": reason, "message": message}
    return {"type": kind, "status": value, "lastTransitionTime": since, **why}


def _failed_for_good(status: JsonObject, restart_policy: str) -> bool:
    return restart_policy == "Never" and exit_code(status) not in (0, None)


def _has_run(status: JsonObject) -> bool:
    return "terminated" in status["state"] or "terminated" in status["lastState"]
