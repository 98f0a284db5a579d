"""How long one placement plan takes.

20,000 shards on 400 workers, in the three situations that cost most.
"""

import time

from tests.load.figures import tell

from shard_operator.planning import ShardPlacement, plan_assignments

SHARDS = 20_000
WORKERS = 400


def measure_plans() -> dict[str, float]:
    """Seconds per plan, by situation."""
    workers = [f"purser-user-worker-{ordinal}" for ordinal in range(WORKERS)]
    earlier = workers[: WORKERS * 9 // 10]
    situations = {
        "settled": [_placed(shard, workers[shard % WORKERS]) for shard in range(SHARDS)],
        "a tenth more workers": [
            _placed(shard, earlier[shard % len(earlier)]) for shard in range(SHARDS)
        ],
        "nobody owns anything": [ShardPlacement(shard, None, None) for shard in range(SHARDS)],
    }
    seconds = {}
    for name, shards in situations.items():
        began = time.perf_counter()
        plan_assignments(shards, workers, shards_per_worker_max=60, moves_max=SHARDS)
        seconds[name] = time.perf_counter() - began
    return seconds


def _placed(shard: int, worker: str) -> ShardPlacement:
    return ShardPlacement(shard, worker, worker)


async def bench(_asked: object) -> bool:
    """Measure and tell."""
    for situation, taken in measure_plans().items():
        tell("placement plan", taken, "s", shards=SHARDS, workers=WORKERS, situation=situation)
    return True
