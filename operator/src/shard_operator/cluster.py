"""Kubernetes as the control loop's world: the StatefulSet's count, the UserShard's status, Events.

StatefulSets and pods are read from what the watches told (`cluster_view`). Counts go through the
`scale` subresource, which is all the right the operator needs; the status through its own, so that
nothing here can write a spec.
"""

import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from chassis.telemetry import get_logger
from shard_operator.api import FIELD_MANAGER, JsonObject, KubernetesApi, resource_path
from shard_operator.cluster_view import ClusterView
from shard_operator.errors import ApiAway, ApiRefused, OperatorError
from shard_operator.event_budget import EventBudget
from shard_operator.stateful_sets import observe, version_of
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
from shard_operator.workloads import PodTrouble, WorkersObserved

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

    def __init__(
        self,
        api: KubernetesApi,
        view: ClusterView,
        wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._view = view
        self._wall_clock = wall_clock

    async def observe_workers(self, namespace: str, target: ScaleTarget) -> WorkersObserved | None:
        """The StatefulSet and its pods; None when there is none. Raises `ApiAway`, `ApiRefused`."""
        targets, pods = self._view.targets, self._view.pods
        if targets.refused:
            raise ApiRefused(403, "Forbidden", targets.refused)
        if not targets.is_listed:
            raise ApiAway("StatefulSets could not be listed yet")
        found = targets.get((namespace, target.name))
        if found is None:
            return None
        seen = observe(target.name, found, pods.in_namespace(namespace), self._wall_clock())
        if pods.refused:
            trouble = PodTrouble("PodsUnknown", "its pods", pods.refused)
            return replace(seen, troubles=(trouble,))
        return seen

    async def scale(self, namespace: str, target: ScaleTarget, replicas: int) -> None:
        """Write the count. Raises `ApiAway`, `ApiRefused`."""
        path = resource_path("apps/v1", "statefulsets", namespace, target.name, "scale")
        written = await self._api.merge(path, {"spec": {"replicas": replicas}})
        key = (namespace, target.name)
        self._view.note_scaled(key, replicas, version_of(written), FIELD_MANAGER)


class KubernetesReporter:
    """Status and Events of a UserShard, as `workloads.Reporter`."""

    def __init__(self, api: KubernetesApi, identity: str) -> None:
        self._api = api
        self._identity = identity
        self._budget = EventBudget()
        self._log = get_logger(__name__)

    async def write_status(self, user_shard: Named, status: UserShardStatus) -> int | None:
        """Replace the status; the version of the object with it, None when it is gone. Raises
        `ApiAway`, `ApiRefused`."""
        # A merge patch keeps what it does not name: what is unknown now must be removed by name.
        fields = msgspec.structs.fields(UserShardStatus)
        everything: JsonObject = {field.encode_name: None for field in fields}
        everything |= render_status(status)
        path = resource_path(
            f"{GROUP}/{VERSION}", PLURAL, user_shard.namespace, user_shard.name, "status"
        )
        try:
            return version_of(await self._api.merge(path, {"status": everything}))
        except ApiRefused as refusal:
            if refusal.status != 404:
                raise
            return None

    async def record_event(
        self, user_shard: UserShard, reason: str, message: str, *, warning: bool = False
    ) -> None:
        """Post an Event that `kubectl describe` shows, if the budget has room. Never raises."""
        if not self._budget.take((user_shard.namespace, user_shard.name, reason)):
            return
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
