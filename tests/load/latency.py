"""Percentiles of latencies, and how sure one can be of them. Pure."""

import math
import random
from collections.abc import Sequence

RESAMPLES = 200
"""Of the bootstrap: enough for a 95 % interval with two digits."""


def percentile(ordered: Sequence[float], share: float) -> float:
    """Give the value that `share` of the ordered values do not exceed (nearest rank); NaN of
    none."""
    if not ordered:
        return math.nan
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def interval(values: Sequence[float], share: float, seed: int) -> tuple[float, float]:
    """Give the 95 % interval of a percentile by the bootstrap (Efron 1979): the percentile of
    samples drawn anew from the values, their middle 95 %. NaNs of none.
    """
    if not values:
        return math.nan, math.nan
    chance = random.Random(seed)
    found = sorted(
        percentile(sorted(chance.choices(values, k=len(values))), share) for _ in range(RESAMPLES)
    )
    return percentile(found, 0.025), percentile(found, 0.975)
