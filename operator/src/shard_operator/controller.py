"""One pool's control loop: observe → plan → apply, safe to repeat and to run beside another.

`reconcile` looks at the scale target, the placement tables and the streams, decides in pure
functions (`scaling.plan_replicas`, `planning.plan_assignments`), and writes what differs: the
pool's policy, desired owners (each only if what the plan was made from still stands), the worker
count, the status. It keeps no truth of its own; `PoolMemory` holds what only helps to decide well
(the stabilisation window, the count last written), and a new process starts with an empty one.

Scaling in takes several rounds: the workers that will go stop being offered shards and are emptied
at the pace of `maxConcurrentMoves`; the count shrinks to just above the highest of them that still
has one. When the backlog returns meanwhile, the next round simply wants more workers and the rest
keep their shards.

Nothing here imports kopf, kubernetes, asyncpg or redis: the world is behind the protocols of
`workloads`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from chassis.telemetry import get_logger
from shard_operator import metrics
from shard_operator.errors import PlacementAway
from shard_operator.planning import AssignmentPlan, plan_assignments
from shard_operator.scaling import ScalingDecision, ScalingHistory, WorkerCounts, plan_replicas
from shard_operator.status import Observation, PoolPlan, say_status, without_figures
from shard_operator.usershard import UserShard, UserShardStatus
from shard_operator.workloads import (
    BacklogSource,
    PlacementObserved,
    PlacementStore,
    Reporter,
    WorkersObserved,
    Workloads,
)

CONTEST_HOLD_SECONDS = 300.0
"""How long another writer's count is left alone: long enough that two controllers do not saw."""

STATUS_REFRESH_SECONDS = 10.0
"""How stale figures that change by themselves (backlog, ages) may be in a status; decisions show
at once."""

FORGET_PERIOD_SECONDS = 60.0
"""How often long dead workers are cleared away."""


@dataclass(slots=True)
class PoolMemory:
    """What helps the next decision about one pool and may be lost at any time."""

    history: ScalingHistory = field(default_factory=ScalingHistory)
    counted: tuple[str, int] | None = None
    """The target's uid and the count it had when this loop last looked or wrote."""
    contested_until: float = 0.0
    last_scale_time: str | None = None
    written: UserShardStatus | None = None
    written_at: float = 0.0
    forgot_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What one round saw, decided and wrote; for whoever asked for it."""

    observation: Observation
    plan: PoolPlan
    status: UserShardStatus


class Controller:
    """Reconciles pools, one at a time; `reconcile` must not run twice at once for one pool."""

    def __init__(
        self,
        *,
        workloads: Workloads,
        store: PlacementStore,
        backlogs: BacklogSource,
        reporter: Reporter,
        monotonic: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._workloads = workloads
        self._store = store
        self._backlogs = backlogs
        self._reporter = reporter
        self._monotonic = monotonic
        self._wall_clock = wall_clock
        self._memories: dict[str, PoolMemory] = {}
        self._log = get_logger(__name__)

    def forget(self, pool: str) -> None:
        """Drop what was remembered of a pool whose UserShard is gone. Its users and workers
        stay."""
        self._memories.pop(pool, None)

    async def reconcile(self, user_shard: UserShard) -> Reconciled:
        """Bring one pool closer to its spec. Raises `TryLater` when the workers' world is away."""
        memory = self._memories.setdefault(user_shard.pool, PoolMemory())
        observation = await self._observe(user_shard)
        plan = self._plan(user_shard, observation, memory)
        await self._apply(user_shard, observation, plan, memory)
        status = say_status(
            user_shard,
            observation,
            plan,
            previous=memory.written or user_shard.status,
            last_scale_time=memory.last_scale_time,
            now=self._now(),
        )
        await self._report(user_shard, status, memory)
        return Reconciled(observation, plan, status)

    async def _observe(self, user_shard: UserShard) -> Observation:
        workers = await self._workloads.observe_workers(
            user_shard.namespace, user_shard.spec.scale_target_ref
        )
        try:
            placement = await self._store.observe_placement(user_shard.pool)
        except PlacementAway as error:
            self._log.warning("placement_away", pool=user_shard.pool, problem=str(error))
            return Observation(workers, None, None)
        shards = [shard.shard for shard in placement.shards]
        backlog = await self._backlogs.measure_backlog(user_shard.pool, shards)
        metrics.note_observation(user_shard.pool, placement, backlog)
        return Observation(workers, placement, backlog)

    def _plan(self, user_shard: UserShard, seen: Observation, memory: PoolMemory) -> PoolPlan:
        if seen.placement is None:
            return PoolPlan(None, None, None)
        decision = self._plan_count(user_shard, seen, memory)
        workers, leaving = open_workers(seen, decision)
        assignment = plan_assignments(
            seen.placement.shards,
            workers,
            leaving=leaving,
            outdated=seen.workers.outdated if seen.workers else (),
            shards_per_worker_max=user_shard.spec.workers.shards_per_worker_max,
            moves_max=user_shard.spec.rebalance.max_concurrent_moves,
        )
        metrics.note_plan(user_shard.pool, assignment)
        scale_to = None
        if decision is not None and seen.workers is not None:
            target = emptied_down_to(seen.workers, seen.placement, decision.replicas)
            scale_to = target if target != seen.workers.asked else None
        return PoolPlan(decision, assignment, scale_to)

    def _plan_count(
        self, user_shard: UserShard, seen: Observation, memory: PoolMemory
    ) -> ScalingDecision | None:
        if seen.workers is None or seen.placement is None:
            memory.counted = None
            return None
        now = self._monotonic()
        standing = (seen.workers.uid, seen.workers.asked)
        if memory.counted and memory.counted != standing and memory.counted[0] == standing[0]:
            memory.contested_until = now + CONTEST_HOLD_SECONDS
            self._log.warning(
                "scale_target_contested",
                pool=user_shard.pool,
                expected=memory.counted[1],
                found=standing[1],
                left_alone_seconds=CONTEST_HOLD_SECONDS,
            )
        memory.counted = standing
        serving = sum(worker.alive and not worker.draining for worker in seen.placement.workers)
        decision, memory.history = plan_replicas(
            user_shard.spec,
            WorkerCounts(asked=seen.workers.asked, serving=serving),
            len(seen.placement.shards),
            seen.backlog,
            memory.history,
            now,
            contested=now < memory.contested_until,
        )
        return decision

    async def _apply(
        self, user_shard: UserShard, seen: Observation, plan: PoolPlan, memory: PoolMemory
    ) -> None:
        if seen.placement is None:
            return
        pool = user_shard.pool
        if await self._store.ensure_policy(user_shard):
            self._log.info("policy_written", pool=pool)
        if plan.assignment is not None and plan.assignment.changes:
            await self._apply_assignment(user_shard, plan.assignment)
        if plan.scale_to is not None and plan.decision is not None and seen.workers is not None:
            await self._workloads.scale(
                user_shard.namespace, user_shard.spec.scale_target_ref, plan.scale_to
            )
            memory.counted = (seen.workers.uid, plan.scale_to)
            memory.last_scale_time = self._now()
            await self._tell_scaling(user_shard, seen.workers.asked, plan.scale_to, plan.decision)
        now = self._monotonic()
        if now - memory.forgot_at >= FORGET_PERIOD_SECONDS:
            memory.forgot_at = now
            if forgotten := await self._store.forget_workers(pool):
                self._log.info("workers_forgotten", pool=pool, workers=forgotten)

    async def _apply_assignment(self, user_shard: UserShard, assignment: AssignmentPlan) -> None:
        pool = user_shard.pool
        written = await self._store.assign(pool, assignment.changes)
        metrics.note_assignment(pool, written, assignment.moves)
        what = (
            f"{written} shards assigned, {assignment.moves} of them moved,"
            f" {assignment.deferred} moves wait"
        )
        self._log.info(
            "rebalanced",
            pool=pool,
            written=written,
            outdated=len(assignment.changes) - written,
            moves=assignment.moves,
            deferred=assignment.deferred,
        )
        await self._reporter.record_event(user_shard, "Rebalanced", what)

    async def _tell_scaling(
        self, user_shard: UserShard, before: int, after: int, decision: ScalingDecision
    ) -> None:
        why = decision.limited if decision.limited.holds else decision.active
        what = f"{before} to {after} workers: {decision.active.message}"
        if decision.limited.holds:
            what += f"; {decision.limited.message}"
        metrics.note_scaling(user_shard.pool, before, after)
        self._log.info(
            "scaled",
            pool=user_shard.pool,
            before=before,
            after=after,
            wanted=decision.wanted,
            reason=why.reason,
            why=what,
        )
        reason = "ScaledOut" if after > before else "ScaledIn"
        await self._reporter.record_event(user_shard, reason, what)

    async def _report(
        self, user_shard: UserShard, status: UserShardStatus, memory: PoolMemory
    ) -> None:
        """Write the status when a decision shows in it, else at most once in a while, else
        never."""
        now = self._monotonic()
        written = memory.written or user_shard.status
        if status == written:
            return
        is_decision = without_figures(status) != without_figures(written)
        if is_decision or now - memory.written_at >= STATUS_REFRESH_SECONDS:
            await self._reporter.write_status(user_shard, status)
            memory.written, memory.written_at = status, now

    def _now(self) -> str:
        return self._wall_clock().strftime("%Y-%m-%dT%H:%M:%SZ")


def open_workers(
    seen: Observation, decision: ScalingDecision | None
) -> tuple[list[str], list[str]]:
    """Who may own shards (in order of preference), and who lives but is to be emptied, the last
    first: a StatefulSet removes its highest ordinals, so they go first.

    Workers beyond the target's count are emptied at the pace too: one that is told to go says so
    itself (it drains, and is then in neither), and a count that somebody wrote by mistake must not
    move everything at once. When nobody else lives, whoever does may serve: an unusual name is no
    reason to leave users alone.
    """
    if seen.placement is None:
        return [], []
    able = {
        worker.name for worker in seen.placement.workers if worker.alive and not worker.draining
    }
    if seen.workers is None:
        return sorted(able), []
    staying = len(seen.workers.names) if decision is None else decision.replicas
    workers = [name for name in seen.workers.names[:staying] if name in able]
    if not workers:
        return sorted(able), []
    going = [name for name in seen.workers.names[staying:] if name in able]
    return workers, [*going, *sorted(able.difference(workers, going))]


def emptied_down_to(workers: WorkersObserved, placement: PlacementObserved, wanted: int) -> int:
    """The count that may be written now: `wanted`, or what keeps every worker that has shards."""
    if wanted >= workers.asked:
        return wanted
    busy = {name for shard in placement.shards for name in (shard.owner, shard.desired) if name} & {
        worker.name for worker in placement.workers if worker.alive
    }
    count = workers.asked
    while count > wanted and workers.names[count - 1] not in busy:
        count -= 1
    return count
