"""simulate: the trace is read or refused, the scaler asked is the real one, nothing is invented."""

from collections.abc import Sequence

import pytest
import resvg_py
from hypothesis import given
from hypothesis import strategies as st

from shard_operator.errors import MalformedTrace
from shard_operator.simulating.drawing import draw
from shard_operator.simulating.outcome import Outcome
from shard_operator.simulating.pool_model import PoolFigures, PoolModel
from shard_operator.simulating.recorded import Row, Trace, parse_trace
from shard_operator.simulating.replay import replay_closed, replay_open
from shard_operator.simulating.scaler import Decided, PurserScaler, Seen
from shard_operator.simulating.telling import STEPS_SHOWN_MAX, clock, tell_outcome
from shard_operator.usershard import Paused, ScaleTarget, ScalingPolicy, UserShardSpec

FIGURES = PoolFigures(rate=10, job_seconds=0.2, start_seconds=5, shards=20, late_seconds=5)
SPEC = UserShardSpec(scale_target_ref=ScaleTarget(name="w"))


def trace_of(*rows: Row) -> Trace:
    """These rows."""
    return Trace(rows, frozenset({"time_seconds", "backlog", "arrivals"}))


class TestTrace:
    """What a file may hold, and with which words it is refused."""

    def test_times_count_from_the_first_row_and_empty_cells_are_unknown(self) -> None:
        """Columns come in any order; nothing becomes 0 by being absent."""
        trace = parse_trace(["backlog,time_seconds,workers\n", "7,1000,2\n", ",1010.5,\n", "\n"])

        assert (Row(0.0, backlog=7, workers=2), Row(10.5)) == trace.rows
        assert (10.5, 10.5, 7) == (trace.seconds, trace.step_seconds, trace.highest("backlog"))
        assert trace.highest("shards") is None

    @pytest.mark.parametrize(
        ("lines", "words"),
        [
            ([], "line 1: the columns must be named"),
            (["time_seconds,shards"], "line 1: the columns must be named"),
            (["time_seconds,jobs"], "line 1: 'jobs' is no column; there are time_seconds"),
            (["time_seconds,backlog,backlog"], "line 1: a column is named twice"),
            (["time_seconds,backlog", "0,1"], "at least two rows, this one has 1"),
            (["time_seconds,backlog", "0,1", "1"], "line 3: 1 cells for 2 columns"),
            (["time_seconds,backlog", "0,1", "1,-1"], "line 3: backlog must be a whole number"),
            (["time_seconds,backlog", "0,1", "1,1.5"], "line 3: backlog must be a whole number"),
            (["time_seconds,backlog", "0,1", "1,NaN"], "line 3: backlog must be a whole number"),
            (["time_seconds,backlog", "0,1", ",1"], "line 3: time_seconds must be a number"),
            (["time_seconds,backlog", "5,1", "5,1"], "line 3: time_seconds must rise, and 5"),
            (["time_seconds,backlog", "5,1", "1e9,1"], "line 3: longer than 31 days"),
            (["time_seconds,backlog", '0,"1' + "\0" * 9], "line 2: "),
        ],
    )
    def test_rubbish_is_refused_with_its_line(self, lines: Sequence[str], words: str) -> None:
        """And with what should be there."""
        with pytest.raises(MalformedTrace, match=f"^{words}|{words}$"):
            parse_trace(lines)


class TestOpenLoop:
    """The scaler is shown what was recorded."""

    def test_each_step_has_its_time_and_its_reason(self) -> None:
        """600 jobs ask for six workers at once; once a window is over one may go, and so on."""
        rows = [
            *(Row(float(second), backlog=600, oldest_seconds=1.0) for second in range(0, 30, 3)),
            *(Row(float(second), backlog=0) for second in range(30, 300, 3)),
        ]
        outcome = replay_open(trace_of(*rows), PurserScaler(SPEC), 2, 40, 15.0)

        assert [(0.0, 2, 6), (147.0, 6, 5), (267.0, 5, 4)] == [
            (step.seconds, step.before, step.after) for step in outcome.steps
        ]
        assert outcome.steps[0].why.startswith("600 jobs in 40 shards, the oldest 1.0 s old")
        assert pytest.approx(6 * 147 + 5 * 120 + 4 * 30) == outcome.replica_seconds
        assert {"ScaleDownStabilized", "ScaleDownLimit"} == outcome.limited_seconds.keys()

    def test_what_is_unknown_never_scales(self) -> None:
        """An empty cell and a gap in the recording are alike: the count stays."""
        rows = [
            Row(0.0, backlog=600, oldest_seconds=1.0),
            Row(3.0),
            Row(600.0),
            Row(603.0, backlog=0),
        ]
        outcome = replay_open(trace_of(*rows), PurserScaler(SPEC), 2, 40, 15.0)

        assert [(0.0, 6), (603.0, 5)] == [(step.seconds, step.after) for step in outcome.steps]
        assert {None} == {point.backlog for point in outcome.points[1:-1]}
        assert 600.0 == pytest.approx(outcome.unknown_seconds, abs=3)

    def test_an_old_row_says_nothing_of_now(self) -> None:
        """A recording that was interrupted is not a backlog that stood still."""
        rows = [Row(0.0, backlog=600), *(Row(900.0 + n, backlog=0) for n in range(5))]
        outcome = replay_open(trace_of(*rows), PurserScaler(SPEC), 2, 40, 15.0)

        assert 600 == outcome.points[20].backlog
        assert outcome.points[21].backlog is None

    def test_completions_that_were_not_recorded_are_not_missed(self) -> None:
        """Else every recording without them would end in CompletionsStopped."""
        rows = [Row(float(second), backlog=150 + 20 * second) for second in range(0, 90, 3)]
        outcome = replay_open(trace_of(*rows), PurserScaler(SPEC), 2, 100, 15.0)

        assert "CompletionsStopped" not in outcome.limited_seconds

    def test_completions_that_stopped_freeze(self) -> None:
        """As they would have on that day."""
        rows = [
            Row(float(second), backlog=150 + 20 * second, finished=0) for second in range(0, 90, 3)
        ]
        outcome = replay_open(trace_of(*rows), PurserScaler(SPEC), 2, 100, 15.0)

        assert outcome.limited_seconds["CompletionsStopped"] > 60

    def test_the_rule_is_the_operators_own(self) -> None:
        """Paused stays paused."""
        spec = UserShardSpec(
            scale_target_ref=ScaleTarget(name="w"), scaling=ScalingPolicy(paused=Paused.ALL)
        )
        rows = [Row(0.0, backlog=600), Row(30.0, backlog=600)]

        assert [] == replay_open(trace_of(*rows), PurserScaler(spec), 2, 40, 15.0).steps


class Scripted:
    """A scaler that does as it is told."""

    period_seconds = 3.0

    def __init__(self, counts: Sequence[int], moves_max: int | None) -> None:
        self.counts = list(counts)
        self.moves_max = moves_max

    def decide(self, now: float, seen: Seen) -> Decided:
        """The next count; the last one for ever."""
        count = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
        return Decided(count, count, "told")


def arrivals_of(per_second: int, seconds: int) -> Trace:
    """An even stream, a row a second."""
    rows = [Row(float(n), arrivals=per_second if n else 0) for n in range(seconds + 1)]
    return trace_of(*rows)


class TestClosedLoop:
    """The model follows the decisions."""

    def test_enough_workers_leave_nobody_waiting(self) -> None:
        """Ten jobs a second for a worker of ten; each takes its own time only."""
        outcome = replay_closed(arrivals_of(18, 120), Scripted([2], 4), FIGURES, 2)

        assert outcome.jobs is not None
        assert (0, 120 * 18) == (outcome.jobs.late, outcome.jobs.accepted)
        assert outcome.jobs.slowest_seconds < 2
        assert 240.0 == outcome.replica_seconds

    def test_too_few_let_the_queue_grow_by_the_difference(self) -> None:
        """20 a second come, 10 go: after 100 s a thousand wait, the oldest for 50 s."""
        outcome = replay_closed(arrivals_of(20, 100), Scripted([1], 4), FIGURES, 1)

        assert outcome.jobs is not None
        assert 1000 == pytest.approx(outcome.jobs.left, abs=20)
        assert 50 == pytest.approx(outcome.jobs.slowest_seconds, abs=2)
        assert outcome.jobs.late > 1000

    def test_nobody_saves_strength_while_there_is_nothing_to_do(self) -> None:
        """After a quiet minute 200 jobs take two workers of ten a second ten seconds."""
        rows = [Row(float(n), arrivals=200 if n == 61 else 0) for n in range(80)]
        outcome = replay_closed(trace_of(*rows), Scripted([2], 4), FIGURES, 2)

        assert outcome.jobs is not None
        assert 9.5 == pytest.approx(outcome.jobs.slowest_seconds, abs=1)

    @pytest.mark.parametrize("moves_max", [None, 4])
    def test_a_worker_serves_after_its_start(self, moves_max: int | None) -> None:
        """And costs from the decision on."""
        figures = PoolFigures(rate=10, job_seconds=0.2, start_seconds=30, shards=20, late_seconds=5)
        pool = PoolModel(figures, 1, moves_max)
        pool.scale(0.0, 2)

        assert (2, 1, 2) == (pool.asked, pool.serving(29.5), pool.serving(30.0))

    def test_shards_are_moved_before_a_worker_goes(self) -> None:
        """Ten shards at four a look: the count shrinks at the third, and no job is interrupted."""
        pool = PoolModel(FIGURES, 2, 4)
        pool.tick(0.0, 0.5, 100)
        pool.scale(0.5, 1)
        counts = []
        for look in range(3):
            pool.rebalance(0.5 + 3 * look)
            counts.append(pool.asked)

        assert [2, 2, 1] == counts
        assert (10, 0) == (pool.jobs.moved, pool.jobs.interrupted)

    def test_a_worker_that_is_taken_away_loses_what_it_runs(self) -> None:
        """Half of what ran; the jobs are there again and end later."""
        pool = PoolModel(FIGURES, 2, None)
        pool.tick(0.0, 0.5, 100)
        running = sum(some.count for some in pool._running)
        before = pool.observe(0.5).jobs
        pool.scale(0.5, 1)

        assert running // 2 == pool.jobs.interrupted > 0
        assert before == pool.observe(0.5).jobs

    @given(
        st.lists(st.integers(1, 6), min_size=1, max_size=20),
        st.lists(st.integers(0, 200), min_size=2, max_size=20),
        st.sampled_from([None, 1, 4]),
        st.floats(0.05, 3.0),
    )
    def test_no_job_is_lost_or_made_up(
        self, counts: list[int], arrivals: list[int], moves_max: int | None, job_seconds: float
    ) -> None:
        """Whatever is decided: what was accepted has ended or is there."""
        figures = PoolFigures(10, job_seconds, 5, 20, 5)
        rows = [Row(0.0), *(Row(3.0 * (n + 1), arrivals=a) for n, a in enumerate(arrivals))]
        outcome = replay_closed(trace_of(*rows), Scripted(counts, moves_max), figures, 2)

        assert outcome.jobs is not None
        assert sum(arrivals) == outcome.jobs.accepted
        assert outcome.jobs.accepted == outcome.jobs.ended + outcome.jobs.left
        assert moves_max is None or not outcome.jobs.interrupted

    def test_a_trace_without_arrivals_cannot_be_closed(self) -> None:
        """Not even with a column that is empty throughout."""
        with pytest.raises(MalformedTrace, match="cannot be closed"):
            replay_closed(trace_of(Row(0.0), Row(9.0)), Scripted([2], 4), FIGURES, 2)

    def test_arrivals_after_a_gap_are_spread_over_it(self) -> None:
        """A row that does not know them leaves them to the next one."""
        rows = [Row(0.0), Row(10.0), Row(20.0, arrivals=40)]
        outcome = replay_closed(trace_of(*rows), Scripted([2], 4), FIGURES, 2)

        assert outcome.jobs is not None
        assert (40, 0) == (outcome.jobs.accepted, outcome.jobs.late)

    def test_a_rush_is_answered_by_the_operators_rule(self) -> None:
        """More workers come, and go one by one when it is over."""
        rows = [Row(float(n), arrivals=300 if 10 < n < 60 else 1) for n in range(3600)]
        figures = PoolFigures(rate=20, job_seconds=0.2, start_seconds=5, shards=60, late_seconds=5)
        outcome = replay_closed(trace_of(*rows), PurserScaler(SPEC), figures, 2)

        assert outcome.jobs is not None
        assert max(point.replicas for point in outcome.points) > 10
        assert 2 == outcome.points[-1].replicas
        assert 0 == outcome.jobs.left


class TestTelling:
    """Words and picture."""

    @pytest.fixture
    def outcome(self) -> Outcome:
        """Eighty steps."""
        counts = [2 + n % 2 for n in range(81)]
        return replay_closed(arrivals_of(10, 243), Scripted(counts, 4), FIGURES, 2)

    def test_the_steps_are_bounded_and_the_rest_is_told(self, outcome: Outcome) -> None:
        """`everything` lists them all."""
        text = tell_outcome(outcome, FIGURES, 100, everything=False)

        assert f"and {len(outcome.steps) - STEPS_SHOWN_MAX} more: --all" in text
        assert len(outcome.steps) == tell_outcome(outcome, FIGURES, 100, everything=True).count(
            "told"
        )
        assert "2 to 3" in text
        assert "0 took longer than 5 s (0.00%)" in text

    def test_an_open_loop_says_what_it_cannot_know(self) -> None:
        """In every summary, not only in the help."""
        rows = [Row(0.0, backlog=0), Row(30.0, backlog=0)]
        outcome = replay_open(trace_of(*rows), PurserScaler(SPEC), 2, 40, 15.0)

        text = tell_outcome(outcome, None, 100, everything=False)
        assert "the backlog is what was recorded, with the workers of that day" in text
        assert "The count never changes." in text

    def test_the_picture_is_whole_and_its_size_is_bounded(self, outcome: Outcome) -> None:
        """However long the trace: a column shows its lowest and its highest."""
        svg = draw(outcome, "a < b", "c & d", 5.0)
        assert resvg_py.svg_to_bytes(svg_string=svg).startswith(b"\x89PNG")
        day = Outcome(86_400.0, 2, outcome.points * 300)

        assert "a &lt; b" in svg
        assert len(draw(day, "", "", 5.0)) < 250_000

    def test_a_picture_of_nothing_at_all_can_be_drawn(self) -> None:
        """Unknown throughout."""
        outcome = replay_open(trace_of(Row(0.0), Row(10.0)), PurserScaler(SPEC), 2, 40, 15.0)
        assert resvg_py.svg_to_bytes(svg_string=draw(outcome, "", "", 5.0))

    @pytest.mark.parametrize(
        ("seconds", "expected"), [(0, "0:00:00"), (3723.9, "1:02:03"), (90_000, "1d 1:00:00")]
    )
    def test_a_time_is_written_as_a_clock_does(self, seconds: float, expected: str) -> None:
        """From the beginning of the trace."""
        assert expected == clock(seconds)
