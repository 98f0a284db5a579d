"""A ratio of two interleaved series, with the interval that says whether it means anything."""

import random
import statistics
from collections.abc import Sequence

RESAMPLES = 2_000
SEED = 7
"""Fixed, so that one series gives one interval."""


def ratio_with_interval(
    measured: Sequence[float], beside: Sequence[float], share: float = 0.5
) -> tuple[float, tuple[float, float]]:
    """The ratio of the two quantiles and its 95 % interval, by bootstrap (Efron 1979).

    `share` names the quantile: 0.5 the median. Both series must have been measured in turns.
    """
    dice = random.Random(SEED)

    def quantile(series: Sequence[float]) -> float:
        if share == 0.5:
            return statistics.median(series)
        return sorted(series)[min(len(series) - 1, int(share * len(series)))]

    ratios = sorted(
        quantile(dice.choices(measured, k=len(measured)))
        / quantile(dice.choices(beside, k=len(beside)))
        for _ in range(RESAMPLES)
    )
    low, high = ratios[int(0.025 * RESAMPLES)], ratios[int(0.975 * RESAMPLES)]
    return quantile(measured) / quantile(beside), (low, high)
