"""The operator's Prometheus metrics, named `purser_operator_…`; one function per thing that
happens."""

from collections.abc import Iterable
from contextlib import suppress

from prometheus_client import Counter, Gauge, Histogram

from shard_operator.planning import AssignmentPlan
from shard_operator.scaling import Backlog
from shard_operator.usershard import Condition
from shard_operator.workloads import PlacementObserved

_RECONCILES = Counter(
    "purser_operator_reconciles_total", "Rounds of the control loop", ["pool", "outcome"]
)
_RECONCILE_SECONDS = Histogram(
    "purser_operator_reconcile_seconds",
    "Time one round took",
    ["pool"],
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10),
)
_BACKLOG = Gauge(
    "purser_operator_backlog_jobs", "Jobs waiting or running; NaN when unknown", ["pool"]
)
_OLDEST = Gauge(
    "purser_operator_oldest_job_seconds", "Age of the oldest job; NaN when unknown", ["pool"]
)
_SHARDS = Gauge("purser_operator_shards", "Shards of the pool", ["pool"])
_OWNERLESS = Gauge("purser_operator_ownerless_shards", "Shards without a living owner", ["pool"])
_LIVE_WORKERS = Gauge("purser_operator_live_workers", "Workers with a living lease", ["pool"])
_ASSIGNED = Counter("purser_operator_assigned_shards_total", "Desired owners written", ["pool"])
_MOVED = Counter("purser_operator_moved_shards_total", "Shards asked to change hands", ["pool"])
_DEFERRED = Gauge("purser_operator_deferred_moves", "Moves that wait for those under way", ["pool"])
_GAP = Gauge(
    "purser_operator_weight_gap_ratio",
    "By which share the heaviest worker is above what no plan could be below",
    ["pool"],
)
_SCALED = Counter("purser_operator_scalings_total", "Worker counts written", ["pool", "direction"])
_CONDITION = Gauge(
    "purser_operator_condition",
    "A condition of the UserShard: 1 True, 0 False, NaN Unknown",
    ["pool", "type"],
)
LEADING = Gauge("purser_operator_leading", "1 while this process holds the Lease")
WATCH_STALE = Gauge(
    "purser_operator_watch_stale_seconds",
    "For how long the watch is known not to tell what listings show",
    ["kind"],
)
_API_REQUESTS = Counter(
    "purser_operator_api_requests_total",
    "Requests to the Kubernetes API but for watches; the code is 0 where no answer came",
    ["verb", "code"],
)


def note_observation(pool: str, placement: PlacementObserved, backlog: Backlog | None) -> None:
    """What one look at a pool found."""
    unknown = float("nan")
    _BACKLOG.labels(pool).set(unknown if backlog is None else backlog.jobs)
    _OLDEST.labels(pool).set(unknown if backlog is None else backlog.oldest_seconds or 0.0)
    _SHARDS.labels(pool).set(len(placement.shards))
    _OWNERLESS.labels(pool).set(sum(shard.owner is None for shard in placement.shards))
    _LIVE_WORKERS.labels(pool).set(sum(worker.alive for worker in placement.workers))


def note_unobserved(pool: str) -> None:
    """Nothing is known of a pool: its last figures must not stand for the present ones."""
    for gauge in (_BACKLOG, _OLDEST, _SHARDS, _OWNERLESS, _LIVE_WORKERS):
        gauge.labels(pool).set(float("nan"))


def note_conditions(pool: str, conditions: Iterable[Condition]) -> None:
    """What the status says."""
    values = {"True": 1.0, "False": 0.0}
    for condition in conditions:
        value = values.get(condition.status, float("nan"))
        _CONDITION.labels(pool, condition.type).set(value)


def forget_pool(pool: str) -> None:
    """Its UserShard is gone: an alert on a figure that stands still would never end."""
    for gauge in (_BACKLOG, _OLDEST, _SHARDS, _OWNERLESS, _LIVE_WORKERS, _DEFERRED, _GAP):
        with suppress(KeyError):
            gauge.remove(pool)
    _CONDITION.remove_by_labels({"pool": pool})


def note_api_request(verb: str, code: int) -> None:
    """The API server answered a request, or did not (0)."""
    _API_REQUESTS.labels(verb, str(code)).inc()


def note_reconcile(pool: str, outcome: str, seconds: float) -> None:
    """One round ended: `done`, `later` (something is away) or `failed` (a defect)."""
    _RECONCILES.labels(pool, outcome).inc()
    _RECONCILE_SECONDS.labels(pool).observe(seconds)


def note_plan(pool: str, plan: AssignmentPlan) -> None:
    """What one plan leaves undone."""
    _DEFERRED.labels(pool).set(plan.deferred)
    _GAP.labels(pool).set(plan.gap)


def note_assignment(pool: str, written: int, moves: int) -> None:
    """Desired owners were written; `moves` of them take a shard from a worker that serves it."""
    _ASSIGNED.labels(pool).inc(written)
    _MOVED.labels(pool).inc(moves)


def note_scaling(pool: str, before: int, after: int) -> None:
    """A worker count was written."""
    _SCALED.labels(pool, "out" if after > before else "in").inc()
