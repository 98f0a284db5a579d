"""The one place where everybody of the operator is introduced to everybody.

A process opens what it needs, then stands by for the Lease. Leading means: watch UserShards, listen
to placement, reconcile, renew. When any of these ends, all do; a stop gives the Lease up first, so
that the next operator need not wait, and a lost Lease ends the process: another one may be acting.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chassis import telemetry
from chassis.migrations import folder_of, require_applied
from chassis.postgres import open_pool
from chassis.process import ready_line
from chassis.redis import open_redis
from chassis.telemetry import get_logger
from shard_operator import metrics
from shard_operator.api import KubernetesApi, resource_path
from shard_operator.backlog import StreamBacklog
from shard_operator.cluster import KubernetesReporter, KubernetesWorkloads, process_identity
from shard_operator.conditions import say_invalid
from shard_operator.controller import Controller
from shard_operator.errors import ApiRefused, LeadershipLost, TryLater
from shard_operator.handlers import UserShardWatch
from shard_operator.health import serving_health
from shard_operator.leadership import Leadership
from shard_operator.lease import KubernetesLease
from shard_operator.pools import Pools
from shard_operator.postgres import PostgresPlacement, listen_placement
from shard_operator.reconciling import ReconcileLoop
from shard_operator.settings import Settings
from shard_operator.usershard import GROUP, PLURAL, VERSION, UserShard

EXIT_LEADERSHIP_LOST = 3
"""Told apart from a crash: kubelet starts it again and it stands by."""

LIST_RETRY_SECONDS = 5.0
"""Pause before listing UserShards again when that failed: the API is away, or has no such kind
yet."""


@dataclass(slots=True)
class Operator:
    """Everybody, introduced."""

    settings: Settings
    api: KubernetesApi
    leadership: Leadership
    reporter: KubernetesReporter
    pools: Pools
    loop: ReconcileLoop
    wake: asyncio.Event
    told_invalid: dict[tuple[str, str], str] = field(default_factory=dict)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Operator]:
    """Open and wire everything; close it in reverse. Raises CannotStart."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(telemetry.start("operator", settings.telemetry))
        pool = await open_pool(settings.postgres, "purser-operator")
        stack.push_async_callback(pool.close)
        await require_applied(pool, "placement", folder_of("shard_operator"))
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
        controller = Controller(
            workloads=KubernetesWorkloads(api),
            store=PostgresPlacement(pool),
            backlogs=StreamBacklog(redis),
            reporter=reporter,
        )
        wake = asyncio.Event()
        pools = Pools(wake)

        def list_pools() -> Sequence[UserShard]:
            # Asked at every pass: a process that was stopped and wakes up must not act any more.
            if not leadership.is_leading:
                raise LeadershipLost("the Lease ran out before the pass")
            return pools.list_valid()

        loop = ReconcileLoop(controller, list_pools, wake)
        yield Operator(settings, api, leadership, reporter, pools, loop, wake)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Stand by, lead, until `stop` is set. Raises CannotStart; exits when the Lease is lost."""
    async with opened(settings) as operator:

        def is_live() -> bool:
            silent = time.monotonic() - operator.loop.passed_at
            return not operator.leadership.is_leading or silent < settings.stuck_after_seconds

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
    operator.loop.passed_at = time.monotonic()
    metrics.LEADING.set(1)
    settings = operator.settings
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(operator.leadership.keep(), name="renew the Lease")
            await _list_until_known(operator)
            listen_url = settings.listen_database_url or settings.postgres.database_url
            tasks.create_task(listen_placement(listen_url, operator.wake), name="listen")
            tasks.create_task(_watch(operator), name="watch")
            tasks.create_task(_relist(operator), name="relist")
            tasks.create_task(operator.loop.run(), name="reconcile")
    finally:
        metrics.LEADING.set(0)
        await operator.leadership.release()


async def _watch(operator: Operator) -> None:
    """Keep kopf running: it ends when the API server refuses it for long; listing fills in."""

    def note_event(body: dict[str, Any], deleted: bool) -> None:
        operator.pools.note_event(body, deleted=deleted)

    while True:
        watch = UserShardWatch(operator.settings, note_event)
        watch.start()
        try:
            await asyncio.shield(watch.ended)
            problem = "kopf ended"
        except asyncio.CancelledError:
            await watch.stop()
            raise
        except Exception as error:  # noqa: BLE001 (whatever kopf could not go on with)
            problem = f"{type(error).__name__}: {error}"
        get_logger(__name__).warning("watch_ended", problem=problem)
        await asyncio.sleep(LIST_RETRY_SECONDS)


async def _list_until_known(operator: Operator) -> None:
    """The first listing: kopf looks for the kind once, so it must be there before."""
    known = await _list(operator)
    while not known:
        await asyncio.sleep(LIST_RETRY_SECONDS)
        known = await _list(operator)


async def _relist(operator: Operator) -> None:
    while True:
        await asyncio.sleep(operator.settings.relist_period_seconds)
        await _list(operator)


async def _list(operator: Operator) -> bool:
    settings, log = operator.settings, get_logger(__name__)
    everywhere = "*" in settings.watch_namespaces
    namespaces = [None] if everywhere else settings.watch_namespaces or (settings.namespace,)
    try:
        bodies = []
        for namespace in namespaces:
            path = resource_path(f"{GROUP}/{VERSION}", PLURAL, namespace)
            bodies += (await operator.api.get(path))["items"]
    except TryLater as error:
        log.warning("listing_failed", problem=str(error))
        return False
    except ApiRefused as refusal:
        what = (
            "apply charts/purser-crds" if refusal.status == 404 else "look at the operator's role"
        )
        log.warning("user_shards_not_listed", problem=str(refusal), what_to_do=what)
        return False
    operator.pools.replace_all(bodies)
    await _tell_invalid(operator)
    return True


async def _tell_invalid(operator: Operator) -> None:
    """Say on the object itself that it cannot be read, once per problem."""
    told, now = {}, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for problem in operator.pools.list_invalid():
        key = (problem.namespace, problem.name)
        told[key] = problem.problem
        if operator.told_invalid.get(key) == problem.problem:
            continue
        get_logger(__name__).error("user_shard_invalid", problem=str(problem))
        with contextlib.suppress(TryLater, ApiRefused):
            await operator.reporter.write_status(problem, say_invalid(problem, now))
    operator.told_invalid = told
