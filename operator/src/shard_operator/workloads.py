"""What the control loop needs from the world, as protocols and plain values.

Two worlds implement them: Kubernetes (`cluster`, `postgres`, `backlog`) and one machine's processes
(devbox). The controller sees only this module, so that it runs, and is tested, without a cluster.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shard_operator.planning import Change, ShardPlacement
from shard_operator.scaling import Backlog
from shard_operator.usershard import ScaleTarget, UserShard, UserShardStatus

OPERATOR_WRITER = "purser-operator"
"""The name under which operators write, whichever of them it is."""


@dataclass(frozen=True, slots=True)
class PodTrouble:
    """What is wrong with one pod: a condition's reason, and a sentence."""

    reason: str
    pod: str
    message: str


@dataclass(frozen=True, slots=True)
class WorkersObserved:
    """The scale target as it stands.

    `asked`: the replicas written in it; `ready`: those its world calls ready. `names`: the workers
    that `asked` stands for, in the order of their ordinals; a smaller count removes names from the
    end. `uid` changes when the target is made anew. `selector` finds its pods (empty where there
    are no pods). `outdated`: those of `names` that a rolling update under way has yet to replace.
    `troubles`: what is wrong with its pods. `in_order`: whether a worker waits for those below it.
    `writer`: whoever wrote `asked`, as its world names him; empty when that is not known.
    """

    asked: int
    ready: int
    names: tuple[str, ...]
    uid: str = ""
    selector: str = ""
    outdated: frozenset[str] = frozenset()
    troubles: tuple[PodTrouble, ...] = ()
    in_order: bool = False
    writer: str = ""


@dataclass(frozen=True, slots=True)
class WorkerLease:
    """One registered worker. `alive`: its lease is ahead; `draining`: it said that it is going;
    `seconds_left`: until the lease is over, if it is not renewed."""

    name: str
    alive: bool
    draining: bool
    seconds_left: float


@dataclass(frozen=True, slots=True)
class PlacementObserved:
    """Every shard and worker of one pool at one moment of the database."""

    shards: tuple[ShardPlacement, ...]
    workers: tuple[WorkerLease, ...]
    users: int
    """In all shards, as the gateways last told."""
    ownerless_seconds: Mapping[int, float] = field(default_factory=dict)
    """By shard without a living owner: for how long, where that is known."""

    def seconds_to_lease_end(self) -> float | None:
        """Until the first owner's lease would be over; None while nobody owns anything."""
        owners = {shard.owner for shard in self.shards}
        return min(
            (w.seconds_left for w in self.workers if w.alive and w.name in owners), default=None
        )


class Workloads(Protocol):
    """Where workers run."""

    async def observe_workers(self, namespace: str, target: ScaleTarget) -> WorkersObserved | None:
        """The target, or None when there is no such thing. Raises `TryLater`, `ApiRefused`."""

    async def scale(self, namespace: str, target: ScaleTarget, replicas: int) -> None:
        """Write the count; return when it is written, not when it is reached. Raises `TryLater`,
        `ApiRefused`."""


class PlacementStore(Protocol):
    """The tables of schema `placement`. Every method raises `PlacementAway` when it cannot
    answer."""

    async def observe_placement(self, pool: str) -> PlacementObserved:
        """Shards and workers of the pool; both empty for a pool nobody has used yet."""

    async def ensure_policy(self, user_shard: UserShard) -> bool:
        """Write what gateways and workers must know of the spec. True: something was changed."""

    async def assign(self, pool: str, changes: Sequence[Change]) -> int:
        """Write desired owners, each only if its `expected` still stands; how many were written."""

    async def forget_workers(self, pool: str) -> int:
        """Remove the workers that are long dead and own nothing; how many."""


class BacklogSource(Protocol):
    """Where the waiting and running work is measured."""

    async def measure_backlog(self, pool: str, shards: Sequence[int]) -> Backlog | None:
        """The work in these shards; None when it cannot be known now. Does not raise for
        outages."""


class Reporter(Protocol):
    """Where people look."""

    async def write_status(self, user_shard: UserShard, status: UserShardStatus) -> int | None:
        """Replace the status; the version of the object that has it, or None where objects have
        none or this one is gone. Raises `TryLater`, `ApiRefused`."""

    async def record_event(
        self, user_shard: UserShard, reason: str, message: str, *, warning: bool = False
    ) -> None:
        """Tell one decision. Never raises: an event lost is not worth a reconcile."""


def shards_by_owner(shards: Sequence[ShardPlacement]) -> Mapping[str, tuple[int, ...]]:
    """The shards each live owner has, in order."""
    owned: dict[str, list[int]] = {}
    for shard in shards:
        if shard.owner is not None:
            owned.setdefault(shard.owner, []).append(shard.shard)
    return {owner: tuple(mine) for owner, mine in owned.items()}
