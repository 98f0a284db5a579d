"""How many Events may be told in a storm."""

from shard_operator.event_budget import BUCKETS_MAX, BURST_MAX, REFILL_SECONDS, EventBudget


class Clock:
    """Time that passes when told to."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_a_burst_is_told_and_then_one_in_a_while() -> None:
    """Ten at once, then one each six seconds."""
    clock = Clock()
    budget = EventBudget(clock)

    told = [budget.take("a") for _ in range(BURST_MAX + 5)]
    clock.now = REFILL_SECONDS
    later = [budget.take("a") for _ in range(3)]

    assert told == [True] * BURST_MAX + [False] * 5
    assert later == [True, False, False]


def test_a_flood_of_one_reason_withholds_no_other() -> None:
    """Each has its own."""
    budget = EventBudget(Clock())
    while budget.take(("main", "Rebalanced")):
        pass

    assert budget.take(("main", "ScaledOut"))
    assert budget.take(("other", "Rebalanced"))


def test_after_a_rest_it_is_full_again_and_no_fuller() -> None:
    """A quiet day saves nothing up."""
    clock = Clock()
    budget = EventBudget(clock)
    while budget.take("a"):
        pass
    clock.now = 86_400.0

    assert sum(budget.take("a") for _ in range(BURST_MAX * 2)) == BURST_MAX


def test_what_is_full_again_is_forgotten() -> None:
    """UserShards come and go; memory does not only grow."""
    clock = Clock()
    budget = EventBudget(clock)
    for number in range(BUCKETS_MAX):
        budget.take(number)
    clock.now = BURST_MAX * REFILL_SECONDS
    budget.take("one more")

    assert len(budget._buckets) == 1
