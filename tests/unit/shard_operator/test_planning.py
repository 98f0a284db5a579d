"""The planner's promises as properties; the least moves are found by trying every assignment."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.shard_operator.pools import (
    NAMES,
    UNLIMITED,
    apply,
    converge,
    least_moves,
    placements,
)

from shard_operator.planning import AssignmentPlan, ShardPlacement, plan_assignments


def workers_of(count: int) -> list[str]:
    """The first `count` workers."""
    return list(NAMES[:count])


def plan(
    shards: list[ShardPlacement], workers: list[str], moves_max: int = UNLIMITED, **more: object
) -> AssignmentPlan:
    """Plan with a limit per worker nobody reaches."""
    return plan_assignments(
        shards,
        workers,
        leaving=more.get("leaving", ()),  # type: ignore[arg-type]
        outdated=more.get("outdated", ()),  # type: ignore[arg-type]
        shards_per_worker_max=1000,
        moves_max=moves_max,
    )


@given(placements(), st.integers(1, 4))
def test_every_shard_gets_an_open_worker_and_loads_differ_by_one_at_most(
    shards: list[ShardPlacement], count: int
) -> None:
    """Complete and balanced."""
    workers = workers_of(count)

    after = apply(shards, plan(shards, workers))

    assert {shard.desired for shard in after} <= set(workers)
    loads = Counter(shard.desired for shard in after)
    assert max(loads.values(), default=0) - min((loads[w] for w in workers), default=0) <= 1


@given(placements(), st.integers(1, 4))
def test_planning_again_changes_nothing(shards: list[ShardPlacement], count: int) -> None:
    """Idempotent, both before the workers have converged and after."""
    workers = workers_of(count)

    written = apply(shards, plan(shards, workers))

    assert plan(written, workers).changes == ()
    assert plan(converge(written), workers).changes == ()


@settings(max_examples=150, deadline=None)
@given(placements(shards_max=6), st.integers(1, 4))
def test_no_plan_moves_fewer(shards: list[ShardPlacement], count: int) -> None:
    """The plan takes exactly as many shards from open workers as the best of all assignments."""
    workers = workers_of(count)

    made = plan(shards, workers)

    assert least_moves(shards, workers) == made.moves


@given(placements(), st.integers(1, 4), st.integers(1, 5))
def test_at_most_so_many_hand_overs_are_under_way(
    shards: list[ShardPlacement], count: int, moves_max: int
) -> None:
    """New interruptions fit into what the hand-overs under way leave of the limit."""
    workers = workers_of(count)

    def under_way(placement: list[ShardPlacement]) -> int:
        return sum(
            s.owner is not None and s.owner in workers and s.desired != s.owner and
            s.desired in workers
            for s in placement
        )  # fmt: skip

    after = apply(shards, plan(shards, workers, moves_max))

    assert under_way(after) <= max(under_way(shards), moves_max)


@given(placements(), st.integers(1, 4), st.integers(1, 3))
def test_paced_plans_arrive_where_the_unpaced_one_does(
    shards: list[ShardPlacement], count: int, moves_max: int
) -> None:
    """Repeating a paced plan ends, balanced, without one move more than the unpaced plan makes."""
    workers = workers_of(count)
    # Only converged placements: what is under way when one starts may be called back for free.
    start = [ShardPlacement(s.shard, s.owner, s.owner) for s in shards]
    unpaced = plan(start, workers).moves

    state, moves = start, 0
    for _ in range(len(shards) + 2):
        made = plan(state, workers, moves_max)
        moves += made.moves
        state = converge(apply(state, made))

    assert unpaced == moves
    assert plan(state, workers).changes == ()


def test_homeless_shards_never_wait() -> None:
    """Nobody serves them, so asking somebody interrupts nobody: the pace does not apply."""
    shards = [ShardPlacement(number, None, None) for number in range(30)]

    made = plan(shards, ["w-0", "w-1"], moves_max=1)

    assert (len(made.changes), made.moves, made.deferred) == (30, 0, 0)


def test_a_worker_that_leaves_by_our_will_is_emptied_at_the_pace() -> None:
    """Scaling in interrupts users, so it is a move like another."""
    shards = [ShardPlacement(number, "w-1", "w-1") for number in range(10)]

    made = plan(shards, ["w-0"], moves_max=3, leaving=["w-1"])

    assert (made.moves, made.deferred) == (3, 7)


def test_a_worker_that_goes_by_itself_is_emptied_at_once() -> None:
    """It releases its shards in any case; waiting would only leave them without an owner."""
    shards = [ShardPlacement(number, "w-1", "w-1") for number in range(10)]

    made = plan(shards, ["w-0"], moves_max=3)

    assert (len(made.changes), made.deferred) == (10, 0)


def test_who_claimed_an_orphan_keeps_it() -> None:
    """A shard whose desired owner died was claimed by a live worker; the plan confirms that."""
    shards = [ShardPlacement(0, "dead-7", "w-0"), ShardPlacement(1, "w-1", "w-1")]

    made = plan(shards, ["w-0", "w-1"])

    assert [(c.shard, c.expected, c.desired) for c in made.changes] == [(0, "dead-7", "w-0")]
    assert made.moves == 0


def test_a_move_under_way_is_called_back_to_the_worker_that_still_serves() -> None:
    """When the receiver dies the shard stays where it is."""
    shards = [ShardPlacement(0, "dead-7", "w-0")]

    assert [c.desired for c in plan(shards, ["w-0", "w-1"]).changes] == ["w-0"]


def test_with_no_open_worker_the_last_placement_stands() -> None:
    """Nothing is written; the plan says how many shards nobody can be asked to own."""
    made = plan([ShardPlacement(0, "w-0", None), ShardPlacement(1, None, None)], [])

    assert (made.changes, made.unplaced) == ((), 2)


def test_serving_beats_the_limit_per_worker_and_the_plan_says_so() -> None:
    """81 shards on two workers that should carry 40 each."""
    shards = [ShardPlacement(number, None, None) for number in range(81)]

    made = plan_assignments(shards, ["w-0", "w-1"], shards_per_worker_max=40, moves_max=4)

    assert (len(made.changes), made.load_max, made.overloaded) == (81, 41, True)


def test_earlier_workers_are_preferred_where_it_makes_no_difference() -> None:
    """The highest ordinals go first when a pool shrinks, so the odd shard sits on the lowest."""
    made = plan([ShardPlacement(0, None, None)], ["w-0", "w-1", "w-2"])

    assert [change.desired for change in made.changes] == ["w-0"]


def test_of_those_that_leave_the_last_is_emptied_first() -> None:
    """A StatefulSet removes its highest ordinals: the next to go need not wait for the others."""
    shards = [ShardPlacement(number, f"w-{number % 2 + 1}", None) for number in range(8)]
    shards = converge(shards)

    made = plan(shards, ["w-0"], moves_max=4, leaving=["w-1", "w-2"])

    assert {"w-2"} == {change.holder for change in made.changes}
    assert (made.moves, made.deferred) == (4, 4)


@given(placements(), st.integers(2, 4), st.integers(1, 3))
def test_in_a_rolling_update_shards_go_to_updated_workers_only(
    shards: list[ShardPlacement], count: int, reached: int
) -> None:
    """Complete, idempotent, and nothing is sent to a worker that is about to be replaced."""
    workers = workers_of(count)
    outdated = workers[: max(1, count - reached)]
    updated = workers[len(outdated) :]

    made = plan(shards, workers, outdated=outdated)
    after = apply(shards, made)

    sent = {change.desired for change in made.changes if change.desired != change.holder}
    assert sent <= set(updated)
    assert {shard.desired for shard in after} <= set(workers)
    assert all(change.holder not in workers for change in made.changes if change.is_move)
    assert plan(after, workers, outdated=outdated).changes == ()


def test_before_the_first_worker_is_updated_the_others_take_its_shards() -> None:
    """Serving beats the rule: somebody must have them until it is back."""
    shards = [ShardPlacement(number, "w-2", None) for number in range(6)]

    made = plan(shards, ["w-0", "w-1"], outdated=["w-0", "w-1"])

    assert Counter(change.desired for change in made.changes) == {"w-0": 3, "w-1": 3}


def test_a_rolling_update_moves_each_shard_once_and_a_few_again() -> None:
    """Those of the first worker replaced go to others before there is an updated one, and the last
    one replaced is filled by what the others have too many: 20 further moves of 50 shards.
    """
    workers = [f"w-{n}" for n in range(5)]
    state = [ShardPlacement(n, f"w-{n % 5}", f"w-{n % 5}") for n in range(50)]
    moved: Counter[int] = Counter()

    for reached in range(5):
        replaced = workers[4 - reached]
        outdated = workers[: 4 - reached]
        for open_workers in ([w for w in workers if w != replaced], workers):
            made = plan(state, open_workers, outdated=outdated)
            # Whoever is replaced gives its shards up by itself: they change hands as well.
            moved.update(c.shard for c in made.changes if c.desired != c.expected)
            state = converge(apply(state, made))

    made = plan(state, workers)
    moved.update(change.shard for change in made.changes)
    assert moved.total() <= 50 + 2 * 10
    assert max(moved.values()) <= 3
    assert plan(converge(apply(state, made)), workers).changes == ()
