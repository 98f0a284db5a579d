"""What the Kubernetes API tells of a pool: its UserShard, the StatefulSet, Events; and the Lease.

Read with the rights the operator has, so UserShards and StatefulSets are listed, not read by name.
Events are the exception: the operator only makes them, so its service account cannot show them.
"""

import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

import msgspec

from shard_operator.api import JsonObject, KubernetesApi, resource_path
from shard_operator.describing.picture import Condition, Declared, Event, Lease, Pool, Target
from shard_operator.errors import ApiAway, ApiRefused, InvalidUserShard
from shard_operator.lease import KubernetesLease
from shard_operator.usershard import GROUP, KIND, PLURAL, VERSION, parse_status, parse_user_shard

EVENTS_READ_MAX = 500
"""In one answer; the API keeps Events for an hour, so this is one every seven seconds."""

_Answer = TypeVar("_Answer")


class ClusterReader:
    """The Kubernetes API as far as it answers. What it does not tell becomes a sentence among
    `problems`; once it is away it is asked nothing more."""

    def __init__(self, api: KubernetesApi | None) -> None:
        self.problems: list[str] = []
        self._api = api

    @classmethod
    async def open(cls, stack: AsyncExitStack) -> Self:
        """Log in; a reader that knows nothing when that fails."""
        try:
            return cls(await stack.enter_async_context(KubernetesApi()))
        except (ApiAway, ApiRefused) as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001 (a kubeconfig can be wrong in any way there is)
            why = f"the credentials cannot be read: {type(error).__name__}"
        reader = cls(None)
        reader._note_away(why)
        return reader

    async def list_declared(self, namespaces: Iterable[str]) -> dict[str, Declared]:
        """The UserShards of these namespaces by the name of their pool."""
        declared: dict[str, Declared] = {}
        for namespace in sorted(namespaces):
            asked = functools.partial(list_declared, namespace=namespace)
            found = await self._ask(f"the UserShards of {namespace}", asked)
            declared |= {f"{namespace}.{name}": one for name, one in (found or {}).items()}
        return declared

    async def complete(self, pool: Pool, declared: Declared | None) -> Pool:
        """Add to the pool what the API knows of it."""
        if declared is None:
            return pool
        namespace, name = declared.namespace, declared.name
        target = None
        if declared.problem is None:
            target = await self._ask_for_one(
                f"StatefulSet {namespace}/{declared.target_name}",
                lambda api: read_target(api, declared),
            )
        events = await self._ask(
            f"the Events of {namespace}", lambda api: list_events(api, namespace, name)
        )
        return msgspec.structs.replace(pool, declared=declared, target=target, events=events)

    async def read_lease(self, namespace: str, name: str) -> Lease | None:
        """The operators' Lease."""
        return await self._ask_for_one(
            f"Lease {namespace}/{name}", lambda api: read_lease(api, namespace, name)
        )

    async def _ask_for_one(
        self, what: str, call: Callable[[KubernetesApi], Awaitable[_Answer | None]]
    ) -> _Answer | None:
        """Ask for one object; that there is none is a problem, too."""
        told = len(self.problems)
        answer = await self._ask(f"the {what}", call)
        if answer is None and self._api is not None and len(self.problems) == told:
            self.problems.append(f"There is no {what}.")
        return answer

    async def _ask(
        self, what: str, call: Callable[[KubernetesApi], Awaitable[_Answer]]
    ) -> _Answer | None:
        if self._api is None:
            return None
        try:
            return await call(self._api)
        except ApiAway as error:
            self._api = None
            self._note_away(str(error))
        except ApiRefused as refusal:
            if refusal.status == 403:
                self.problems.append(f"These credentials may not read {what}.")
            else:
                status = f"{refusal.status} {refusal.reason}"
                self.problems.append(f"The Kubernetes API does not give {what} ({status}).")
        return None

    def _note_away(self, why: str) -> None:
        what = "no UserShard, StatefulSet, Event or Lease is shown"
        self.problems.append(f"The Kubernetes API cannot be asked: {what} ({why}).")


async def list_declared(api: KubernetesApi, namespace: str) -> dict[str, Declared]:
    """The UserShards of a namespace by name. Raises `ApiAway`, `ApiRefused`."""
    listing = await api.get(resource_path(f"{GROUP}/{VERSION}", PLURAL, namespace))
    return {body["metadata"]["name"]: read_declared(body) for body in listing["items"]}


def read_declared(body: Mapping[str, Any]) -> Declared:
    """A UserShard as it is shown; one that cannot be read is shown with its problem."""
    metadata, status, problem = body["metadata"], parse_status(body), None
    pinned, paused, target = None, "None", ""
    try:
        spec = parse_user_shard(body).spec
        pinned, paused, target = spec.replicas, spec.scaling.paused, spec.scale_target_ref.name
    except InvalidUserShard as error:
        problem = error.problem
    return Declared(
        namespace=metadata["namespace"],
        name=metadata["name"],
        generation=metadata.get("generation", 1),
        observed_generation=status.observed_generation,
        target_name=target,
        pinned=pinned,
        paused=str(paused),
        last_scaled_seconds=seconds_since(status.last_scale_time),
        conditions=tuple(
            Condition(
                type=condition.type,
                status=condition.status,
                reason=condition.reason,
                message=condition.message,
                seconds=seconds_since(condition.last_transition_time),
            )
            for condition in status.conditions
        ),
        problem=problem,
    )


async def read_target(api: KubernetesApi, declared: Declared) -> Target | None:
    """The StatefulSet, None when there is none. Raises `ApiAway`, `ApiRefused`."""
    path = resource_path("apps/v1", "statefulsets", declared.namespace)
    listing = await api.get(path, fieldSelector=f"metadata.name={declared.target_name}")
    for found in listing["items"]:
        status = found.get("status") or {}
        revision = status.get("updateRevision")
        return Target(
            name=declared.target_name,
            asked=int(found["spec"].get("replicas", 1)),
            ready=int(status.get("readyReplicas", 0)),
            updating=revision is not None and revision != status.get("currentRevision"),
        )
    return None


async def list_events(api: KubernetesApi, namespace: str, name: str) -> tuple[Event, ...]:
    """The Events of a UserShard, the last first. Raises `ApiAway`, `ApiRefused`."""
    fields = f"involvedObject.kind={KIND},involvedObject.name={name}"
    path = resource_path("v1", "events", namespace)
    listing = await api.get(path, fieldSelector=fields, limit=str(EVENTS_READ_MAX))
    events = sorted(listing["items"], key=_moment_of, reverse=True)
    return tuple(_read_event(event) for event in events)


async def read_lease(api: KubernetesApi, namespace: str, name: str) -> Lease | None:
    """The operators' Lease; None when no operator has ever led. Raises `ApiAway`, `ApiRefused`."""
    found = await KubernetesLease(api, namespace, name).read()
    if found is None:
        return None
    return Lease(
        namespace=namespace,
        name=name,
        holder=found.holder,
        renewed_seconds=seconds_since(found.renewed),
        acquired_seconds=seconds_since(found.acquired),
        duration_seconds=found.duration_seconds,
        transitions=found.transitions,
    )


def seconds_since(moment: str | None) -> float | None:
    """How long ago a Kubernetes time was, by this machine's clock; None when it cannot be read."""
    try:
        then = datetime.fromisoformat(moment or "")
        return (datetime.now(UTC) - then).total_seconds()
    except (ValueError, TypeError):  # TypeError: a time without a zone
        return None


def _moment_of(event: JsonObject) -> str:
    metadata = event.get("metadata") or {}
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or metadata.get("creationTimestamp")
        or ""
    )


def _read_event(event: JsonObject) -> Event:
    return Event(
        seconds=seconds_since(_moment_of(event)),
        type=str(event.get("type") or ""),
        reason=str(event.get("reason") or ""),
        message=str(event.get("message") or ""),
        count=int((event.get("series") or {}).get("count") or event.get("count") or 1),
    )
