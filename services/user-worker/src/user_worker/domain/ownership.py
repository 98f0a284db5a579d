"""Which shards to claim, hand over or drop: a pure plan from what was observed.

The operator writes wishes (`desired_owner`), workers converge on them. The plan is made anew from
what stands in the database each time, so that a missed notification, a lost answer or two operators
change nothing but the time it takes:

    held, but the database says otherwise     → Drop (at once: a newer claim exists)
    not held, but the database says it is     → Release (the answer to a claim or release was lost)
    held, wished for at another live worker   → HandOver (drain, release)
    not held, wished for here, no live owner  → TakeUp
    not held, orphaned for long enough        → TakeUp, within the soft limit

A shard wished for at a worker that is dead or draining is kept: serving beats the plan. Orphans
above the soft limit are taken only after a longer wait, one each round: some worker with room goes
first, but no shard stays unserved because everybody is full.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID
from zlib import crc32

from kernel.sharding import Claim, ShardKey


@dataclass(frozen=True, slots=True)
class ShardSeen:
    """One row of placement.shards, joined with its owner's and its desired owner's lease."""

    key: ShardKey
    epoch: int
    owner: str | None
    owner_incarnation: UUID | None
    ownerless_seconds: float | None
    """How long no live worker has owned it, in database time; None while one does."""
    desired_owner: str | None
    desired_can_own: bool
    """Whether the desired owner's lease lives and it is not draining."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What one worker needs to know of its pool."""

    worker: str
    incarnation: UUID
    shards: tuple[ShardSeen, ...]
    shards_per_worker_max: int
    """The soft limit."""
    drain_timeout_seconds: float
    """How long a shard that is handed over may go on with what runs."""


@dataclass(frozen=True, slots=True)
class OrphanRule:
    """When a shard nobody serves is taken without being asked."""

    after_seconds: float
    """Within the soft limit."""
    above_limit_after_seconds: float
    """Above the soft limit."""
    per_round_max: int
    """How many in one round, so that several workers share them."""


@dataclass(frozen=True, slots=True)
class TakeUp:
    """Claim a shard."""

    key: ShardKey


@dataclass(frozen=True, slots=True)
class HandOver:
    """Drain and release a shard."""

    key: ShardKey


@dataclass(frozen=True, slots=True)
class Release:
    """Give up a claim nobody here works under."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class Drop:
    """Stop working a shard at once: it is not ours any more."""

    key: ShardKey


Action = TakeUp | HandOver | Release | Drop


def plan_ownership(
    observed: Observed,
    held: Mapping[ShardKey, int],
    draining: frozenset[ShardKey],
    orphans: OrphanRule,
) -> list[Action]:
    """Decide what to do next.

    `held` maps each shard this worker works to the epoch of its claim, those being drained
    included; `draining` names the latter. `observed` may leave out shards that are neither this
    worker's, nor wished for here, nor without a live owner. Drops come first, then releases,
    hand-overs and claims.
    """
    seen = {shard.key: shard for shard in observed.shards}
    drops = [
        Drop(key) for key, epoch in held.items() if not _is_mine(seen.get(key), epoch, observed)
    ]
    dropped = {drop.key for drop in drops}
    hand_overs = [
        HandOver(key)
        for key in held
        if key not in dropped and key not in draining and _is_wished_elsewhere(seen[key], observed)
    ]
    releases = [
        Release(Claim(shard.key.pool, shard.key.shard, shard.epoch))
        for shard in observed.shards
        if shard.key not in held and _is_mine(shard, shard.epoch, observed)
    ]
    kept = len(held) - len(dropped) - len(draining - dropped) - len(hand_overs)
    free = [
        shard
        for shard in observed.shards
        if shard.ownerless_seconds is not None and (shard.key not in held or shard.key in dropped)
    ]
    wished = [shard.key for shard in free if shard.desired_owner == observed.worker]
    orphaned = _orphans_to_take(
        [shard for shard in free if shard.desired_owner != observed.worker],
        observed,
        orphans,
        room=observed.shards_per_worker_max - kept - len(wished),
    )
    return [*drops, *releases, *hand_overs, *(TakeUp(key) for key in [*sorted(wished), *orphaned])]


def _is_mine(shard: ShardSeen | None, epoch: int, observed: Observed) -> bool:
    return (
        shard is not None
        and shard.epoch == epoch
        and shard.owner == observed.worker
        and shard.owner_incarnation == observed.incarnation
    )


def _is_wished_elsewhere(shard: ShardSeen, observed: Observed) -> bool:
    return shard.desired_owner not in (None, observed.worker) and shard.desired_can_own


def _orphans_to_take(
    free: Iterable[ShardSeen], observed: Observed, rule: OrphanRule, room: int
) -> list[ShardKey]:
    waited = {shard.key: shard.ownerless_seconds or 0.0 for shard in free}
    ripe = [key for key, seconds in waited.items() if seconds > rule.after_seconds]
    # Each worker begins at a place of its own, so that several rarely run after the same shard.
    ripe.sort(key=lambda key: (crc32(f"{observed.worker} {key}".encode()), key))
    within = ripe[: max(0, min(room, rule.per_round_max))]
    if within:
        return within
    return [key for key in ripe if waited[key] > rule.above_limit_after_seconds][:1]
