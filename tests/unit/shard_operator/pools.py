"""A pool's shards as the planner sees them, written to and converged on as workers and time do."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from hypothesis import strategies as st

from shard_operator.planning import AssignmentPlan, ShardPlacement

UNLIMITED = 1_000_000
NAMES = ("w-0", "w-1", "w-2", "w-3", "dead-7")


def apply(shards: list[ShardPlacement], plan: AssignmentPlan) -> list[ShardPlacement]:
    """The placement once the plan is written and nobody has converged yet."""
    desired = {change.shard: change.desired for change in plan.changes}
    return [replace(s, desired=desired.get(s.shard, s.desired)) for s in shards]


def converge(shards: list[ShardPlacement]) -> list[ShardPlacement]:
    """The placement once every desired owner has claimed its shards."""
    return [replace(s, owner=s.desired or s.owner) for s in shards]


@st.composite
def placements(
    draw: st.DrawFn, shards_max: int = 40, weights: st.SearchStrategy[int] | None = None
) -> list[ShardPlacement]:
    """Any placement a crash, a scaling or an impatient person could leave behind."""
    name = st.one_of(st.none(), st.sampled_from(NAMES))
    count = draw(st.integers(0, shards_max))
    weight = st.just(1) if weights is None else weights
    return [ShardPlacement(number, draw(name), draw(name), draw(weight)) for number in range(count)]


def settled(loads: Sequence[Sequence[int]]) -> list[ShardPlacement]:
    """Workers w-0, w-1, … who serve shards of these weights."""
    shards = [
        (f"w-{ordinal}", weight) for ordinal, weights in enumerate(loads) for weight in weights
    ]
    return [ShardPlacement(n, name, name, weight) for n, (name, weight) in enumerate(shards)]


def least_moves(shards: list[ShardPlacement], workers: list[str]) -> int:
    """The fewest shards any complete, balanced assignment takes from an open holder."""
    best = UNLIMITED
    for assignment in product(workers, repeat=len(shards)):
        loads = Counter(assignment)
        if max(loads[w] for w in workers) - min(loads[w] for w in workers) > 1:
            continue
        taken = 0
        for shard, receiver in zip(shards, assignment, strict=True):
            holder = shard.desired if shard.desired in workers else shard.owner
            taken += holder in workers and holder != receiver
        best = min(best, taken)
    return best
