"""The scaler: unknown never scales, bounds hold, shrinking waits, useless growth stops."""

import re

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from shard_operator.scaling import (
    STALLED_AFTER_SECONDS,
    Backlog,
    ScalingDecision,
    ScalingHistory,
    WorkerCounts,
    plan_replicas,
)
from shard_operator.usershard import (
    Paused,
    ScaleTarget,
    ScalingPolicy,
    UserShardSpec,
    WorkersPolicy,
)


def spec_of(
    low: int = 2,
    high: int = 20,
    *,
    replicas: int | None = None,
    paused: Paused = Paused.NONE,
    window: int = 120,
    shards_per_worker_max: int = 40,
) -> UserShardSpec:
    """A spec with the defaults of the CRD but for what is named."""
    return UserShardSpec(
        scale_target_ref=ScaleTarget(name="purser-user-worker"),
        replicas=replicas,
        workers=WorkersPolicy(
            min_replicas=low, max_replicas=high, shards_per_worker_max=shards_per_worker_max
        ),
        scaling=ScalingPolicy(paused=paused, scale_down_stabilization_seconds=window),
    )


def work(jobs: int, shards: int = 30, oldest: float | None = 0.1, finished: int = 0) -> Backlog:
    """`jobs` spread over `shards` shards, of which each has ended `finished` jobs so far."""
    busy = min(jobs, shards)
    depths = {number: jobs // busy + (number < jobs % busy) for number in range(busy)}
    return Backlog(depths, dict.fromkeys(depths, finished), oldest if jobs else None)


def decide(
    spec: UserShardSpec,
    asked: int,
    backlog: Backlog | None,
    history: ScalingHistory | None = None,
    *,
    now: float = 1000.0,
    serving: int | None = None,
    shards: int = 60,
    contested: bool = False,
) -> tuple[ScalingDecision, ScalingHistory]:
    """One decision; every worker asked for serves unless said otherwise."""
    counts = WorkerCounts(asked, asked if serving is None else serving)
    return plan_replicas(
        spec, counts, shards, backlog, history or ScalingHistory(), now, contested=contested
    )


halves = st.integers(1, 140).map(lambda count: count / 2)
bounds = st.tuples(st.integers(1, 30), st.integers(1, 30)).map(sorted)
backlogs = st.builds(
    work, st.integers(0, 5000), st.integers(1, 200), st.floats(0, 500), st.integers(0, 9)
)


@given(bounds, st.data())
def test_an_unknown_backlog_never_scales(pair: list[int], data: st.DataObject) -> None:
    """None leaves the count alone, whatever was seen before."""
    low, high = pair
    asked = data.draw(st.integers(low, high))
    spec = spec_of(low, high)
    _, history = decide(spec, asked, data.draw(st.none() | backlogs), now=0)

    decision, _ = decide(spec, asked, None, history, now=data.draw(st.floats(0, 1000)))

    assert asked == decision.replicas
    assert (decision.active.holds, decision.active.reason) == (False, "BacklogUnknown")


@given(bounds, st.integers(1, 40), st.lists(st.none() | backlogs, max_size=6), st.integers(0, 900))
def test_the_bounds_hold_and_no_idle_worker_is_added(
    pair: list[int], asked: int, measured: list[Backlog | None], shards: int
) -> None:
    """Within min and max always; growth stops at the shards with work, or the shards' own need."""
    low, high = pair
    spec, history = spec_of(low, high), ScalingHistory()
    for second, backlog in enumerate(measured):
        decision, history = decide(spec, asked, backlog, history, now=3.0 * second, shards=shards)
        assert low <= decision.replicas <= high
        if backlog is not None and decision.replicas > max(asked, low):
            assert decision.replicas <= max(low, -(-shards // 40), backlog.shards_with_work)
        asked = decision.replicas


@given(backlogs, st.integers(2, 20), st.floats(0, 119.9))
def test_shrinking_waits_for_the_whole_window(backlog: Backlog, peak: int, elapsed: float) -> None:
    """A recommendation of the last 120 s still stands, and so does the count a new leader found."""
    spec = spec_of(low=1)
    _, history = decide(spec, peak, work(peak * 100, shards=60), now=0.0, serving=0)

    decision, _ = decide(spec, peak, backlog, history, now=elapsed)

    assert decision.replicas >= peak


def test_after_the_window_it_shrinks_by_a_tenth() -> None:
    """120 s after the last job of twenty workers' worth two may go, and two more 120 s later."""
    _, history = decide(spec_of(), 20, work(2000), now=0)
    _, history = decide(spec_of(), 20, work(0), history, now=60)

    first, history = decide(spec_of(), 20, work(0), history, now=121)
    held, history = decide(spec_of(), 18, work(0), history, now=124)
    waiting, history = decide(spec_of(), 18, work(0), history, now=240)
    second, _ = decide(spec_of(), 18, work(0), history, now=242)

    counts = [decision.replicas for decision in (first, held, waiting, second)]
    assert [18, 18, 18, 17] == counts
    assert (True, "ScaleDownLimit") == (first.limited.holds, first.limited.reason)
    assert "2 would do; at most 10% of the workers, at least one, go in" in first.limited.message
    assert "2 would do" in held.limited.message
    assert "keeps 18: to 17 in 117 s" in held.limited.message


@given(st.integers(2, 20), st.integers(2, 20), halves)
def test_a_window_never_loses_more_than_a_tenth_or_one(
    asked: int, needed: int, seconds: float
) -> None:
    """Whatever the backlog says, however often it is looked at."""
    history, count = ScalingHistory(), asked
    for look in range(5):
        decision, history = decide(
            spec_of(), count, work(100 * needed), history, now=look * min(seconds, 24.0)
        )
        count = decision.replicas

    assert count >= min(needed, asked - max(1, asked // 10))


def test_without_a_window_nothing_brakes() -> None:
    """Who sets 0 means it."""
    decision, _ = decide(spec_of(window=0), 20, work(0))

    assert (2, "TooFewReplicas") == (decision.replicas, decision.limited.reason)


def test_what_the_window_holds_says_to_what_it_falls_and_when() -> None:
    """30 jobs' worth of workers until 0 s, 28 until 30 s: the window of the former is over
    first."""
    spec = spec_of(high=40)
    _, history = decide(spec, 30, work(3000), now=0)
    _, history = decide(spec, 30, work(2800), history, now=30)

    held, history = decide(spec, 30, work(150), history, now=60.5)
    later, history = decide(spec, held.replicas, work(150), history, now=119)
    fallen, _ = decide(spec, later.replicas, work(150), history, now=120)

    assert (held.replicas, held.limited.holds, held.limited.reason) == (
        30,
        True,
        "ScaleDownStabilized",
    )
    assert held.limited.message == (
        "2 would do, scaleDownStabilizationSeconds (120) keeps 30: to 28 in 60 s and to 27 in 90 s,"
        " unless the backlog asks for more until then"
    )
    assert "to 28 in 1 s and to 27 in 31 s" in later.limited.message
    assert fallen.replicas == 28
    assert "keeps 28: to 27 in 30 s, unless" in fallen.limited.message


@given(
    st.lists(st.tuples(st.integers(0, 2000), halves), min_size=1, max_size=12),
    st.integers(1, 12),
    st.integers(2, 20),
)
def test_the_count_falls_when_it_was_said_and_not_before(
    measured: list[tuple[int, float]], asked: int, lowered: int
) -> None:
    """Whatever came before, a maxReplicas lowered meanwhile as well."""
    history, now = ScalingHistory(), 0.0
    for place, (jobs, seconds) in enumerate(measured, start=1):
        spec = spec_of(1, lowered if place == len(measured) else 20)
        now += seconds
        decision, history = decide(spec, asked, work(jobs), history, now=now)
        asked = decision.replicas
    if decision.limited.reason != "ScaleDownStabilized":
        return
    said = re.search(r"keeps (\d+): to (\d+) in (\d+) s", decision.limited.message)
    assert said is not None
    kept, after, wait = map(int, said.groups())
    assert kept == asked

    for seconds, expected in ((wait - 1, kept), (wait, after)):
        if seconds > 0:
            then, _ = decide(spec, asked, work(jobs), history, now=now + seconds)
            assert then.replicas == expected


def test_a_paused_scale_in_is_said_before_the_window() -> None:
    """When the window is over the count stays all the same."""
    paused = spec_of(paused=Paused.SCALE_IN)
    decision, _ = decide(paused, 9, work(150))

    assert (decision.replicas, decision.limited.reason) == (9, "Paused")
    assert "2 wanted" in decision.limited.message


def test_growing_is_immediate() -> None:
    """750 jobs at a target of 100 for each worker."""
    decision, _ = decide(spec_of(), 2, work(750))

    assert (decision.replicas, decision.wanted, decision.active.holds) == (8, 8, True)


def test_replicas_never_exceed_the_shards_that_have_work() -> None:
    """A thousand jobs in three shards keep three workers busy, no more."""
    decision, _ = decide(spec_of(), 2, work(1000, shards=3))

    assert (decision.replicas, decision.limited.reason) == (3, "ShardsWithWork")


def test_an_old_job_doubles_the_workers_once_the_earlier_ones_serve() -> None:
    """20 s at a target of 5: four times too old, doubled at most, not while some are starting."""
    old = work(30, oldest=20.0)

    assert decide(spec_of(), 4, old)[0].replicas == 8
    assert decide(spec_of(), 4, old, serving=2)[0].replicas == 4


def test_no_growth_while_no_job_ends_anywhere() -> None:
    """A dependency is down: the backlog rises, nothing ends, more workers would press harder."""
    spec = spec_of()
    _, history = decide(spec, 3, work(200, finished=5), now=0)

    frozen, history = decide(spec, 3, work(900, finished=5), history, now=STALLED_AFTER_SECONDS + 1)
    thawed, _ = decide(spec, 3, work(900, finished=6), history, now=STALLED_AFTER_SECONDS + 4)

    assert (frozen.replicas, frozen.limited.reason) == (3, "CompletionsStopped")
    assert thawed.replicas == 9


def test_what_was_not_measured_is_no_standstill() -> None:
    """Redis was away for a minute, then answers, emptied or not: jobs may have ended meanwhile."""
    spec = spec_of()
    _, history = decide(spec, 3, work(200, finished=5), now=0)
    _, history = decide(spec, 3, None, history, now=3)

    for finished in (5, 0):
        decision, _ = decide(spec, 3, work(900, finished=finished), history, now=63)
        assert (decision.replicas, decision.limited.reason) == (9, "DesiredWithinRange")


def test_a_pin_holds_against_any_backlog() -> None:
    """kubectl scale says a number; autoscaling says that it rests and why."""
    decision, _ = decide(spec_of(replicas=3), 7, work(2000))

    assert (
        decision.replicas,
        decision.active.holds,
        decision.active.reason,
    ) == (3, False, "Pinned")


def test_paused_directions_do_not_move() -> None:
    """ScaleOut and ScaleIn stop one direction, All stops both; each is said."""
    assert decide(spec_of(paused=Paused.SCALE_OUT), 2, work(900))[0].replicas == 2
    assert decide(spec_of(paused=Paused.SCALE_IN), 2, work(900))[0].replicas == 9
    assert decide(spec_of(paused=Paused.SCALE_IN, window=0), 9, work(0))[0].replicas == 9
    assert decide(spec_of(paused=Paused.SCALE_OUT, window=0), 9, work(0))[0].replicas == 2
    paused, _ = decide(spec_of(paused=Paused.ALL), 4, work(900))
    assert (paused.replicas, paused.active.reason) == (4, "Paused")


def test_another_writers_count_is_left_alone() -> None:
    """Not a fight: neither backlog nor pin nor bound overrides it while it is contested."""
    decision, _ = decide(spec_of(replicas=3), 30, work(900), contested=True)

    assert (decision.replicas, decision.active.reason) == (30, "ScaleTargetContested")


def test_the_shards_own_need_beats_an_empty_backlog() -> None:
    """200 shards at 40 per worker need five workers even when nobody types."""
    decision, _ = decide(spec_of(window=0), 9, work(0), shards=200)

    assert decision.replicas == 5


def test_the_memory_of_a_window_stays_small() -> None:
    """Only what can still be the highest is kept, whatever the pattern."""
    spec, history = spec_of(window=3600), ScalingHistory()
    for second in range(3600):
        _, history = decide(spec, 5, work(second * 37 % 1700), history, now=float(second))

    assert len(history.recommendations) <= 20


def test_a_spec_knows_the_defaults_without_being_told() -> None:
    """A minimal object is complete."""
    spec = msgspec.convert({"scaleTargetRef": {"name": "w"}}, UserShardSpec)

    assert (
        spec.users_per_shard,
        spec.workers.min_replicas,
        spec.workers.max_replicas,
        spec.workers.shards_per_worker_max,
    ) == (50, 2, 20, 40)
