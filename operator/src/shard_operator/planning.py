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

Shards weigh what their users do. Counts come first; where a balance by count leaves the weights
uneven, `weighing` exchanges shards within it, and the plan reports the gap that is left.

During a rolling update shards that must move go to updated workers only, not to one whose turn is
still to come, and nothing moves for the balance: it would be undone by the next worker replaced.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from shard_operator.weighing import Movable, Scales, even_out


@dataclass(frozen=True, slots=True)
class ShardPlacement:
    """One shard as observed. `owner` is None unless the owner's lease is alive."""

    shard: int
    desired: str | None
    owner: str | None
    weight: int = 1
    """What it asks of its worker, as `weighing` counts; never below 0."""


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
    weight_max: int = 0
    """Weight of the heaviest worker's shards once the changes are carried out."""
    weight_bound: float = 0.0
    """What no plan can be below: an even share, or the heaviest shard."""

    @property
    def moves(self) -> int:
        """How many of the changes are moves."""
        return sum(1 for change in self.changes if change.is_move)

    @property
    def gap(self) -> float:
        """By which share the heaviest worker is above the bound; 0 where there is no weight."""
        return max(0.0, self.weight_max / self.weight_bound - 1) if self.weight_bound else 0.0


def plan_assignments(
    shards: Sequence[ShardPlacement],
    workers: Sequence[str],
    *,
    leaving: Sequence[str] = (),
    outdated: Collection[str] = (),
    shards_per_worker_max: int,
    moves_max: int,
) -> AssignmentPlan:
    """Plan owners for `shards` among `workers`.

    `workers` are open: alive, neither draining nor leaving; earlier ones are preferred where it
    makes no difference. `leaving` are alive but to be emptied at the pace of `moves_max`, the last
    of them first. Whoever is in neither is gone. `outdated` are the open ones that a rolling update
    under way has yet to reach; they are sent nothing while another is open.
    """
    if not workers:
        return AssignmentPlan((), 0, len(shards), 0, overloaded=False)
    rank = {worker: place for place, worker in enumerate(workers)}
    receivers = {worker for worker in workers if worker not in outdated} or rank.keys()
    is_updating = len(receivers) < len(workers)
    gone_soon = [worker for worker in leaving if worker not in rank]
    holders = {shard.shard: _holder_of(shard, rank, gone_soon) for shard in shards}
    by_holder: dict[str | None, list[ShardPlacement]] = defaultdict(list)
    for shard in shards:
        by_holder[holders[shard.shard]].append(shard)
    held = {worker: by_holder[worker] for worker in workers}
    quotas = _quotas(held, len(shards), rank, receivers)
    room = _Room({w: len(held[w]) for w in workers}, quotas, rank)

    places = {shard.shard: worker for worker, mine in held.items() for shard in mine}
    for shard in by_holder[None]:
        places[shard.shard] = room.take(shard.owner)
    budget = moves_max - sum(_is_under_way(shard, rank) for shard in shards)
    evacuees = (shard for worker in reversed(gone_soon) for shard in by_holder[worker])
    budget, deferred = _place_at_pace(
        [*evacuees, *_surplus(held, quotas)], rank, room, places, budget
    )

    bound = _bound_of(shards, len(workers))
    scales = _weigh(shards, places, rank)
    if not deferred and not is_updating:
        movable = _movable(shards, holders, places, rank)
        heaviest_shard = max((shard.weight for shard in shards), default=0)
        even_out(scales, places, movable, bound, heaviest_shard, budget)

    load_max = max((scales.counts if is_updating else quotas).values())
    return AssignmentPlan(
        changes=tuple(
            Change(shard.shard, shard.desired, places[shard.shard], holders[shard.shard])
            for shard in sorted(shards, key=lambda shard: shard.shard)
            if shard.shard in places and places[shard.shard] != shard.desired
        ),
        deferred=deferred,
        unplaced=0,
        load_max=load_max,
        overloaded=load_max > shards_per_worker_max,
        weight_max=max(scales.weights.values()),
        weight_bound=bound,
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


def _place_at_pace(
    to_place: Sequence[ShardPlacement],
    rank: dict[str, int],
    room: "_Room",
    places: dict[int, str],
    budget: int,
) -> tuple[int, int]:
    """Give places to shards that must leave their holder, as far as the budget of hand-overs goes;
    what is left of it, and how many must wait.

    Those under way come first: one that may stay with its owner is no hand-over any more, and
    leaves its part of the budget to another now, not at the next plan.
    """
    deferred = 0
    for shard in sorted(to_place, key=lambda shard: not _is_under_way(shard, rank)):
        is_under_way = _is_under_way(shard, rank)
        is_interruption = shard.owner is not None and not is_under_way
        if is_interruption and budget <= 0:
            deferred += 1
            continue
        budget -= is_interruption
        places[shard.shard] = room.take(shard.owner)
        budget += is_under_way and places[shard.shard] == shard.owner
    return budget, deferred


def _quotas(
    held: dict[str, list[ShardPlacement]],
    total: int,
    rank: dict[str, int],
    receivers: Collection[str],
) -> dict[str, int]:
    """How many shards each open worker shall have at most; in a rolling update whoever is updated
    may have any number."""
    if len(receivers) < len(held):
        return {w: total if w in receivers else len(mine) for w, mine in held.items()}
    low, larger = divmod(total, len(held))
    by_load = sorted(held, key=lambda worker: (-len(held[worker]), rank[worker]))
    return {worker: low + (place < larger) for place, worker in enumerate(by_load)}


def _bound_of(shards: Sequence[ShardPlacement], workers: int) -> float:
    weights = [shard.weight for shard in shards]
    return max(sum(weights) / workers, max(weights, default=0))


def _weigh(
    shards: Sequence[ShardPlacement], places: Mapping[int, str], rank: dict[str, int]
) -> Scales:
    scales = Scales(rank)
    for shard in shards:
        worker = places.get(shard.shard)
        if worker is not None:
            scales.weights[worker] += shard.weight
            scales.counts[worker] += 1
    return scales


def _movable(
    shards: Sequence[ShardPlacement],
    holders: Mapping[int, str | None],
    places: Mapping[int, str],
    rank: dict[str, int],
) -> list[Movable]:
    """What may change places; only an open holder that serves a shard is a home to leave. A shard
    on its way that may stay with its owner is at home there."""
    movable = []
    for shard in shards:
        stays = places[shard.shard] == shard.owner
        holder = shard.owner if stays else holders[shard.shard]
        if stays or not _is_under_way(shard, rank):
            home = holder if shard.owner and holder in rank else None
            movable.append(Movable(shard.shard, shard.weight, home))
    return movable


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
