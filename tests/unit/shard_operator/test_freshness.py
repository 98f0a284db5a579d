"""Whether a watch still tells what happens."""

from dataclasses import dataclass, field

import pytest

from shard_operator.freshness import Freshness


@dataclass
class Clock:
    """A monotonic clock the test moves."""

    now: float = 100.0
    freshness: Freshness = field(init=False)

    def __post_init__(self) -> None:
        self.freshness = Freshness(lambda: self.now)


@pytest.fixture
def clock() -> Clock:
    """With a watch that told of `a` at version 5."""
    clock = Clock()
    clock.freshness.note_event("a", 5, deleted=False)
    return clock


def test_a_watch_that_told_all_is_fresh(clock: Clock) -> None:
    """However long nothing happens."""
    clock.freshness.note_listing({"a": 5}, version=50)
    clock.now += 3600

    assert clock.freshness.stale_seconds() == 0


def test_a_change_it_does_not_tell_of_makes_it_stale_until_it_does(clock: Clock) -> None:
    """Counted from the first listing that showed the change."""
    clock.freshness.note_listing({"a": 7}, version=50)
    clock.now += 20
    clock.freshness.note_listing({"a": 8}, version=60)
    assert clock.freshness.stale_seconds() == 20

    clock.freshness.note_event("a", 7, deleted=False)
    assert clock.freshness.stale_seconds() == 20
    clock.freshness.note_event("a", 8, deleted=False)
    assert clock.freshness.stale_seconds() == 0


@pytest.mark.parametrize("key", ["a", "new"])
def test_an_object_it_never_told_of_or_whose_deletion_it_missed(clock: Clock, key: str) -> None:
    """No event comes for a deletion in the gap between two watches."""
    clock.freshness.note_listing({"a": 5, "new": 6} if key == "new" else {}, version=50)
    clock.now += 5

    assert clock.freshness.stale_seconds() == 5


def test_an_object_younger_than_the_listing_is_not_missed(clock: Clock) -> None:
    """The watch was faster."""
    clock.freshness.note_event("b", 51, deleted=False)
    clock.freshness.note_listing({"a": 5}, version=50)

    assert clock.freshness.stale_seconds() == 0


def test_a_watch_begun_anew_must_tell_what_the_old_one_missed(clock: Clock) -> None:
    """But not of deletions: it tells of what is there."""
    clock.freshness.note_event("gone", 4, deleted=False)
    clock.freshness.note_listing({"a": 7}, version=50)
    clock.now += 5

    clock.freshness.begin_anew()
    assert clock.freshness.stale_seconds() == 5
    clock.freshness.note_event("a", 7, deleted=False)
    assert clock.freshness.stale_seconds() == 0
