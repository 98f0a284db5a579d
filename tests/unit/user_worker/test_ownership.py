"""Which shards to claim, hand over or drop."""

from uuid import UUID

import hypothesis.strategies as st
from hypothesis import given, settings

from kernel.sharding import Claim, ShardKey
from user_worker.domain.ownership import (
    Action,
    Drop,
    HandOver,
    Observed,
    OrphanRule,
    Release,
    ShardSeen,
    TakeUp,
    plan_ownership,
)

ME, OTHER = "purser-user-worker-0", "purser-user-worker-1"
RUN, OLD_RUN = UUID(int=1), UUID(int=2)
RULE = OrphanRule(after_seconds=3.0, above_limit_after_seconds=10.0, per_round_max=2)


def key(shard: int) -> ShardKey:
    """Name a shard."""
    return ShardKey("default.main", shard)


def seen(
    shard: int,
    *,
    owner: str | None = None,
    run: UUID | None = None,
    epoch: int = 1,
    ownerless: float | None = None,
    desired: str | None = None,
    desired_can_own: bool = True,
) -> ShardSeen:
    """See a shard, without a live owner when `ownerless` says since when."""
    return ShardSeen(
        key(shard), epoch, owner, run, ownerless, desired, bool(desired) and desired_can_own
    )


def mine(shard: int, *, desired: str | None = ME, desired_can_own: bool = True) -> ShardSeen:
    """See a shard this run owns."""
    return seen(shard, owner=ME, run=RUN, desired=desired, desired_can_own=desired_can_own)


def plan(
    *shards: ShardSeen,
    held: dict[int, int] | None = None,
    draining: frozenset[int] = frozenset(),
    limit: int = 40,
) -> list[Action]:
    """Plan for this worker."""
    return plan_ownership(
        Observed(ME, RUN, shards, limit, 20.0),
        {key(shard): epoch for shard, epoch in (held or {}).items()},
        frozenset(key(shard) for shard in draining),
        RULE,
    )


def test_a_free_shard_wished_for_here_is_claimed_at_once() -> None:
    """No waiting when the operator has spoken."""
    assert [TakeUp(key(7))] == plan(seen(7, ownerless=0.0, desired=ME))


def test_a_shard_with_a_live_owner_is_left_alone() -> None:
    """The old owner drains it first; taking it would only raise errors."""
    assert [] == plan(seen(7, owner=OTHER, run=OLD_RUN, desired=ME))


def test_my_own_earlier_run_leaves_its_shards_to_me() -> None:
    """After a crash the same name comes back with another incarnation."""
    shard = seen(7, owner=ME, run=OLD_RUN, ownerless=float("inf"), desired=ME)

    assert [TakeUp(key(7))] == plan(shard)


def test_a_held_shard_that_stays_wished_for_here_needs_nothing() -> None:
    """The plan of a settled world is empty."""
    assert [] == plan(mine(7), held={7: 1})


def test_a_shard_wished_for_at_a_live_worker_is_handed_over_once() -> None:
    """A drain under way is not begun again."""
    shard = mine(7, desired=OTHER)

    assert [HandOver(key(7))] == plan(shard, held={7: 1})
    assert [] == plan(shard, held={7: 1}, draining=frozenset({7}))


def test_a_shard_wished_for_at_a_dead_worker_is_kept() -> None:
    """Serving beats the plan."""
    assert [] == plan(mine(7, desired=OTHER, desired_can_own=False), held={7: 1})
    assert [] == plan(mine(7, desired=None), held={7: 1})


def test_a_shard_that_is_not_mine_any_more_is_dropped() -> None:
    """Another owner, another epoch, another run, or no row at all."""
    assert [Drop(key(7))] == plan(held={7: 1})
    assert [Drop(key(7))] == plan(seen(7, owner=OTHER, run=RUN), held={7: 1})
    assert [Drop(key(7))] == plan(seen(7, owner=ME, run=OLD_RUN), held={7: 1})
    assert [Drop(key(7))] == plan(seen(7, owner=ME, run=RUN, epoch=2), held={7: 1})


def test_a_claim_whose_answer_was_lost_is_released() -> None:
    """The database says mine but nothing works it: nobody would, while this run lives."""
    shard = seen(7, owner=ME, run=RUN, epoch=5, desired=ME)

    assert [Release(Claim("default.main", 7, 5))] == plan(shard)


def test_orphans_are_taken_after_their_time_a_few_each_round() -> None:
    """The data plane does not wait for the operator, and workers share what is left."""
    young = seen(1, ownerless=2.9)
    ripe = [seen(shard, ownerless=3.1) for shard in (2, 3, 4)]

    taken = plan(young, *ripe)
    assert 2 == len(taken)
    assert {TakeUp(key(shard)) for shard in (2, 3, 4)} > set(taken)


def test_orphans_wished_for_elsewhere_are_taken_too() -> None:
    """A desired owner that does not come is no reason to leave users alone."""
    assert [TakeUp(key(2))] == plan(seen(2, ownerless=3.1, desired=OTHER))


def test_a_full_worker_takes_orphans_late_and_one_by_one() -> None:
    """Some worker with room goes first, but serving beats the limit."""
    full = {5: 1}
    ripe = [seen(shard, ownerless=3.1) for shard in (2, 3)]
    late = [seen(shard, ownerless=10.1) for shard in (2, 3)]

    assert [] == plan(mine(5), *ripe, held=full, limit=1)
    assert 1 == len(plan(mine(5), *late, held=full, limit=1))


def test_what_is_wished_for_here_is_claimed_above_the_limit() -> None:
    """The limit is the operator's to keep; here it is soft."""
    assert [TakeUp(key(2))] == plan(
        mine(5), seen(2, ownerless=0.0, desired=ME), held={5: 1}, limit=1
    )


class Model:
    """placement's rules in memory: two live workers, one dead; a round is a second."""

    LIVE = (ME, OTHER)

    def __init__(self, desired: list[str | None], owners: list[str | None], limit: int) -> None:
        self.desired = desired
        self.owners: list[str | None] = [o if o in self.LIVE else None for o in owners]
        self.ownerless = [0.0] * len(desired)
        self.epochs = [1] * len(desired)
        self.limit = limit

    def plan(self, worker: str) -> list[Action]:
        """Let one worker observe and plan; it works exactly what it owns."""
        shards = tuple(
            ShardSeen(
                key(number),
                self.epochs[number],
                owner,
                RUN if owner else None,
                None if owner else self.ownerless[number],
                self.desired[number],
                self.desired[number] in self.LIVE,
            )
            for number, owner in enumerate(self.owners)
            if owner == worker or owner is None or self.desired[number] == worker
        )
        held = {
            key(number): self.epochs[number]
            for number, owner in enumerate(self.owners)
            if owner == worker
        }
        return plan_ownership(
            Observed(worker, RUN, shards, self.limit, 20.0), held, frozenset(), RULE
        )

    def apply(self, worker: str, actions: list[Action]) -> None:
        """Do what a plan says, as the database would allow it."""
        for action in actions:
            match action:
                case TakeUp(shard_key):
                    number = shard_key.shard
                    if self.owners[number] is None:
                        self.owners[number] = worker
                        self.epochs[number] += 1
                case HandOver(shard_key):
                    self.owners[shard_key.shard] = None
                    self.ownerless[shard_key.shard] = 0.0
                case other:
                    raise AssertionError(f"nothing is lost here, so why {other}?")

    def round(self) -> None:
        """Both workers look at the same state, then act one after the other."""
        plans = [(worker, self.plan(worker)) for worker in self.LIVE]
        for worker, actions in plans:
            self.apply(worker, actions)
        self.ownerless = [seconds + 1.0 for seconds in self.ownerless]


_wishes = st.sampled_from([ME, OTHER, "a dead worker", None])


@settings(deadline=None)
@given(st.lists(st.tuples(_wishes, _wishes), min_size=1, max_size=12), st.integers(1, 6))
def test_any_wishes_are_met_and_then_nothing_moves(
    shards: list[tuple[str | None, str | None]], limit: int
) -> None:
    """Whatever the operator wished and whoever owned before: all are served, and it settles."""
    model = Model([desired for desired, _ in shards], [owner for _, owner in shards], limit)
    for _ in range(14 + len(shards)):
        model.round()

    assert None not in model.owners
    for desired, owner in zip(model.desired, model.owners, strict=True):
        assert desired == owner or desired not in Model.LIVE
    assert [[], []] == [model.plan(worker) for worker in Model.LIVE]
