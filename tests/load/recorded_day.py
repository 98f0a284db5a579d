"""A day of arrivals, as a recording would have it: one row per ten seconds. Pure.

How busy each hour is, and how much people send, is `schedule`'s and `mix`'s; on top of that curve
come what real days have and averages lack: rushes (a channel names the bot, a minute or two of two
or three times as much) and price jumps, at which a part of the users write at once and the rest of
the quarter of an hour stays lively. Numbers per row are Poisson. The same seed gives the same day.

`python -m tests.load.recorded_day` writes the one that is kept (`traces/day.csv`); a test compares.
"""

import math
import random
from dataclasses import dataclass
from pathlib import Path

from tests.load.mix import DAY
from tests.load.schedule import DAY_CURVE, MESSAGES_PER_USER_HOUR

from shard_operator.simulating.recorded import Row, Trace

FILE = Path(__file__).parent / "traces" / "day.csv"
SEED = 1
USERS = 2_500
"""At the peak some 300 jobs a second."""

DAY_SECONDS = 86_400
STEP_SECONDS = 10
RUSHES, RUSH_SECONDS, RUSH_FACTORS = 40, (30, 180), (1.5, 3.0)
JUMPS, JUMP_SHARES, JUMP_SECONDS = 6, (0.1, 0.4), 40.0
"""Of the users that write at a jump, most do so in the first 40 s."""
LIVELY_SECONDS, LIVELY_FACTOR = 900, 1.6
NORMAL_ABOVE = 30.0
"""From this mean on a Poisson number is as good as a normal one."""


@dataclass(frozen=True, slots=True)
class _Rush:
    begin: float
    seconds: float
    factor: float


def make_day(users: int = USERS, seed: int = SEED) -> Trace:
    """A day of `users` active users."""
    chance = random.Random(seed)
    rushes = [
        _Rush(
            chance.uniform(0, DAY_SECONDS),
            chance.uniform(*RUSH_SECONDS),
            chance.uniform(*RUSH_FACTORS),
        )
        for _ in range(RUSHES)
    ]
    jumps = [
        (chance.uniform(0, DAY_SECONDS), users * chance.uniform(*JUMP_SHARES)) for _ in range(JUMPS)
    ]
    rushes += [_Rush(begin, LIVELY_SECONDS, LIVELY_FACTOR) for begin, _ in jumps]
    rows = [Row(0.0, arrivals=0)]
    for second in range(0, DAY_SECONDS, STEP_SECONDS):
        mean = users * _jobs_per_second(second + STEP_SECONDS / 2, rushes) * STEP_SECONDS
        mean += sum(
            size * (_written(second + STEP_SECONDS - begin) - _written(second - begin))
            for begin, size in jumps
        )
        rows.append(Row(float(second + STEP_SECONDS), arrivals=_poisson(chance, mean)))
    return Trace(tuple(rows), frozenset({"time_seconds", "arrivals"}))


def as_csv(trace: Trace) -> str:
    """The file's text."""
    lines = [f"{row.seconds:.0f},{row.arrivals}" for row in trace.rows]
    return "\n".join(["time_seconds,arrivals", *lines, ""])


def _jobs_per_second(second: float, rushes: list[_Rush]) -> float:
    """Of one user."""
    busiest = MESSAGES_PER_USER_HOUR / 3600 * DAY.updates_per_message
    factor = 1.0
    for rush in rushes:
        if rush.begin <= second < rush.begin + rush.seconds:
            factor = max(factor, rush.factor)
    return busiest * _curve(second) * factor


def _curve(second: float) -> float:
    """The day's curve, drawn through the middles of its steps."""
    length = DAY_SECONDS / len(DAY_CURVE)
    place, share = divmod(second / length - 0.5, 1)
    before, after = (DAY_CURVE[int(place + n) % len(DAY_CURVE)] for n in (0, 1))
    return before + (after - before) * share


def _written(seconds: float) -> float:
    """The share of those that write at a jump who have done so by then."""
    return 0.0 if seconds <= 0 else 1 - math.exp(-seconds / JUMP_SECONDS * 2)


def _poisson(chance: random.Random, mean: float) -> int:
    if mean > NORMAL_ABOVE:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    count, product, bound = 0, chance.random(), math.exp(-mean)
    while product > bound:
        count, product = count + 1, product * chance.random()
    return count


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(as_csv(make_day()))
