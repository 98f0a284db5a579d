"""KEDA's and the HPA's formulas against the worked examples of their own documentation."""

from itertools import pairwise

import pytest
from tests.load.keda import (
    KedaScaler,
    ScaledObject,
    ScalingPolicy,
    desired_replicas,
    scale_down_limit,
    scale_up_limit,
    stabilized,
)

from shard_operator.scaling import Backlog
from shard_operator.simulating.scaler import Seen

DEFAULTS = ScaledObject()


def seen(jobs: int | None, asked: int) -> Seen:
    """So many jobs."""
    backlog = None if jobs is None else Backlog({0: jobs} if jobs else {}, {}, 0.0)
    return Seen(asked, asked, 100, backlog)


@pytest.mark.parametrize(
    ("average", "expected"),
    [(200, 6), (50, 2), (100, 3), (109, 3), (91, 3), (112, 4), (88, 3)],
)
def test_the_ratio_of_value_and_target_scales_the_count(average: int, expected: int) -> None:
    """ "If the current metric value is 200m, and the desired value is 100m, the number of replicas
    will be doubled"; at 50m it is halved; within 0.1 of 1.0 nothing is done."""
    assert expected == desired_replicas(average * 3, 100, 3)


def test_a_queue_of_30_with_a_target_of_10_is_three_pods() -> None:
    """KEDA's example of queueLength, of every queue's scaler."""
    assert 3 == desired_replicas(30, 10, 1)


def test_the_policy_that_allows_most_is_chosen_when_shrinking() -> None:
    """The documentation's example: from 80 towards 10 by 10 % or 4 pods a minute. "During the first
    step 8 replicas will be reduced. In the next iteration when the number of replicas is 72, 10% of
    the pods is 7.2 but the number is rounded up to 8 … When the number of replicas falls below 40
    the first policy is applied and 4 replicas will be reduced at a time."""
    policies = (ScalingPolicy("Pods", 4, 60), ScalingPolicy("Percent", 10, 60))
    counts = [80]
    while counts[-1] > 10:
        counts.append(max(10, scale_down_limit([counts[-1]] * 2, policies)))

    assert [80, 72, 64] == counts[:3]
    below = [count for count in counts if count < 40]
    assert {4} == {more - fewer for more, fewer in pairwise(below[:-1])}


@pytest.mark.parametrize(("current", "expected"), [(1, 5), (2, 6), (4, 8), (5, 10), (8, 16)])
def test_by_default_four_pods_or_a_doubling_are_added(current: int, expected: int) -> None:
    """ "4 pods or a 100% of the currently running replicas will be added every 15 seconds"."""
    assert expected == scale_up_limit([current] * 2, DEFAULTS.up_policies)


def test_by_default_all_pods_may_go_at_once() -> None:
    """ "100% of the currently running replicas"; the bounds come after it."""
    assert 0 == scale_down_limit([17], DEFAULTS.down_policies)


def test_shrinking_goes_to_the_highest_state_of_the_last_five_minutes() -> None:
    """ "All desired states from the past 5 minutes will be considered", and growing waits for
    none."""
    earlier = [(0.0, 9), (100.0, 7), (200.0, 4)]

    assert 9 == stabilized(12, 2, earlier, 299.0, 300.0)
    assert 7 == stabilized(12, 2, earlier, 300.0, 300.0)
    assert 5 == stabilized(5, 2, earlier, 300.0, 300.0)
    assert 14 == stabilized(12, 14, earlier, 300.0, 300.0)


def test_it_grows_at_the_pace_of_the_policies_up_to_the_bound() -> None:
    """2 → 6 → 12 → 20, a sync each."""
    scaler, asked, counts = KedaScaler(DEFAULTS), 2, []
    for sync in range(4):
        asked = scaler.decide(15.0 * sync, seen(5000, asked)).replicas
        counts.append(asked)

    assert [6, 12, 20, 20] == counts


def test_it_shrinks_once_the_window_is_over() -> None:
    """Down to the minimum at once."""
    scaler, asked, counts = KedaScaler(DEFAULTS), 2, {}
    for sync in range(30):
        jobs = 1000 if sync == 0 else 0
        asked = scaler.decide(15.0 * sync, seen(jobs, asked)).replicas
        counts[15 * sync] = asked

    assert (6, 6, 2) == (counts[0], counts[285], counts[300])


def test_a_metric_that_cannot_be_fetched_skips_scaling() -> None:
    """ "Scaling is skipped"."""
    assert 7 == KedaScaler(DEFAULTS).decide(0.0, seen(None, 7)).replicas


def test_cached_metrics_are_as_old_as_the_polling_interval() -> None:
    """useCachedMetrics: the sync in between sees what KEDA polled."""
    scaler = KedaScaler(ScaledObject(caches_metrics=True))

    assert 2 == scaler.decide(0.0, seen(0, 2)).replicas
    assert 2 == scaler.decide(15.0, seen(500, 2)).replicas
    assert 5 == scaler.decide(30.0, seen(500, 2)).replicas
