"""What the samples of placement say of shards that moved."""

from tests.history.moving import (
    Move,
    first_owned,
    held_at,
    moves_in,
    moves_needed,
    moves_needed_in_steps,
    taken_over,
)
from tests.history.records import Phase, Placed, Record


def placed(
    at: float, shard: int, owner: str | None, epoch: int, desired: str | None = None
) -> Placed:
    """A sample; the one before was asked for a tenth of a second earlier."""
    return Placed(
        at=at,
        shard=shard,
        owner=owner,
        incarnation=owner,
        epoch=epoch,
        desired_owner=desired or owner,
        still_before_at=at - 0.1,
    )


HISTORY: list[Record] = [
    placed(0.0, 0, "a", 1),
    placed(0.0, 1, "a", 1),
    placed(0.0, 2, "b", 1),
    Phase(0.5, "whatever"),
    placed(0.9, 0, "a", 1, "b"),
    placed(1.0, 0, None, 1, "b"),
    placed(2.0, 0, "b", 2),
    placed(3.0, 1, None, 1),
    placed(4.0, 1, "a", 2),
]


def test_a_move_is_a_change_of_the_owner_and_a_restart_is_none() -> None:
    """Shard 1 was without an owner and went back to it. Shard 0 was wished for elsewhere first."""
    assert moves_in(HISTORY, 0.0) == [Move(0, "a", "b", 2.0, 0.8)]


def test_moves_count_from_when_they_ended() -> None:
    """One that ended before is another's."""
    assert moves_in(HISTORY, 2.5) == []


def test_what_a_worker_held_is_what_was_seen_then() -> None:
    """Nobody holds a shard that is on its way."""
    assert held_at(HISTORY, 0.5) == {"a": 2, "b": 1}
    assert held_at(HISTORY, 1.5) == {"a": 1, "b": 1}
    assert held_at(HISTORY, 9.0) == {"a": 1, "b": 2}


def test_a_worker_owns_from_its_first_shard_on() -> None:
    """After the given time."""
    assert first_owned(HISTORY, "b", 1.0) == 2.0
    assert first_owned(HISTORY, "c", 0.0) is None


def test_a_shard_is_taken_over_by_the_next_claim_or_not_at_all() -> None:
    """By whomever, its own worker included."""
    assert taken_over(HISTORY, "a", 0.5) == {0: 1.5, 1: 3.5}
    assert taken_over(HISTORY, "b", 0.5) == {2: None}
    assert taken_over(HISTORY, "c", 0.5) == {}


def test_the_fewest_moves_leave_the_larger_shares_to_those_who_hold_most() -> None:
    """Seven shards on three workers are 3, 2, 2."""
    assert moves_needed({"a": 4, "b": 3}, ["a", "b", "c"]) == 2
    assert moves_needed({"a": 3, "b": 2, "c": 2}, ["a", "b", "c"]) == 0


def test_whoever_goes_gives_everything() -> None:
    """And nobody else gives anything."""
    assert moves_needed({"a": 3, "b": 3, "c": 3}, ["a", "b"]) == 3


def test_step_by_step_more_may_have_to_move() -> None:
    """Two workers become four at once with six moves of twelve, one after the other with seven."""
    held = {"a": 6, "b": 6}
    assert moves_needed(held, ["a", "b", "c", "d"]) == 6
    assert moves_needed_in_steps(held, [["a", "b", "c"], ["a", "b", "c", "d"]]) == 7
