"""How long one placement plan takes, how many shards it moves, and how even it leaves the weights.

20,000 shards on 400 workers, in the situations that cost most. Then random histories of a small
pool (workers join, die, leave; users come): moves against the fewest that any balanced plan needs,
and, with weights, the heaviest worker against what no plan could be below.
"""

import random
import time
from collections import Counter
from dataclasses import replace

from tests.load.figures import tell
from tests.load.latency import percentile

from shard_operator.planning import AssignmentPlan, ShardPlacement, plan_assignments
from shard_operator.weighing import weight_of

SHARDS = 20_000
WORKERS = 400
HISTORIES = 300
STEPS = 40
USERS_PER_SHARD = 50


def measure_plans() -> dict[str, tuple[float, float]]:
    """Seconds per plan and the gap it leaves, by situation."""
    workers = [f"purser-user-worker-{ordinal}" for ordinal in range(WORKERS)]
    earlier = workers[: WORKERS * 9 // 10]
    dice = random.Random(1)
    users = [dice.randint(0, USERS_PER_SHARD) for _ in range(SHARDS)]
    settled = [_placed(shard, workers[shard % WORKERS]) for shard in range(SHARDS)]
    joined = [_placed(shard, earlier[shard % len(earlier)]) for shard in range(SHARDS)]
    nobody = [ShardPlacement(shard, None, None) for shard in range(SHARDS)]
    heaped = [_placed(shard, workers[shard * WORKERS // SHARDS]) for shard in range(SHARDS)]
    situations = {
        "settled": settled,
        "a tenth more workers": joined,
        "nobody owns anything": nobody,
        "nobody owns anything, 0 to 50 users": _with_users(nobody, users),
        "a tenth more workers, 0 to 50 users": _with_users(joined, users),
        "full shards on one half of the workers": _with_users(heaped, [50] * 10_000 + [0] * 10_000),
    }
    measured = {}
    for name, shards in situations.items():
        began = time.perf_counter()
        plan = plan_assignments(shards, workers, shards_per_worker_max=60, moves_max=SHARDS)
        measured[name] = time.perf_counter() - began, plan.gap
    return measured


def _placed(shard: int, worker: str) -> ShardPlacement:
    return ShardPlacement(shard, worker, worker)


def _with_users(shards: list[ShardPlacement], users: list[int]) -> list[ShardPlacement]:
    return [replace(shard, weight=weight_of(n)) for shard, n in zip(shards, users, strict=True)]


class History:
    """A pool that lives through random events; each plan is carried out before the next."""

    def __init__(self, seed: int, *, weighted: bool) -> None:
        self._dice = random.Random(seed)
        self._weighted = weighted
        self._open = [f"w-{n}" for n in range(self._dice.randint(2, 12))]
        count = self._dice.randint(len(self._open), 40 * len(self._open))
        self._shards = [ShardPlacement(n, None, None, self._weight()) for n in range(count)]
        self.moves = 0
        self.moves_bound = 0
        self.gaps: list[float] = []

    def live(self) -> None:
        """Plan after each of many events."""
        for _ in range(STEPS):
            plan = plan_assignments(
                self._shards, self._open, shards_per_worker_max=60, moves_max=10_000
            )
            self.moves += plan.moves
            self.moves_bound += fewest_moves(self._shards, self._open)
            self.gaps.append(plan.gap)
            self._carry_out(plan)
            self._happen()

    def _carry_out(self, plan: AssignmentPlan) -> None:
        for change in plan.changes:
            shard = self._shards[change.shard]
            self._shards[change.shard] = replace(shard, desired=change.desired)
        self._shards = [replace(shard, owner=shard.desired) for shard in self._shards]

    def _happen(self) -> None:
        event = self._dice.choice(("join", "die", "admit", "grow"))
        if event == "join" and len(self._open) < 20:
            self._open.append(f"w-{self._dice.randint(100, 10**9)}")
        elif event == "die" and len(self._open) > 2:
            gone = self._open.pop(self._dice.randrange(len(self._open)))
            self._shards = [
                replace(shard, owner=None) if shard.owner == gone else shard
                for shard in self._shards
            ]
        elif event == "admit":
            for _ in range(self._dice.randint(1, 5)):
                self._shards.append(ShardPlacement(len(self._shards), None, None, self._weight()))
        elif self._weighted:
            self._shards = [
                replace(shard, weight=min(weight_of(USERS_PER_SHARD), shard.weight + 5))
                if self._dice.random() < 0.1
                else shard
                for shard in self._shards
            ]

    def _weight(self) -> int:
        return weight_of(self._dice.randint(0, USERS_PER_SHARD) if self._weighted else 0)


def fewest_moves(shards: list[ShardPlacement], workers: list[str]) -> int:
    """What must leave the open holders in any balanced plan, found apart from the planner."""
    loads = Counter(shard.owner for shard in shards if shard.owner in workers)
    low, larger = divmod(len(shards), len(workers))
    ordered = sorted((loads[worker] for worker in workers), reverse=True)
    return sum(max(0, load - low - (place < larger)) for place, load in enumerate(ordered))


async def bench(_asked: object) -> bool:
    """Measure and tell; False when equal weights moved more than the bound."""
    for situation, (taken, gap) in measure_plans().items():
        tell(
            "placement plan", taken, "s",
            shards=SHARDS, workers=WORKERS, situation=situation, weight_gap=round(gap, 4),
        )  # fmt: skip
    is_least = True
    for weighted in (False, True):
        histories = [History(seed, weighted=weighted) for seed in range(HISTORIES)]
        for history in histories:
            history.live()
        moves = sum(history.moves for history in histories)
        bound = sum(history.moves_bound for history in histories)
        gaps = sorted(gap for history in histories for gap in history.gaps)
        kind = "0 to 50 users a shard" if weighted else "equal weights"
        plans = HISTORIES * STEPS
        tell(
            "moves against the fewest by count", moves / bound, "",
            moves=moves, fewest=bound, plans=plans, weights=kind,
        )  # fmt: skip
        tell(
            "weight gap", percentile(gaps, 0.5), "",
            p99=round(percentile(gaps, 0.99), 4), max=round(gaps[-1], 4), plans=plans, weights=kind,
        )  # fmt: skip
        is_least &= weighted or moves == bound
    return is_least
