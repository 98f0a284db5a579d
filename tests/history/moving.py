"""How shards moved: worked out from the samples of placement, and what no plan could do with less.

Pure. A move is a shard that another worker owns than before; one that its own worker claims again
after a restart has not moved.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.history.records import Placed, Record


@dataclass(frozen=True)
class Move:
    """One shard that changed its worker."""

    shard: int
    giver: str
    taker: str
    at: float
    """When the new owner was first seen."""
    wished_after: float
    """Before this the new owner was not wished for yet."""


def rows_by_shard(records: Sequence[Record]) -> dict[int, list[Placed]]:
    """Each shard's samples, oldest first."""
    rows: defaultdict[int, list[Placed]] = defaultdict(list)
    for record in records:
        if isinstance(record, Placed):
            rows[record.shard].append(record)
    return dict(rows)


def moves_in(records: Sequence[Record], since: float) -> list[Move]:
    """All moves that ended after this time, in their order."""
    moves = []
    for shard, rows in rows_by_shard(records).items():
        owner: str | None = None
        wished, wished_after = None, 0.0
        for row in rows:
            if row.desired_owner != wished:
                wished, wished_after = row.desired_owner, row.still_before_at or row.at
            if row.owner is None:
                continue
            if owner is not None and owner != row.owner and row.at >= since:
                moves.append(Move(shard, owner, row.owner, row.at, wished_after))
            owner = row.owner
    return sorted(moves, key=lambda move: move.at)


def held_at(records: Sequence[Record], at: float) -> Counter[str]:
    """How many shards each worker owned at this time."""
    held: Counter[str] = Counter()
    for rows in rows_by_shard(records).values():
        owner = next((row.owner for row in reversed(rows) if row.at <= at), None)
        if owner is not None:
            held[owner] += 1
    return held


def first_owned(records: Sequence[Record], worker: str, since: float) -> float | None:
    """When a worker was first seen to own a shard after this time."""
    owned = (r.at for r in records if isinstance(r, Placed) and r.owner == worker)
    return next((at for at in owned if at >= since), None)


def taken_over(records: Sequence[Record], worker: str, at: float) -> dict[int, float | None]:
    """Of each shard that a worker owned at this time: how many seconds later it was claimed anew,
    by whomever; None when it was not.
    """
    seconds: dict[int, float | None] = {}
    for shard, rows in rows_by_shard(records).items():
        before = [row for row in rows if row.at <= at]
        if not before or before[-1].owner != worker:
            continue
        later = (r for r in rows if r.epoch > before[-1].epoch and r.owner is not None)
        claimed = next(later, None)
        seconds[shard] = None if claimed is None else (claimed.seen_by or claimed.at) - at
    return seconds


def moves_needed(held: Mapping[str, int], workers: Sequence[str]) -> int:
    """The fewest moves after which these workers own every shard, balanced within one.

    Whoever is not among them gives all it has. Of the others the larger shares are left to those
    that hold most; what is above a share must move.
    """
    low, larger = divmod(sum(held.values()), len(workers))
    loads = sorted((held.get(worker, 0) for worker in workers), reverse=True)
    shares = [low + (place < larger) for place in range(len(loads))]
    surplus = sum(max(0, load - share) for load, share in zip(loads, shares, strict=True))
    return surplus + sum(count for worker, count in held.items() if worker not in workers)


def moves_needed_in_steps(held: Mapping[str, int], steps: Iterable[Sequence[str]]) -> int:
    """The same when the workers change step by step and each time everything is balanced first."""
    loads, moves = dict(held), 0
    for workers in steps:
        moves += moves_needed(loads, workers)
        low, larger = divmod(sum(loads.values()), len(workers))
        by_load = sorted(workers, key=lambda name: -loads.get(name, 0))
        loads = {name: low + (place < larger) for place, name in enumerate(by_load)}
    return moves
