"""Feeds a scaler a trace. Pure.

Open loop: the scaler sees what was recorded, whatever it decides. That tells when it would have
acted and why, and not what would have come of it: the recorded backlog is what it was with the
workers of that day. Closed loop: only what came in is taken from the trace; what waits follows from
the decisions, in `pool_model`.
"""

from collections.abc import Iterator

from shard_operator.errors import MalformedTrace
from shard_operator.scaling import Backlog
from shard_operator.simulating.outcome import Outcome, Point, Step
from shard_operator.simulating.pool_model import PoolFigures, PoolModel
from shard_operator.simulating.recorded import Row, Trace
from shard_operator.simulating.scaler import Decided, Scaler, Seen

TICK_SECONDS = 0.5
"""A tenth of the age that counts as late, by default."""

GAP_SECONDS_MIN = 60.0
GAP_STEPS = 3
"""A row that is older than both says nothing of now any more: the backlog is unknown."""


def replay_open(
    trace: Trace, scaler: Scaler, replicas: int, shards: int, start_seconds: float
) -> Outcome:
    """Show the scaler what was recorded."""
    outcome = Outcome(trace.seconds, replicas)
    gap = max(GAP_SECONDS_MIN, GAP_STEPS * trace.step_seconds)
    rows = _RowsByTime(trace)
    asked = replicas
    serving_from = [0.0] * replicas
    for number in range(int(trace.seconds // scaler.period_seconds) + 1):
        now = number * scaler.period_seconds
        row, ended = rows.at(now)
        backlog = None
        if now - row.seconds <= gap:
            backlog = _recorded(row, row.shards or shards, ended)
        serving = sum(since <= now for since in serving_from)
        seen = Seen(asked, serving, row.shards or shards, backlog)
        decided = scaler.decide(now, seen)
        _note(outcome, now, scaler.period_seconds, seen, decided)
        asked = decided.replicas
        serving_from = serving_from[:asked]
        serving_from += [now + start_seconds] * (asked - len(serving_from))
        outcome.replica_seconds += asked * min(scaler.period_seconds, trace.seconds - now)
    return outcome


def replay_closed(trace: Trace, scaler: Scaler, figures: PoolFigures, replicas: int) -> Outcome:
    """Let the model follow what the scaler decides. Raises `MalformedTrace` where nothing came
    in."""
    outcome = Outcome(trace.seconds, replicas)
    pool = PoolModel(figures, replicas, scaler.moves_max)
    outcome.jobs = pool.jobs
    decide_at = 0.0
    for number, arrivals in enumerate(_arrivals(trace)):
        now = number * TICK_SECONDS
        if now >= decide_at:
            decide_at += scaler.period_seconds
            seen = Seen(pool.asked, pool.serving(now), figures.shards, pool.observe(now))
            decided = scaler.decide(now, seen)
            _note(outcome, now, scaler.period_seconds, seen, decided)
            pool.scale(now, decided.replicas)
            pool.rebalance(now)
        pool.tick(now, TICK_SECONDS, arrivals)
        outcome.replica_seconds += pool.asked * TICK_SECONDS
    pool.finish(trace.seconds)
    return outcome


def _note(outcome: Outcome, now: float, period: float, seen: Seen, decided: Decided) -> None:
    backlog = seen.backlog
    outcome.points.append(
        Point(
            now,
            None if backlog is None else backlog.jobs,
            None if backlog is None else backlog.oldest_seconds,
            decided.replicas,
            decided.wanted,
        )
    )
    before = outcome.points[-2].replicas if len(outcome.points) > 1 else outcome.replicas_before
    if decided.replicas != before:
        outcome.steps.append(Step(now, before, decided.replicas, decided.why))
    if backlog is None:
        outcome.unknown_seconds += period
    if decided.limit is not None:
        held = outcome.limited_seconds.get(decided.limit, 0.0)
        outcome.limited_seconds[decided.limit] = held + period


def _recorded(row: Row, shards: int, ended: int) -> Backlog | None:
    if row.backlog is None:
        return None
    busy = min(row.backlog, row.shards_with_work or shards)
    if not busy:
        return Backlog({}, {}, None)
    depths = {n: row.backlog // busy + (n < row.backlog % busy) for n in range(busy)}
    return Backlog(depths, dict.fromkeys(depths, ended), row.oldest_seconds)


class _RowsByTime:
    """The row that is valid at a moment; moments rise."""

    def __init__(self, trace: Trace) -> None:
        self._rows = trace.rows
        self._place = 0
        self._ended = 0

    def at(self, now: float) -> tuple[Row, int]:
        """The row, and a count of ended jobs: where it was not recorded, some ended."""
        place = self._place
        while place + 1 < len(self._rows) and self._rows[place + 1].seconds <= now:
            place += 1
            finished = self._rows[place].finished
            self._ended += 1 if finished is None else finished
        if place == self._place and self._rows[place].finished is None:
            self._ended += 1
        self._place = place
        return self._rows[place], self._ended


def _arrivals(trace: Trace) -> Iterator[int]:
    """Jobs accepted in each tick: those of a row spread evenly over the time since the last row
    that knows them."""
    known = [row for row in trace.rows[1:] if row.arrivals is not None]
    if not known:
        raise MalformedTrace("no row knows its arrivals: the loop cannot be closed")
    if known[-1].seconds < TICK_SECONDS:
        raise MalformedTrace(f"it lasts less than {TICK_SECONDS} s: the loop cannot be closed")
    total, begin, tick = 0, 0.0, 0
    told = 0
    for row in known:
        length = row.seconds - begin
        while (tick + 1) * TICK_SECONDS <= row.seconds:
            share = ((tick + 1) * TICK_SECONDS - begin) / length
            come = total + int(share * (row.arrivals or 0))
            yield come - told
            told, tick = come, tick + 1
        total += row.arrivals or 0
        begin = row.seconds
