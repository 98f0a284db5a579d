"""StatefulSets and their pods as the operator reads them. Pure: from the API's JSON to values.

Little of either is kept, since every pod of a namespace passes by. What a person must be told of a
pod is decided here, in the words that `kubectl get pods` shows: it cannot be scheduled, it does not
start, it starts again and again, it is not ready, it does not go.

Workers are named by their pods, `<StatefulSet>-<ordinal>`, and a StatefulSet removes its highest
ordinals; so the names follow from the count, also those of pods that are not there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from shard_operator.workloads import PodTrouble, WorkersObserved

REVISION_LABEL = "controller-revision-hash"
"""Which template a pod was made from; the StatefulSet controller sets it."""

NOT_READY_AFTER_SECONDS = 60.0
"""A worker is ready a few seconds after its pod is bound; images are pulled meanwhile."""

STUCK_AFTER_SECONDS = 15.0
"""A pod goes when its grace period is over; a kubelet that is slow needs a little longer."""

WAITING_TO_START = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""The reasons of a waiting container that do not pass by themselves."""

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TargetSeen:
    """A StatefulSet."""

    uid: str
    version: int
    asked: int
    ready: int
    first_ordinal: int
    selector: str
    revision: str
    """The template of new pods."""
    replaced_from: int | None
    """The ordinal down to which a rolling update under way replaces pods; None when none is."""
    in_order: bool
    """Whether a pod waits for the ones below it to be ready (OrderedReady)."""
    writer: str
    """Whoever wrote the count last, as managedFields names it."""


@dataclass(frozen=True, slots=True)
class PodSeen:
    """A pod of a StatefulSet."""

    name: str
    version: int
    owner_uid: str
    revision: str
    gone_by: datetime | None
    """When its grace period is over, once it was told to go."""
    not_ready_since: datetime | None
    trouble: PodTrouble | None
    """What is wrong with it whatever the time."""


def read_target(body: JsonObject) -> TargetSeen:
    """Read a StatefulSet."""
    spec, status, metadata = body["spec"], body.get("status") or {}, body["metadata"]
    first = int((spec.get("ordinals") or {}).get("start", 0))
    strategy = spec.get("updateStrategy") or {}
    revision = str(status.get("updateRevision") or "")
    by_hand = strategy.get("type") == "OnDelete"
    is_updating = revision != str(status.get("currentRevision") or revision) and not by_hand
    partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    return TargetSeen(
        uid=str(metadata["uid"]),
        version=version_of(body),
        asked=int(spec.get("replicas", 1)),
        ready=int(status.get("readyReplicas") or 0),
        first_ordinal=first,
        selector=render_selector(spec.get("selector") or {}),
        revision=revision,
        # A partition counts replicas, not ordinals.
        replaced_from=first + partition if is_updating else None,
        in_order=spec.get("podManagementPolicy", "OrderedReady") == "OrderedReady",
        writer=_writer_of_replicas(metadata.get("managedFields") or ()),
    )


def read_pod(body: JsonObject) -> PodSeen | None:
    """Read a pod; None unless a StatefulSet made it."""
    metadata = body["metadata"]
    owner = next(
        (
            reference
            for reference in metadata.get("ownerReferences") or ()
            if reference.get("kind") == "StatefulSet" and reference.get("controller")
        ),
        None,
    )
    if owner is None:
        return None
    status = body.get("status") or {}
    conditions = {str(c.get("type")): c for c in status.get("conditions") or ()}
    ready = conditions.get("Ready") or {}
    is_ready = ready.get("status") == "True"
    name = str(metadata["name"])
    return PodSeen(
        name=name,
        version=version_of(body),
        owner_uid=str(owner["uid"]),
        revision=str((metadata.get("labels") or {}).get(REVISION_LABEL, "")),
        gone_by=_time_or_none(metadata.get("deletionTimestamp")),
        not_ready_since=None if is_ready else _time_or_none(ready.get("lastTransitionTime")),
        trouble=None if is_ready else _trouble_of(name, status, conditions),
    )


def observe(
    name: str, target: TargetSeen, pods: Iterable[PodSeen], now: datetime
) -> WorkersObserved:
    """Put a StatefulSet called `name` and its pods together, as they are at `now`."""
    mine = sorted((pod for pod in pods if pod.owner_uid == target.uid), key=_place)
    names = tuple(f"{name}-{target.first_ordinal + n}" for n in range(target.asked))
    return WorkersObserved(
        asked=target.asked,
        ready=target.ready,
        names=names,
        uid=target.uid,
        selector=target.selector,
        outdated=_outdated(target, mine).intersection(names),
        troubles=tuple(trouble for pod in mine if (trouble := _trouble_at(pod, now))),
        in_order=target.in_order,
        writer=target.writer,
    )


def version_of(body: JsonObject) -> int:
    """An object's resourceVersion: of two, the greater is the younger.

    https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
    """
    return int(body["metadata"].get("resourceVersion") or 0)


def render_selector(selector: JsonObject) -> str:
    """A label selector in the form `kubectl get -l` takes, which the scale subresource needs."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for term in selector.get("matchExpressions") or []:
        key, values = term["key"], ",".join(term.get("values") or [])
        match term["operator"]:
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(parts)


def with_count(target: TargetSeen, asked: int, version: int, writer: str) -> TargetSeen:
    """The StatefulSet after its count was written, before a watch has told of it."""
    return replace(target, asked=asked, version=version, writer=writer)


def _outdated(target: TargetSeen, pods: Iterable[PodSeen]) -> frozenset[str]:
    """Those a rolling update has yet to replace; the ones below its partition stay as they are."""
    if target.replaced_from is None:
        return frozenset()
    return frozenset(
        pod.name
        for pod in pods
        if pod.revision != target.revision and _ordinal(pod.name) >= target.replaced_from
    )


def _trouble_of(
    name: str, status: JsonObject, conditions: dict[str, JsonObject]
) -> PodTrouble | None:
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return PodTrouble("PodUnschedulable", name, str(scheduled.get("message") or ""))
    containers = [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
    for container in containers:
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, message = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
        if reason == "CrashLoopBackOff":
            return PodTrouble("PodCrashLooping", name, _say_crashes(container))
        if reason in WAITING_TO_START:
            return PodTrouble("PodNotStarting", name, f"{reason}: {message}".rstrip(": "))
    return None


def _say_crashes(container: JsonObject) -> str:
    ended = (container.get("lastState") or {}).get("terminated") or {}
    what = f"{container.get('restartCount', 0)} restarts"
    if "exitCode" in ended:
        what += f", the last exit status {ended['exitCode']} ({ended.get('reason') or 'Error'})"
    return what


def _trouble_at(pod: PodSeen, now: datetime) -> PodTrouble | None:
    if pod.gone_by is not None:
        late = (now - pod.gone_by).total_seconds()
        if late < STUCK_AFTER_SECONDS:
            return None
        what = "it was to be gone by then; look at its node, its finalizers and its processes"
        return PodTrouble("PodStuckTerminating", pod.name, f"{_say_time(pod.gone_by)}: {what}")
    if pod.trouble is not None or pod.not_ready_since is None:
        return pod.trouble
    if (now - pod.not_ready_since).total_seconds() < NOT_READY_AFTER_SECONDS:
        return None
    return PodTrouble("PodNotReady", pod.name, f"not ready since {_say_time(pod.not_ready_since)}")


def _writer_of_replicas(managed: Sequence[JsonObject]) -> str:
    writers = [
        (str(entry.get("time") or ""), str(entry.get("manager") or ""))
        for entry in managed
        if "f:replicas" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return max(writers, default=("", ""))[1]


def _place(pod: PodSeen) -> tuple[int, str]:
    return _ordinal(pod.name), pod.name


def _ordinal(pod_name: str) -> int:
    tail = pod_name.rpartition("-")[2]
    return int(tail) if tail.isdecimal() else 0


def _time_or_none(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def _say_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
