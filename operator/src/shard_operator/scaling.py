"""How many workers a pool shall have: a pure function of its backlog that gives its reasons.

The rule, in the order it is applied:

1. what the backlog needs: `ceil(jobs / target_backlog_per_replica)`. Jobs are waiting plus running
   ones.
2. what the oldest job needs: when its age is above `target_oldest_job_seconds`, more workers in
   that ratio, at most twice as many, and only once every worker asked for earlier is serving (their
   effect is not in the age yet). While the age is above half the target nothing shrinks, so that
   the step just taken is not undone.
3. never more than the shards that have work (a shard has one owner; another worker would idle),
   never fewer than the shards need at `shards_per_worker_max`, and within minReplicas and
   maxReplicas.
4. growing at once; shrinking only to the highest of the recommendations of the last stabilisation
   window, and in such a window by a tenth at most (at least one worker): an empty queue says that
   there are workers enough, not how many would do, and what falls below that number builds a queue,
   grows again and moves shards both times. While the window holds the count, the reason says to
   what it will fall and when. A window of 0 s is no brake at all.
5. when no job ended for `STALLED_AFTER_SECONDS` although some wait, a dependency is down and more
   workers would only press harder on it: growing freezes.

An unknown backlog is None and never scales: the count stays (the bounds hold, they are a person's
words and not a measurement). `spec.replicas` pins; `paused` stops one direction or both, the bounds
and the pin excepted. The vocabulary of reasons is the HorizontalPodAutoscaler's where it has a
word.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shard_operator.usershard import Paused, UserShardSpec

STALLED_AFTER_SECONDS = 15.0
"""In a pool that works some job ends every few milliseconds; a single job is cut off earlier."""

GROWTH_FACTOR_MAX = 2.0
"""The age of a job says that workers are missing, not how many: double and look again."""

AGE_TOLERANCE = 0.1
"""An age this close above its target changes nothing, as in the HorizontalPodAutoscaler."""


SHRINK_SHARE_MAX = 0.1
"""Of the workers, in one stabilisation window. On simulated days a fifth moved a third more shards
and let half as many jobs again be late; without a limit it was four times the shards."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """The work of one pool at one moment.

    `depths`: jobs waiting or running per shard, shards without work left out. `finished`: per shard
    with work, how many jobs ever ended there. `oldest_seconds`: age of the oldest job, None when
    there is none.
    """

    depths: Mapping[int, int]
    finished: Mapping[int, int]
    oldest_seconds: float | None

    @property
    def jobs(self) -> int:
        """Jobs waiting or running in the whole pool."""
        return sum(self.depths.values())

    @property
    def shards_with_work(self) -> int:
        """Shards with at least one job."""
        return len(self.depths)


@dataclass(frozen=True, slots=True)
class ScalingHistory:
    """What the next decision must remember of earlier ones; times are of one monotonic clock."""

    recommendations: tuple[tuple[float, int], ...] = ()
    """The highest recommendations still in the window: times rise, counts fall."""
    finished: Mapping[int, int] = field(default_factory=dict)
    """`Backlog.finished` of the last measurement."""
    measured_at: float | None = None
    """When that was; None when the last look found nothing out."""
    stalled_seconds: float = 0.0
    """How long no job was seen to end although some waited, as far as it was measured."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition's worth of explanation."""

    holds: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ScalingDecision:
    """The worker count, and why."""

    replicas: int
    wanted: int
    """What the measurements alone ask for, before any limit."""
    active: Verdict
    limited: Verdict


@dataclass(frozen=True, slots=True)
class WorkerCounts:
    """How many workers were asked for, and how many of them serve (hold a living lease)."""

    asked: int
    serving: int


def plan_replicas(
    spec: UserShardSpec,
    counts: WorkerCounts,
    shards: int,
    backlog: Backlog | None,
    history: ScalingHistory,
    now: float,
    *,
    contested: bool = False,
) -> tuple[ScalingDecision, ScalingHistory]:
    """Decide the worker count at monotonic time `now`; also the history to pass next time.

    `contested`: somebody else has just written the count; then it stays whatever they wrote.
    """
    low, high = spec.workers.min_replicas, spec.workers.max_replicas
    within_bounds = min(max(counts.asked, low), high)
    if not history.recommendations:
        # A new leader knows nothing of the window before it: the present count stands for that.
        history = replace(history, recommendations=((now, counts.asked),))
    history = _note_progress(history, backlog, now)

    unlimited = Verdict(False, "DesiredWithinRange", "the desired count is within the range")
    if contested:
        why = "another writer changed the count of the target; it is left alone for a while"
        return _fixed(counts.asked, "ScaleTargetContested", why, unlimited), history
    if spec.replicas is not None:
        why = f"spec.replicas holds the pool at {spec.replicas}; remove it to autoscale"
        return _fixed(spec.replicas, "Pinned", why, unlimited), history
    if spec.scaling.paused is Paused.ALL:
        why = "spec.scaling.paused is All"
        return _fixed(within_bounds, "Paused", why, unlimited), history
    if backlog is None:
        why = "the backlog cannot be measured; the count stays as it is"
        return _fixed(within_bounds, "BacklogUnknown", why, unlimited), history

    wanted = max(_wanted_by_backlog(spec, backlog), _wanted_by_age(spec, counts, backlog))
    recommended, limited = _limit(spec, wanted, shards, backlog)
    window = spec.scaling.scale_down_stabilization_seconds
    next_step = _limit_step(within_bounds, recommended, window)
    history = _remember(history, now, next_step, window)
    # A lowered maxReplicas holds at once: the window is about measurements, not about words.
    replicas = min(_stabilize(history, counts.asked, next_step), high)
    if replicas > next_step:
        limited = _say_held(window, history, replicas, recommended, now)
    elif next_step > recommended:
        limited = _say_stepwise(window, recommended)
    if replicas > within_bounds and history.stalled_seconds >= STALLED_AFTER_SECONDS:
        replicas = within_bounds
        limited = Verdict(
            True,
            "CompletionsStopped",
            f"no job ended for {history.stalled_seconds:.0f} s although"
            f" {backlog.jobs} wait; more workers would not help",
        )
    # What the window holds for now would not shrink after it either.
    goal = min(replicas, recommended)
    blocked = {Paused.SCALE_OUT: goal > within_bounds, Paused.SCALE_IN: goal < within_bounds}
    if blocked.get(spec.scaling.paused, False):
        why = f"{goal} wanted, spec.scaling.paused is {spec.scaling.paused.value}"
        replicas, limited = within_bounds, Verdict(True, "Paused", why)
    active = Verdict(True, "BacklogMeasured", _describe(backlog))
    return ScalingDecision(replicas, wanted, active, limited), history


def _fixed(replicas: int, reason: str, message: str, limited: Verdict) -> ScalingDecision:
    return ScalingDecision(replicas, replicas, Verdict(False, reason, message), limited)


def _wanted_by_backlog(spec: UserShardSpec, backlog: Backlog) -> int:
    return math.ceil(backlog.jobs / spec.scaling.target_backlog_per_replica)


def _wanted_by_age(spec: UserShardSpec, counts: WorkerCounts, backlog: Backlog) -> int:
    if backlog.oldest_seconds is None:
        return 0
    ratio = backlog.oldest_seconds / spec.scaling.target_oldest_job_seconds
    if ratio > 1 + AGE_TOLERANCE and counts.serving >= counts.asked:
        return math.ceil(counts.asked * min(ratio, GROWTH_FACTOR_MAX))
    return counts.asked if ratio > 0.5 else 0


def _limit(spec: UserShardSpec, wanted: int, shards: int, backlog: Backlog) -> tuple[int, Verdict]:
    low, high = spec.workers.min_replicas, spec.workers.max_replicas
    capacity = math.ceil(shards / spec.workers.shards_per_worker_max)
    floor = max(low, capacity)
    useful = max(floor, backlog.shards_with_work)
    if min(useful, wanted) > high or floor > high:
        most = max(min(useful, wanted), floor)
        return high, Verdict(True, "TooManyReplicas", f"{most} wanted, maxReplicas is {high}")
    if wanted > useful:
        what = f"{wanted} wanted, only {backlog.shards_with_work} shards have work"
        return useful, Verdict(True, "ShardsWithWork", what)
    if wanted < floor:
        limit = "minReplicas" if low >= capacity else "shardsPerWorkerMax"
        return floor, Verdict(True, "TooFewReplicas", f"{wanted} wanted, {limit} asks for {floor}")
    return wanted, Verdict(False, "DesiredWithinRange", "the desired count is within the range")


def _remember(
    history: ScalingHistory, now: float, recommended: int, window: float
) -> ScalingHistory:
    """Keep what can still be the highest of the window; an older lower one never will be."""
    kept = tuple(
        (at, count)
        for at, count in history.recommendations
        if now - at < window and count > recommended
    )
    return replace(history, recommendations=(*kept, (now, recommended)))


def _stabilize(history: ScalingHistory, asked: int, recommended: int) -> int:
    if recommended >= asked:
        return recommended
    return min(asked, max(count for _, count in history.recommendations))


def _limit_step(standing: int, recommended: int, window: float) -> int:
    """The lowest count to shrink to from the one that stands."""
    if recommended >= standing or not window:
        return recommended
    return max(recommended, standing - max(1, int(standing * SHRINK_SHARE_MAX)))


def _say_stepwise(window: float, recommended: int) -> Verdict:
    what = (
        f"{recommended} would do; at most {SHRINK_SHARE_MAX:.0%} of the workers, at least one, go"
        f" in scaleDownStabilizationSeconds ({window})"
    )
    return Verdict(True, "ScaleDownLimit", what)


def _say_held(
    window: float, history: ScalingHistory, replicas: int, recommended: int, now: float
) -> Verdict:
    """Say that the window holds the count, and when the earlier recommendations leave it."""
    # Counts fall: each holds until it is that old, then the one after it does. Of those that leave
    # in the same second the last one counts.
    falls = {
        math.ceil(window - (now - at)): after
        for (at, _), (_, after) in itertools.pairwise(history.recommendations)
        if after < replicas
    }
    when = " and ".join(
        f"to {falls[seconds]} in {seconds} s" for seconds in sorted({min(falls), max(falls)})
    )
    when += ", unless the backlog asks for more until then"
    what = (
        f"{recommended} would do, scaleDownStabilizationSeconds ({window}) keeps {replicas}: {when}"
    )
    return Verdict(True, "ScaleDownStabilized", what)


def _note_progress(history: ScalingHistory, backlog: Backlog | None, now: float) -> ScalingHistory:
    """A job ended where the count of ended ones changed (a lower one is another stream's: nothing
    is known of it), or where work was and is none now."""
    if backlog is None:
        return replace(history, measured_at=None)
    ended = any(
        shard not in backlog.depths or backlog.finished.get(shard, 0) != finished
        for shard, finished in history.finished.items()
    )
    since = 0.0 if history.measured_at is None else now - history.measured_at
    return replace(
        history,
        finished=backlog.finished,
        measured_at=now,
        stalled_seconds=0.0 if ended or not backlog.depths else history.stalled_seconds + since,
    )


def _describe(backlog: Backlog) -> str:
    if backlog.oldest_seconds is None:
        return "no job waits or runs"
    age = f"{backlog.oldest_seconds:.1f} s old"
    return f"{backlog.jobs} jobs in {backlog.shards_with_work} shards, the oldest {age}"
