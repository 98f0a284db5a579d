"""What a look at the pools found, as values that can be printed as a page or as JSON. Pure.

Times are seconds before the moment of the look, by the clock of whoever keeps them: the database
for leases and shards, this machine for what Kubernetes stamped. None is unknown, or does not apply
where the field says so.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

POOLS_SHOWN_MAX = 10
WORKERS_SHOWN_MAX = 40
SHARDS_SHOWN_MAX = 20
EVENTS_SHOWN_MAX = 10
"""What is shown without `--all`: one pool in trouble fits on two screens."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator last wrote of a pool's spec, for gateways and workers."""

    users_per_shard: int
    accept_new_users: bool
    shards_per_worker_max: int
    drain_timeout_seconds: int
    written_seconds: float


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A registered run of a worker. A dead one is kept for an hour."""

    name: str
    incarnation: str
    state: Literal["alive", "draining", "dead"]
    lease_seconds_left: float
    """Below 0: for how long it has been dead."""
    registered_seconds: float
    shards: int = 0
    users: int = 0
    backlog: int | None = None


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """One shard. `owner` is who serves it; None where that worker's lease is over, or nobody's."""

    shard: int
    epoch: int
    users: int
    owner: str | None
    last_owner: str | None
    """Who is written as its owner, living or not."""
    desired: str | None
    ownerless_seconds: float | None
    """None while it has an owner, and where nobody knows since when it has none."""
    backlog: int | None = None
    oldest_seconds: float | None = None
    """None also when it has no job."""

    @property
    def is_moving(self) -> bool:
        """Whether another worker shall own it."""
        return self.owner is not None and self.desired not in (None, self.owner)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An Event of the UserShard, as kubectl shows it."""

    seconds: float | None
    type: str
    reason: str
    message: str
    count: int


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """A condition, and for how long its status has been what it is."""

    type: str
    status: str
    reason: str
    message: str
    seconds: float | None


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The StatefulSet. `updating`: a rolling update has not replaced all of its pods."""

    name: str
    asked: int
    ready: int
    updating: bool


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """The UserShard object; `problem` where its spec cannot be read."""

    namespace: str
    name: str
    generation: int
    observed_generation: int | None
    target_name: str
    pinned: int | None
    paused: str
    last_scaled_seconds: float | None
    conditions: tuple[Condition, ...]
    problem: str | None = None


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """Everything seen of one pool. None: the part that knows was not to be asked, or has none."""

    name: str
    policy: Policy | None
    declared: Declared | None = None
    target: Target | None = None
    workers: tuple[Worker, ...] = ()
    shards: tuple[Shard, ...] = ()
    events: tuple[Event, ...] | None = None
    backlog: int | None = None
    busy_shards: int | None = None
    oldest_seconds: float | None = None
    users: int = 0
    shards_total: int = 0
    workers_alive: int = 0
    workers_total: int = 0
    moving: int = 0
    ownerless: int = 0


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The operators' Lease. An empty holder: given up, nobody has taken it yet."""

    namespace: str
    name: str
    holder: str
    renewed_seconds: float | None
    acquired_seconds: float | None
    duration_seconds: int
    transitions: int


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """All that was seen. `problems`: a sentence for each part that could not be asked."""

    pools: tuple[Pool, ...]
    pools_left_out: int
    lease: Lease | None
    problems: tuple[str, ...]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for."""

    name: str | None = None
    namespace: str | None = None
    everything: bool = False
    shards: tuple[int, ...] = ()
    worker: str | None = None


def select_pools(wanted: Wanted, namespace: str, known: Iterable[str]) -> list[str]:
    """The pools that are meant: a pool's whole name, or a UserShard's in `namespace`."""
    names = sorted(set(known))
    if wanted.name is None:
        prefix = "" if wanted.namespace is None else f"{wanted.namespace}."
        return [name for name in names if name.startswith(prefix)]
    in_namespace = f"{wanted.namespace or namespace}.{wanted.name}"
    meant = [in_namespace] if in_namespace in names else []
    if not meant and wanted.namespace is None and wanted.name in names:
        meant = [wanted.name]
    return meant


def compose_pool(
    name: str,
    policy: Policy | None,
    workers: Iterable[Worker],
    shards: Iterable[Shard],
    work: Mapping[int, tuple[int, float | None]] | None,
) -> Pool:
    """Put placement and work together. `work`: jobs and the oldest one's age per shard with any;
    None: unknown."""
    seen = [_with_work(shard, work) for shard in shards]
    of_worker: dict[str, list[Shard]] = {}
    for shard in seen:
        if shard.owner is not None:
            of_worker.setdefault(shard.owner, []).append(shard)
    known = tuple(_with_shards(worker, of_worker.get(worker.name, []), work) for worker in workers)
    return Pool(
        name=name,
        policy=policy,
        workers=known,
        shards=tuple(seen),
        backlog=None if work is None else sum(jobs for jobs, _ in work.values()),
        busy_shards=None if work is None else len(work),
        oldest_seconds=max(
            (shard.oldest_seconds for shard in seen if shard.oldest_seconds is not None),
            default=None,
        ),
        users=sum(shard.users for shard in seen),
        shards_total=len(seen),
        workers_alive=sum(worker.state != "dead" for worker in known),
        workers_total=len(known),
        moving=sum(shard.is_moving for shard in seen),
        ownerless=sum(shard.owner is None for shard in seen),
    )


def limit_pool(pool: Pool, wanted: Wanted) -> Pool:
    """Leave what was asked for and can be read; the totals go on telling of all."""
    shards, workers = list(pool.shards), list(pool.workers)
    if wanted.shards:
        shards = [shard for shard in shards if shard.shard in wanted.shards]
        names = {name for shard in shards for name in (shard.last_owner, shard.desired)}
        workers = [worker for worker in workers if worker.name in names]
    if wanted.worker is not None:
        workers = [worker for worker in workers if worker.name == wanted.worker]
        shards = [shard for shard in shards if wanted.worker in (shard.last_owner, shard.desired)]
    shards.sort(key=_by_urgency)
    workers.sort(key=lambda worker: (worker.state == "alive", _natural(worker.name)))
    events = pool.events
    if not wanted.everything:
        shards, workers = shards[:SHARDS_SHOWN_MAX], workers[:WORKERS_SHOWN_MAX]
        events = None if events is None else events[:EVENTS_SHOWN_MAX]
    return msgspec.structs.replace(
        pool, shards=tuple(shards), workers=tuple(workers), events=events
    )


def _by_urgency(shard: Shard) -> tuple[int, float, int]:
    """Those nobody serves, those on the move, then those with the most work."""
    rank = 0 if shard.owner is None else 1 if shard.is_moving else 2
    return rank, -(shard.backlog or 0), shard.shard


def _natural(name: str) -> tuple[str, int]:
    """As ordinals count: worker-2 before worker-10."""
    prefix, _, ordinal = name.rpartition("-")
    return (prefix, int(ordinal)) if ordinal.isascii() and ordinal.isdigit() else (name, -1)


def _with_work(shard: Shard, work: Mapping[int, tuple[int, float | None]] | None) -> Shard:
    if work is None:
        return shard
    jobs, oldest = work.get(shard.shard, (0, None))
    return msgspec.structs.replace(shard, backlog=jobs, oldest_seconds=oldest)


def _with_shards(worker: Worker, shards: list[Shard], work: object | None) -> Worker:
    return msgspec.structs.replace(
        worker,
        shards=len(shards),
        users=sum(shard.users for shard in shards),
        backlog=None if work is None else sum(shard.backlog or 0 for shard in shards),
    )
