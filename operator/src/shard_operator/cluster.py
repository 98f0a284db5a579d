"""Kubernetes as the control loop's world: the StatefulSet's count, the UserShard's status, Events.

Workers are named by their pods: `<StatefulSet>-<ordinal>`, and a StatefulSet removes its highest
ordinals, so the names follow from the count without listing pods. Counts go through the `scale`
subresource, which is all the right the operator needs; the status through its own, so that nothing
here can write a spec.
"""

import os
import uuid
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from chassis.telemetry import get_logger
from shard_operator.api import FIELD_MANAGER, JsonObject, KubernetesApi, resource_path
from shard_operator.errors import ApiRefused, OperatorError
from shard_operator.usershard import (
    GROUP,
    KIND,
    PLURAL,
    VERSION,
    ScaleTarget,
    UserShard,
    UserShardStatus,
    render_status,
)
from shard_operator.workloads import WorkersObserved

EVENT_MESSAGE_CHARACTERS_MAX = 1024
"""The API server refuses longer ones."""


class Named(Protocol):
    """A UserShard, or one that could not be read."""

    @property
    def namespace(self) -> str:
        """Where it is."""

    @property
    def name(self) -> str:
        """What it is called."""


class KubernetesWorkloads:
    """The workers of a StatefulSet, as `workloads.Workloads`."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    async def observe_workers(self, namespace: str, target: ScaleTarget) -> WorkersObserved | None:
        """Read the StatefulSet; None when there is none. Raises `ApiAway`, `ApiRefused`."""
        try:
            found = await self._api.get(_path_of(namespace, target))
        except ApiRefused as refusal:
            if refusal.status == 404:
                return None
            raise
        spec, status = found["spec"], found.get("status") or {}
        asked = int(spec.get("replicas", 1))
        first = int((spec.get("ordinals") or {}).get("start", 0))
        names = tuple(f"{target.name}-{first + ordinal}" for ordinal in range(asked))
        return WorkersObserved(
            asked=asked,
            ready=int(status.get("readyReplicas", 0)),
            names=names,
            uid=found["metadata"]["uid"],
            selector=render_selector(spec.get("selector") or {}),
            outdated=_outdated(names, spec, status),
        )

    async def scale(self, namespace: str, target: ScaleTarget, replicas: int) -> None:
        """Write the count. Raises `ApiAway`, `ApiRefused`."""
        path = _path_of(namespace, target, "scale")
        await self._api.merge(path, {"spec": {"replicas": replicas}})


class KubernetesReporter:
    """Status and Events of a UserShard, as `workloads.Reporter`."""

    def __init__(self, api: KubernetesApi, identity: str) -> None:
        self._api = api
        self._identity = identity
        self._log = get_logger(__name__)

    async def write_status(self, user_shard: Named, status: UserShardStatus) -> None:
        """Replace the status. Raises `ApiAway`, `ApiRefused`; a vanished object is no error."""
        # A merge patch keeps what it does not name: what is unknown now must be removed by name.
        fields = msgspec.structs.fields(UserShardStatus)
        everything: JsonObject = {field.encode_name: None for field in fields}
        everything |= render_status(status)
        path = resource_path(
            f"{GROUP}/{VERSION}", PLURAL, user_shard.namespace, user_shard.name, "status"
        )
        try:
            await self._api.merge(path, {"status": everything})
        except ApiRefused as refusal:
            if refusal.status != 404:
                raise

    async def record_event(
        self, user_shard: UserShard, reason: str, message: str, *, warning: bool = False
    ) -> None:
        """Post an Event that `kubectl describe` shows. Never raises."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event: JsonObject = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{user_shard.name[:200]}.{uuid.uuid4().hex[:16]}",
                "namespace": user_shard.namespace,
            },
            "involvedObject": {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": KIND,
                "namespace": user_shard.namespace,
                "name": user_shard.name,
                "uid": user_shard.uid,
            },
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "message": message[:EVENT_MESSAGE_CHARACTERS_MAX],
            "action": reason,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "reportingInstance": self._identity[:128],
        }
        try:
            await self._api.create(resource_path("v1", "events", user_shard.namespace), event)
        except OperatorError as error:
            self._log.warning("event_lost", pool=user_shard.pool, reason=reason, problem=str(error))


def process_identity() -> str:
    """A name for this run of the operator: unlike any earlier one of the same pod."""
    return f"{os.uname().nodename}_{uuid.uuid4().hex[:12]}"


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


def _outdated(names: tuple[str, ...], spec: JsonObject, status: JsonObject) -> frozenset[str]:
    """Those a rolling update has yet to replace: it goes from the highest ordinal down to its
    partition."""
    strategy = spec.get("updateStrategy") or {}
    target = status.get("updateRevision")
    if strategy.get("type") == "OnDelete" or target in (None, status.get("currentRevision")):
        return frozenset()
    first = int((strategy.get("rollingUpdate") or {}).get("partition", 0))
    return frozenset(names[first : len(names) - int(status.get("updatedReplicas", 0))])


def _path_of(namespace: str, target: ScaleTarget, subresource: str | None = None) -> str:
    return resource_path("apps/v1", "statefulsets", namespace, target.name, subresource)
