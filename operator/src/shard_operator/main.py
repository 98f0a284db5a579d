"""The one place where everybody of the operator is introduced to everybody.

A process opens what it needs, then stands by for the Lease. Leading means: watch UserShards, listen
to placement, reconcile, renew. When any of these ends, all do; a stop gives the Lease up first, so
that the next operator need not wait, and a lost Lease ends the process: another one may be acting.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from chassis import telemetry
from chassis.ending import end_tasks
from chassis.postgres import open_pool
from chassis.process import ready_line
from chassis.redis import open_redis
from chassis.telemetry import get_logger
from shard_operator import metrics
from shard_operator.api import KubernetesApi
from shard_operator.backlog import StreamBacklog
from shard_operator.cluster import KubernetesReporter, KubernetesWorkloads, process_identity
from shard_operator.cluster_view import ClusterView
from shard_operator.conditions import say_invalid
from shard_operator.controller import Controller
from shard_operator.errors import ApiRefused, LeadershipLost, TryLater
from shard_operator.handlers import Kind
from shard_operator.health import serving_health
from shard_operator.leadership import Leadership
from shard_operator.lease import KubernetesLease
from shard_operator.pools import Pools
from shard_operator.postgres import PostgresPlacement, listen_placement
from shard_operator.reconciling import ReconcileLoop
from shard_operator.settings import Settings
from shard_operator.usershard import UserShard
from shard_operator.watching import ClusterWatching, Sink

EXIT_LEADERSHIP_LOST = 3
"""Told apart from a crash: kubelet starts it again and it stands by."""

TELL_INVALID_PERIOD_SECONDS = 3.0
"""How soon after an object turned out to be unreadable its author is told on it."""

TELL_INVALID_AGAIN_SECONDS = 60.0
"""When that could not be written."""


@dataclass(slots=True)
class Operator:
    """Everybody, introduced."""

    settings: Settings
    api: KubernetesApi
    leadership: Leadership
    reporter: KubernetesReporter
    pools: Pools
    watching: ClusterWatching
    loop: ReconcileLoop
    wake: asyncio.Event
    told_invalid: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict)
    """By unreadable object: its problem, and from when on that is to be told again."""


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Operator]:
    """Open and wire everything; close it in reverse. Raises CannotStart."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(telemetry.start("operator", settings.telemetry))
        # While PostgreSQL is away the operator says so on every pool, and does not end.
        pool = await open_pool(settings.postgres, "purser-operator", connect_at_once=False)
        stack.push_async_callback(pool.close)
        redis = open_redis(settings.redis)
        stack.push_async_callback(redis.aclose)
        api = await stack.enter_async_context(KubernetesApi())
        identity = process_identity()
        leadership = Leadership(
            KubernetesLease(api, settings.namespace, settings.lease.lease_name),
            identity,
            settings.lease,
        )
        reporter = KubernetesReporter(api, identity)
        wake = asyncio.Event()
        pools, view = Pools(wake), ClusterView(wake)
        controller = Controller(
            workloads=KubernetesWorkloads(api, view),
            store=PostgresPlacement(pool),
            backlogs=StreamBacklog(redis),
            reporter=reporter,
        )
        sinks: dict[Kind, Sink] = {
            Kind.USER_SHARD: pools,
            Kind.STATEFUL_SET: view.targets,
            Kind.POD: view.pods,
        }
        watching = ClusterWatching(settings, api, sinks)

        def list_pools() -> Sequence[UserShard]:
            # Asked at every pass: a process that was stopped and wakes up must not act any more.
            if not leadership.is_leading:
                raise LeadershipLost("the Lease ran out before the pass")
            return pools.list_valid()

        loop = ReconcileLoop(controller, list_pools, wake)
        yield Operator(settings, api, leadership, reporter, pools, watching, loop, wake)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Stand by, lead, until `stop` is set. Raises CannotStart; exits when the Lease is lost."""
    async with opened(settings) as operator:

        def is_live() -> bool:
            silent = operator.loop.silent_seconds()
            behind = max(silent, operator.watching.stale_seconds())
            return not operator.leadership.is_leading or behind < settings.stuck_after_seconds

        async with serving_health(settings.health_address, is_live) as port:
            ready_line("operator", health_port=port, namespace=settings.namespace)
            leading = asyncio.create_task(_lead(operator), name="lead")
            stopping = asyncio.create_task(stop.wait(), name="stop")
            await asyncio.wait({leading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            leading.cancel()
            why = ""
            try:
                with contextlib.suppress(asyncio.CancelledError):
                    await leading
            except* LeadershipLost as lost:
                why = str(lost.exceptions[0])
            if why:
                get_logger(__name__).error("leadership_lost", why=why)
                raise SystemExit(EXIT_LEADERSHIP_LOST)


async def _lead(operator: Operator) -> None:
    await operator.leadership.acquire()
    metrics.LEADING.set(1)
    settings = operator.settings
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(operator.leadership.keep(), name="renew the Lease")
            await operator.watching.list_until_known()
            listen_url = settings.listen_database_url or settings.postgres.database_url
            tasks.create_task(listen_placement(listen_url, operator.wake), name="listen")
            tasks.create_task(operator.watching.watch(), name="watch")
            tasks.create_task(operator.watching.relist(), name="relist")
            tasks.create_task(_keep_telling_invalid(operator), name="tell of invalid objects")
            reconciling = tasks.create_task(operator.loop.run(), name="reconcile")
            try:
                await asyncio.wait({reconciling})
            finally:
                # It asks Redis, where a single cancellation may get lost.
                await end_tasks({reconciling})
    finally:
        metrics.LEADING.set(0)
        await operator.leadership.release()


async def _keep_telling_invalid(operator: Operator) -> None:
    while True:
        await _tell_invalid(operator)
        await asyncio.sleep(TELL_INVALID_PERIOD_SECONDS)


async def _tell_invalid(operator: Operator) -> None:
    """Say on the object itself that it cannot be read: once per problem, if it could be written."""
    told: dict[tuple[str, str], tuple[str, float]] = {}
    now, clock = time.monotonic(), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for problem in operator.pools.list_invalid():
        key = (problem.namespace, problem.name)
        said, again_at = operator.told_invalid.get(key, ("", 0.0))
        if said == problem.problem and now < again_at:
            told[key] = (said, again_at)
            continue
        get_logger(__name__).error("user_shard_invalid", problem=str(problem))
        try:
            await operator.reporter.write_status(problem, say_invalid(problem, clock))
            told[key] = (problem.problem, math.inf)
        except (TryLater, ApiRefused) as error:
            get_logger(__name__).warning("status_not_written", problem=str(error))
            told[key] = (problem.problem, now + TELL_INVALID_AGAIN_SECONDS)
    operator.told_invalid = told
