"""A UserShard as the rest of the operator sees it: typed, defaulted, checked.

The CRD (charts/purser-crds) is the contract and the API server enforces it; this module reads an
object that passed it and stays honest when one did not (an older CRD, a laptop's settings):
`parse_user_shard` either returns a complete value or raises `InvalidUserShard` with a sentence
naming the field. The defaults here equal the CRD's; a test compares them. `UserShardStatus` is the
status as it is written; None means "not known" and is left out.

Kubernetes writes camelCase, Python snake_case; msgspec renames between them.
"""

import enum
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec

from kernel.sharding import MalformedPool, pool_name
from shard_operator.errors import InvalidUserShard

GROUP = "purser.dev"
VERSION = "v1alpha1"
KIND = "UserShard"
PLURAL = "usershards"

WORKERS_IN_STATUS_MAX = 100
"""Workers listed in a status: the object in etcd is limited to 1.5 MB and goes to every watcher."""

_Replicas = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class Paused(enum.StrEnum):
    """Which direction of autoscaling is stopped."""

    NONE = "None"
    SCALE_IN = "ScaleIn"
    SCALE_OUT = "ScaleOut"
    ALL = "All"


class _Spec(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What all parts of a spec share: immutable, camelCase outside."""


class ScaleTarget(_Spec, frozen=True):
    """The StatefulSet whose pods are this pool's workers; in the UserShard's namespace."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    api_version: str = "apps/v1"
    kind: str = "StatefulSet"

    def __post_init__(self) -> None:
        if (self.api_version, self.kind) != ("apps/v1", "StatefulSet"):
            raise ValueError("scaleTargetRef must name an apps/v1 StatefulSet")


class WorkersPolicy(_Spec, frozen=True):
    """Bounds of the worker count and of one worker's load."""

    min_replicas: _Replicas = 2
    max_replicas: _Replicas = 20
    shards_per_worker_max: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 40

    def __post_init__(self) -> None:
        if self.min_replicas > self.max_replicas:
            raise ValueError("workers.minReplicas must not exceed workers.maxReplicas")


class ScalingPolicy(_Spec, frozen=True):
    """When to add and remove workers."""

    target_backlog_per_replica: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 100
    target_oldest_job_seconds: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 5
    poll_period_seconds: Annotated[int, msgspec.Meta(ge=1, le=60)] = 3
    scale_down_stabilization_seconds: Annotated[int, msgspec.Meta(ge=0, le=3600)] = 120
    paused: Paused = Paused.NONE


class RebalancePolicy(_Spec, frozen=True):
    """How gently shards move."""

    max_concurrent_moves: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 4
    drain_timeout_seconds: Annotated[int, msgspec.Meta(ge=1, le=600)] = 20


class UserShardSpec(_Spec, frozen=True):
    """The desired state of one pool of users."""

    scale_target_ref: ScaleTarget
    users_per_shard: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50
    accept_new_users: bool = True
    replicas: _Replicas | None = None
    workers: WorkersPolicy = WorkersPolicy()
    scaling: ScalingPolicy = ScalingPolicy()
    rebalance: RebalancePolicy = RebalancePolicy()

    def __post_init__(self) -> None:
        low, high = self.workers.min_replicas, self.workers.max_replicas
        if self.replicas is not None and not low <= self.replicas <= high:
            raise ValueError(
                f"replicas must lie between workers.minReplicas ({low}) and maxReplicas ({high})"
            )


class Condition(_Spec, frozen=True):
    """One condition, as the Kubernetes API conventions describe it."""

    type: str
    status: str
    reason: str
    message: str = ""
    last_transition_time: str = ""
    observed_generation: int = 0


class WorkerStatus(_Spec, frozen=True, omit_defaults=True):
    """One live worker: how many shards it owns and how many jobs wait or run in them."""

    name: str
    shards: int
    backlog: int | None = None


class UserShardStatus(_Spec, frozen=True, omit_defaults=True):
    """The observed state. None: not known (never 0 in its place)."""

    observed_generation: int | None = None
    replicas: int | None = None
    ready_replicas: int | None = None
    users: int | None = None
    shards: int | None = None
    backlog: int | None = None
    oldest_job_seconds: int | None = None
    selector: str | None = None
    last_scale_time: str | None = None
    workers: tuple[WorkerStatus, ...] | None = None
    conditions: tuple[Condition, ...] = ()


class UserShard(msgspec.Struct, frozen=True, kw_only=True):
    """One pool: its identity, what its author wants, and the status last seen on it."""

    namespace: str
    name: str
    spec: UserShardSpec
    uid: str = ""
    generation: int = 1
    version: int = 0
    """Of two readings of the object the greater is the younger; 0 where objects have no version."""
    created_at: str = ""
    status: UserShardStatus = UserShardStatus()

    @property
    def pool(self) -> str:
        """The pool's id, part of every shard key: `<namespace>.<name>`."""
        return pool_name(self.namespace, self.name)


def find_taken(user_shards: Iterable[UserShard]) -> dict[str, str]:
    """By pool whose target an older UserShard has: that one's name.

    A worker works for one pool, and a count has one writer. The older one has it, since its shards
    are with those workers; of two made in the same second, the first by name.
    """
    first: dict[tuple[str, str], UserShard] = {}
    taken: dict[str, str] = {}
    for user_shard in sorted(user_shards, key=lambda shard: (shard.created_at, shard.name)):
        target = (user_shard.namespace, user_shard.spec.scale_target_ref.name)
        holder = first.setdefault(target, user_shard)
        if holder is not user_shard:
            taken[user_shard.pool] = holder.name
    return taken


def parse_user_shard(body: Mapping[str, Any]) -> UserShard:
    """Read an object of the API server. Raises `InvalidUserShard`."""
    metadata = body.get("metadata") or {}
    namespace, name = str(metadata.get("namespace", "")), str(metadata.get("name", ""))
    uid, generation = str(metadata.get("uid", "")), int(metadata.get("generation", 1))
    try:
        pool_name(namespace, name)
        spec = msgspec.convert(body.get("spec", {}), UserShardSpec)
    except (MalformedPool, msgspec.ValidationError) as error:
        problem = str(error).replace("`$.", "`spec.").replace(" - at `$`", " - at `spec`")
        raise InvalidUserShard(namespace, name, problem, uid=uid, generation=generation) from error
    return UserShard(
        namespace=namespace,
        name=name,
        spec=spec,
        uid=uid,
        generation=generation,
        version=int(metadata.get("resourceVersion") or 0),
        created_at=str(metadata.get("creationTimestamp", "")),
        status=parse_status(body),
    )


def parse_status(body: Mapping[str, Any]) -> UserShardStatus:
    """The status on an object; an unreadable one counts as none, it is ours to write again."""
    try:
        return msgspec.convert(body.get("status", {}), UserShardStatus)
    except msgspec.ValidationError:
        return UserShardStatus()


def render_status(status: UserShardStatus) -> dict[str, Any]:
    """The status as JSON values, unknown fields left out."""
    rendered: dict[str, Any] = msgspec.to_builtins(status)
    return rendered
