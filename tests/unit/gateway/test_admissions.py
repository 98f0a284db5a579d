"""Where newcomers go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import plan_admissions


def test_the_first_user_of_a_pool_meets_shard_0_and_leaves_an_empty_one_ahead() -> None:
    """The shard ahead is owned by a worker before its first user comes."""
    plan = plan_admissions([], -1, 1, 50)
    assert (plan.shards, plan.make) == ((0,), (0, 1))


def test_no_newcomer_still_makes_the_empty_shard() -> None:
    """At start there is nobody yet, and a shard waits."""
    plan = plan_admissions([], -1, 0, 50)
    assert (plan.shards, plan.make) == ((), (0,))


def test_the_lowest_shard_with_room_is_filled_first() -> None:
    """Holes left below are filled before the shard ahead is touched."""
    plan = plan_admissions([(1, 49), (3, 48), (4, 0)], 4, 4, 50)
    assert (plan.shards, plan.make) == ((1, 3, 3, 4), (5,))


@pytest.mark.parametrize("users", [0, 49])
def test_nothing_is_made_while_an_empty_shard_is_left(users: int) -> None:
    """One spare is enough."""
    plan = plan_admissions([(0, users), (1, 0)], 1, 1, 50)
    assert plan.make == ()


@given(
    fill=st.lists(st.integers(0, 6), max_size=8),
    newcomers=st.integers(0, 20),
    users_per_shard=st.integers(1, 5),
)
def test_plans_never_overfill_and_always_leave_an_empty_shard(
    fill: list[int], newcomers: int, users_per_shard: int
) -> None:
    """For any directory, also one filled under a larger limit."""
    rooms = [(shard, users) for shard, users in enumerate(fill) if users < users_per_shard]
    plan = plan_admissions(rooms[: newcomers + 1], len(fill) - 1, newcomers, users_per_shard)

    users = dict(enumerate(fill)) | dict.fromkeys(plan.make, 0)
    before = dict(users)
    for shard in plan.shards:
        users[shard] += 1
    assert len(plan.shards) == newcomers
    assert all(users[shard] <= users_per_shard for shard in plan.shards)
    assert any(count == 0 for count in users.values())
    assert sorted(users) == list(range(len(users)))
    lower_with_room = [
        shard
        for shard in before
        if plan.shards and shard < max(plan.shards) and users[shard] < users_per_shard
    ]
    assert lower_with_room == []
