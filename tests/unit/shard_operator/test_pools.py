"""What the operator serves, as events and listings tell it."""

import asyncio
from typing import Any

import pytest

from shard_operator.pools import Pools


def body(name: str, users: Any = 50, **more: Any) -> dict[str, Any]:
    """A UserShard."""
    return {
        "metadata": {"namespace": "default", "name": name, "generation": 1},
        "spec": {"scaleTargetRef": {"name": "w"}, "usersPerShard": users},
    } | more


@pytest.fixture
def wake() -> asyncio.Event:
    """Set when there is a reason to look."""
    return asyncio.Event()


def names(pools: Pools) -> list[str]:
    """The valid ones."""
    return [user_shard.name for user_shard in pools.list_valid()]


def test_a_new_and_a_changed_object_wake_the_loop_and_its_own_status_does_not(
    wake: asyncio.Event,
) -> None:
    """The operator's own writes come back as events."""
    pools = Pools(wake)
    pools.note_event(body("a"), deleted=False)
    assert wake.is_set()

    wake.clear()
    pools.note_event(body("a", status={"shards": 3}), deleted=False)
    assert not wake.is_set()

    pools.note_event(body("a", users=60), deleted=False)
    assert wake.is_set()


def test_a_deletion_missed_between_two_watches_is_seen_by_the_next_listing(
    wake: asyncio.Event,
) -> None:
    """No event ever told of it."""
    pools = Pools(wake)
    pools.replace_all([body("a"), body("b")], version=9)

    pools.replace_all([body("b")], version=9)

    assert names(pools) == ["b"]


def test_an_unreadable_object_is_kept_apart_until_it_is_mended(wake: asyncio.Event) -> None:
    """Its neighbour is served meanwhile."""
    pools = Pools(wake)
    pools.replace_all([body("a", users="many"), body("b")], version=9)
    assert names(pools) == ["b"]
    assert [problem.name for problem in pools.list_invalid()] == ["a"]

    pools.note_event(body("a"), deleted=False)

    assert sorted(names(pools)) == ["a", "b"]
    assert pools.list_invalid() == []
