"""Which worker shall own which shard: a pure function from what is to what shall be.

The holder of a shard is the worker it is promised to (its desired owner) or, failing that, the one
that owns it, if that worker may stay. Quotas differ by at most one, and the larger quotas go to the
workers that hold most: then the shards above a quota are exactly the moves no balanced plan can
avoid (`sum(max(0, held - quota))` is least when the larger quotas meet the larger loads).
Everything below a quota takes what is without a holder, what is leaving, and those surplus shards.
So a plan is complete, balanced within one, changes nothing when applied twice, and never moves a
shard that an optimal plan would have left alone (tests/unit/shard_operator/test_planning.py
computes that bound by trying every assignment).

Two things are urgent and never wait: a shard nobody holds, and a shard whose holder is going by
itself. Moves away from a worker that serves are interruptions and are paced: at most `moves_max`
hand-overs under way at once. The limit of shards per worker is soft: serving beats it, and the plan
says so (`overloaded`).
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ShardPlacement:
    """One shard as observed. `owner` is None unless the owner's lease is alive."""

    shard: int
    desired: str | None
    owner: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """Write `desired` if `expected` still stands; `holder` is who gives the shard up, if anyone."""

    shard: int
    expected: str | None
    desired: str
    holder: str | None

    @property
    def is_move(self) -> bool:
        """Whether one worker gives the shard to another (not: placed, or its owner confirmed)."""
        return self.holder is not None and self.holder != self.desired


@dataclass(frozen=True, slots=True)
class AssignmentPlan:
    """What to write, and what the plan could not or would not do yet."""

    changes: tuple[Change, ...]
    deferred: int
    """Moves that wait until fewer hand-overs are under way."""
    unplaced: int
    """Shards nobody can be asked to own: no worker is open."""
    load_max: int
    """Shards of the fullest worker once the plan is carried out."""
    overloaded: bool
    """Whether `load_max` exceeds the (soft) limit per worker."""

    @property
    def moves(self) -> int:
        """How many of the changes are moves."""
        return sum(1 for change in self.changes if change.is_move)


def plan_assignments(
    shards: Sequence[ShardPlacement],
    workers: Sequence[str],
    *,
    leaving: Collection[str] = (),
    shards_per_worker_max: int,
    moves_max: int,
) -> AssignmentPlan:
    """Plan owners for `shards` among `workers`.

    `workers` are open: alive, neither draining nor leaving; earlier ones are preferred where it
    makes no difference. `leaving` are alive but to be emptied at the pace of `moves_max`. Whoever
    is in neither is gone.
    """
    if not workers:
        return AssignmentPlan((), 0, len(shards), 0, overloaded=False)
    rank = {worker: place for place, worker in enumerate(workers)}
    gone_soon = frozenset(leaving) - rank.keys()
    holders = {shard.shard: _holder_of(shard, rank, gone_soon) for shard in shards}
    held: dict[str, list[ShardPlacement]] = {worker: [] for worker in workers}
    homeless: list[ShardPlacement] = []
    evacuees: list[ShardPlacement] = []
    for shard in shards:
        holder = holders[shard.shard]
        if holder is None:
            homeless.append(shard)
        elif holder in rank:
            held[holder].append(shard)
        else:
            evacuees.append(shard)
    quotas = _quotas(held, len(shards), rank)
    room = _Room({w: len(mine) for w, mine in held.items()}, quotas, rank)

    changes = [
        Change(shard.shard, shard.desired, holder, holder)
        for shard in shards
        if (holder := holders[shard.shard]) in rank and shard.desired != holder
    ]
    changes += [Change(s.shard, s.desired, room.take(s.owner), None) for s in homeless]
    budget = moves_max - sum(_is_under_way(shard, rank) for shard in shards)
    deferred = 0
    for shard in (*evacuees, *_surplus(held, quotas)):
        is_interruption = shard.owner is not None and not _is_under_way(shard, rank)
        if is_interruption and budget <= 0:
            deferred += 1
            continue
        budget -= is_interruption
        receiver = room.take(shard.owner)
        changes.append(Change(shard.shard, shard.desired, receiver, holders[shard.shard]))

    load_max = max(quotas.values())
    return AssignmentPlan(
        changes=_last_per_shard(changes),
        deferred=deferred,
        unplaced=0,
        load_max=load_max,
        overloaded=load_max > shards_per_worker_max,
    )


def _holder_of(
    shard: ShardPlacement, open_workers: Collection[str], leaving: Collection[str]
) -> str | None:
    for candidates in (open_workers, leaving):
        for name in (shard.desired, shard.owner):
            if name is not None and name in candidates:
                return name
    return None


def _is_under_way(shard: ShardPlacement, open_workers: Collection[str]) -> bool:
    """Whether a hand-over of this shard was already asked for and is not over."""
    return (
        shard.owner is not None and shard.desired != shard.owner and shard.desired in open_workers
    )


def _quotas(
    held: dict[str, list[ShardPlacement]], total: int, rank: dict[str, int]
) -> dict[str, int]:
    low, larger = divmod(total, len(held))
    by_load = sorted(held, key=lambda worker: (-len(held[worker]), rank[worker]))
    return {worker: low + (place < larger) for place, worker in enumerate(by_load)}


def _surplus(held: dict[str, list[ShardPlacement]], quotas: dict[str, int]) -> list[ShardPlacement]:
    """What is above its holder's quota: the fullest worker's first, unserved before served."""
    donors: dict[int, list[ShardPlacement]] = defaultdict(list)
    for worker, mine in held.items():
        excess = len(mine) - quotas[worker]
        if excess > 0:
            mine.sort(key=lambda shard: (shard.owner == worker, -shard.shard))
            for given, shard in enumerate(mine[:excess]):
                donors[len(mine) - given].append(shard)
    return [shard for load in sorted(donors, reverse=True) for shard in donors[load]]


class _Room:
    """The workers below their quota; hands out the emptiest first."""

    def __init__(self, loads: dict[str, int], quotas: dict[str, int], rank: dict[str, int]) -> None:
        self._free = Counter({w: quotas[w] - loads[w] for w in loads if quotas[w] > loads[w]})
        self._heap = [(-free, rank[worker], worker) for worker, free in self._free.items()]
        heapq.heapify(self._heap)

    def take(self, preferred: str | None) -> str:
        """One place: the preferred worker's if it has one, else the emptiest worker's.

        Deficits sum to exactly the shards without a final holder, so there is always a place.
        """
        if preferred is not None and self._free[preferred] > 0:
            self._free[preferred] -= 1
            return preferred
        while True:
            noted, place, worker = heapq.heappop(self._heap)
            free = self._free[worker]
            if free != -noted:  # taken by preference meanwhile
                if free > 0:
                    heapq.heappush(self._heap, (-free, place, worker))
                continue
            self._free[worker] = free - 1
            if free > 1:
                heapq.heappush(self._heap, (1 - free, place, worker))
            return worker


def _last_per_shard(changes: Sequence[Change]) -> tuple[Change, ...]:
    """A shard may be confirmed to its owner and then moved: the later word counts."""
    final = {change.shard: change for change in changes}
    return tuple(final[shard] for shard in sorted(final))
