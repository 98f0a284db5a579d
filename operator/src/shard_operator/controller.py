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

Whatever is away or refuses becomes a condition with its reason, and the round goes on with the
rest: without the target shards are still placed, without the backlog the count stays, without
PostgreSQL nothing is decided. Only a status that cannot be written ends a round early.

Nothing here imports kopf, kubernetes, asyncpg or redis: the world is behind the protocols of
`workloads`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from chassis.telemetry import get_logger
from shard_operator import metrics
from shard_operator.errors import ApiRefused, PlacementAway
from shard_operator.planning import AssignmentPlan, plan_assignments
from shard_operator.pool_memory import CONTEST_HOLD_SECONDS, PoolMemory
from shard_operator.scaling import ScalingDecision, WorkerCounts, plan_replicas
from shard_operator.status import Observation, PoolPlan, say_status, without_figures
from shard_operator.telling import (
    Told,
    tell_changes,
    tell_draining,
    tell_rebalanced,
    tell_scaled,
)
from shard_operator.usershard import UserShard, UserShardStatus
from shard_operator.workloads import (
    BacklogSource,
    PlacementObserved,
    PlacementStore,
    Reporter,
    WorkersObserved,
    Workloads,
)

STATUS_REFRESH_SECONDS = 60.0
"""How stale figures that change by themselves (backlog, ages) may be in a status; decisions show
at once. Each write goes to etcd and to everybody who watches."""

FORGET_PERIOD_SECONDS = 60.0
"""How often long dead workers are cleared away."""


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
        metrics.forget_pool(pool)

    async def reconcile(self, user_shard: UserShard, *, taken_by: str = "") -> Reconciled:
        """Bring one pool closer to its spec. Raises `TryLater` when the workers' world is away,
        `ApiRefused` when the status cannot be written.

        `taken_by` names the older UserShard with the same target: its count is not this one's to
        write.
        """
        memory = self._memories.setdefault(user_shard.pool, PoolMemory())
        seen = await self._observe(user_shard, memory, taken_by)
        plan = self._plan(user_shard, seen, memory)
        try:
            plan = await self._apply(user_shard, seen, plan, memory)
        except PlacementAway as error:
            # It could be read: what was decided and not written is not said to be so.
            self._note_placement_away(user_shard, memory, error)
            plan = PoolPlan(None, None, None, placement_problem=str(error))
        before = memory.status_before(user_shard)
        status = say_status(
            user_shard,
            seen,
            plan,
            previous=before,
            last_scale_time=memory.last_scale_time,
            now=self._now(),
        )
        await self._report(user_shard, before, status, memory)
        return Reconciled(seen, plan, status)

    async def _observe(
        self, user_shard: UserShard, memory: PoolMemory, taken_by: str
    ) -> Observation:
        workers, target_problem = None, ""
        if not taken_by:
            try:
                workers = await self._workloads.observe_workers(
                    user_shard.namespace, user_shard.spec.scale_target_ref
                )
            except ApiRefused as refusal:
                target_problem = str(refusal)
        contested = self._note_count(user_shard, workers, memory)
        try:
            placement = await self._store.observe_placement(user_shard.pool)
        except PlacementAway as error:
            self._note_placement_away(user_shard, memory, error)
            metrics.note_unobserved(user_shard.pool)
            return Observation(
                workers,
                None,
                None,
                taken_by=taken_by,
                target_problem=target_problem,
                placement_problem=str(error),
                contested=contested,
            )
        shards = [shard.shard for shard in placement.shards]
        backlog = await self._backlogs.measure_backlog(user_shard.pool, shards)
        metrics.note_observation(user_shard.pool, placement, backlog)
        return Observation(
            workers,
            placement,
            backlog,
            taken_by=taken_by,
            target_problem=target_problem,
            contested=contested,
            overdue=memory.note_asked(
                placement.shards,
                user_shard.spec.rebalance.drain_timeout_seconds,
                self._monotonic(),
            ),
        )

    def _note_placement_away(
        self, user_shard: UserShard, memory: PoolMemory, error: PlacementAway
    ) -> None:
        if memory.logged.is_due(self._monotonic(), "placement_away", str(error)):
            self._log.warning("placement_away", pool=user_shard.pool, problem=str(error))

    def _note_count(
        self, user_shard: UserShard, workers: WorkersObserved | None, memory: PoolMemory
    ) -> str:
        expected = memory.counted
        if memory.note_count(workers, self._monotonic()) and workers and expected:
            self._log.warning(
                "scale_target_contested",
                pool=user_shard.pool,
                expected=expected[1],
                found=workers.asked,
                writer=workers.writer,
                left_alone_seconds=CONTEST_HOLD_SECONDS,
            )
        return memory.contested(self._monotonic())

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
            return None
        serving = sum(worker.alive and not worker.draining for worker in seen.placement.workers)
        decision, memory.history = plan_replicas(
            user_shard.spec,
            WorkerCounts(asked=seen.workers.asked, serving=serving),
            len(seen.placement.shards),
            seen.backlog,
            memory.history,
            self._monotonic(),
            contested=bool(seen.contested),
        )
        return decision

    async def _apply(
        self, user_shard: UserShard, seen: Observation, plan: PoolPlan, memory: PoolMemory
    ) -> PoolPlan:
        """Write what differs; the plan, with the problem if the count could not be written."""
        if seen.placement is None:
            return plan
        pool = user_shard.pool
        if await self._store.ensure_policy(user_shard):
            self._log.info("policy_written", pool=pool)
        if plan.assignment is not None and plan.assignment.changes:
            await self._apply_assignment(user_shard, plan.assignment)
        if seen.workers is not None and plan.decision is not None:
            await self._tell_draining(user_shard, seen.workers, plan, memory)
            if plan.scale_to is not None:
                plan = await self._scale(user_shard, seen.workers, plan, memory)
        now = self._monotonic()
        if now - memory.forgot_at >= FORGET_PERIOD_SECONDS:
            memory.forgot_at = now
            if forgotten := await self._store.forget_workers(pool):
                self._log.info("workers_forgotten", pool=pool, workers=forgotten)
        return plan

    async def _apply_assignment(self, user_shard: UserShard, assignment: AssignmentPlan) -> None:
        pool = user_shard.pool
        written = await self._store.assign(pool, assignment.changes)
        metrics.note_assignment(pool, written, assignment.moves)
        self._log.info(
            "rebalanced",
            pool=pool,
            written=written,
            outdated=len(assignment.changes) - written,
            moves=assignment.moves,
            deferred=assignment.deferred,
        )
        await self._tell(user_shard, tell_rebalanced(assignment, written))

    async def _tell_draining(
        self,
        user_shard: UserShard,
        workers: WorkersObserved,
        plan: PoolPlan,
        memory: PoolMemory,
    ) -> None:
        """Once for each count that has to wait for workers to be emptied."""
        wanted = plan.decision.replicas if plan.decision else workers.asked
        waits = wanted < workers.asked and plan.scale_to != wanted
        if plan.decision and waits and wanted != memory.draining_to:
            self._log.info("draining", pool=user_shard.pool, asked=workers.asked, wanted=wanted)
            await self._tell(user_shard, tell_draining(workers.asked, plan.decision))
        memory.draining_to = wanted if waits else None

    async def _scale(
        self,
        user_shard: UserShard,
        workers: WorkersObserved,
        plan: PoolPlan,
        memory: PoolMemory,
    ) -> PoolPlan:
        before, after, decision = workers.asked, plan.scale_to, plan.decision
        assert after is not None  # noqa: S101 (the caller looked)
        assert decision is not None  # noqa: S101
        try:
            await self._workloads.scale(
                user_shard.namespace, user_shard.spec.scale_target_ref, after
            )
        except ApiRefused as refusal:
            problem = str(refusal)
            if memory.logged.is_due(self._monotonic(), "scaling_refused", problem):
                self._log.error("scaling_refused", pool=user_shard.pool, problem=problem)
            return replace(plan, scale_problem=f"{after} replicas could not be written: {refusal}")
        memory.counted = (workers.uid, after)
        memory.last_scale_time = self._now()
        metrics.note_scaling(user_shard.pool, before, after)
        told = tell_scaled(before, after, decision)
        why = decision.limited if decision.limited.holds else decision.active
        self._log.info(
            "scaled",
            pool=user_shard.pool,
            before=before,
            after=after,
            wanted=decision.wanted,
            reason=why.reason,
            why=told.message,
        )
        await self._tell(user_shard, told)
        return plan

    async def _report(
        self,
        user_shard: UserShard,
        before: UserShardStatus,
        status: UserShardStatus,
        memory: PoolMemory,
    ) -> None:
        """Write the status when a decision shows in it, else at most once in a while, else
        never."""
        metrics.note_conditions(user_shard.pool, status.conditions)
        if status == before:
            return
        now = self._monotonic()
        is_decision = without_figures(status) != without_figures(before)
        if is_decision or now - memory.written_at >= STATUS_REFRESH_SECONDS:
            memory.written_version = await self._reporter.write_status(user_shard, status)
            memory.written, memory.written_at = status, now
            for told in tell_changes(before, status):
                await self._tell(user_shard, told)

    async def _tell(self, user_shard: UserShard, told: Told) -> None:
        await self._reporter.record_event(
            user_shard, told.reason, told.message, warning=told.warning
        )

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
