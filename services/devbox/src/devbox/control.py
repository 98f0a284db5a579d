"""The control loop of the operator, on local processes instead of pods.

The loop is the operator's own (`shard_operator`): it observes, plans and applies over protocols.
This module gives it a world of one machine: a UserShard made from the run's settings, and workers
that are processes with ordinals. As with a StatefulSet, scaling in ends the highest ordinals first,
one after the other, and `scale` returns when the count is noted, not when it is reached.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from chassis.postgres import PostgresSettings, open_pool
from chassis.redis import RedisSettings, open_redis
from chassis.settings import Secret
from chassis.telemetry import get_logger
from devbox.fleet import Fleet
from devbox.keeper import Keeper, State
from devbox.processes import POOL, WORKER, World, worker_name
from devbox.settings import RunSettings
from shard_operator.backlog import StreamBacklog
from shard_operator.controller import Controller
from shard_operator.postgres import PostgresPlacement, listen_placement
from shard_operator.reconciling import ReconcileLoop
from shard_operator.usershard import (
    ScaleTarget,
    UserShard,
    UserShardSpec,
    UserShardStatus,
    WorkersPolicy,
)
from shard_operator.workloads import WorkersObserved

CONNECTIONS_MAX = 2


class LocalWorkers:
    """The workers of this machine, by ordinal; implements `shard_operator.workloads.Workloads`."""

    def __init__(self, fleet: Fleet, begin_worker: Callable[[int], Keeper]) -> None:
        self._fleet = fleet
        self._begin_worker = begin_worker
        self._keepers: list[Keeper] = []
        self._asked = 0
        self._changed = asyncio.Event()

    async def observe_workers(self, namespace: str, target: ScaleTarget) -> WorkersObserved:
        """Give the count asked for and the names it stands for."""
        del namespace, target  # one machine has one set of workers
        return WorkersObserved(
            asked=self._asked,
            ready=sum(keeper.state is State.READY for keeper in self._keepers),
            names=tuple(worker_name(ordinal) for ordinal in range(self._asked)),
        )

    async def scale(self, namespace: str, target: ScaleTarget, replicas: int) -> None:
        """Note the count; `converge` reaches it."""
        del namespace, target
        self._asked = replicas
        self._changed.set()

    def grow(self, replicas: int) -> None:
        """Begin the workers that are missing up to a count."""
        self._asked = replicas
        while len(self._keepers) < replicas:
            self._keepers.append(self._begin_worker(len(self._keepers)))

    async def converge(self) -> None:
        """Follow the count asked for, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            self.grow(self._asked)
            while len(self._keepers) > self._asked:
                await self._fleet.stop(self._keepers.pop())


class LoggedStatus:
    """Where a cluster has an object's status and events, one machine has a log."""

    def __init__(self) -> None:
        self._log = get_logger(__name__)

    async def write_status(self, user_shard: UserShard, status: UserShardStatus) -> None:
        """Log the figures a person would look for."""
        self._log.debug(
            "status", pool=user_shard.pool, replicas=status.replicas, backlog=status.backlog
        )

    async def record_event(
        self, user_shard: UserShard, reason: str, message: str, *, warning: bool = False
    ) -> None:
        """Log a warning; of its decisions the controller has told already."""
        if warning:
            self._log.warning("event", pool=user_shard.pool, reason=reason, message=message)


def local_user_shard(settings: RunSettings, pinned: int | None = None) -> UserShard:
    """Give the UserShard that this machine serves.

    `pinned` is the count a person asked for (`devbox scale`); the bounds make way for it.
    """
    namespace, _, name = POOL.partition(".")
    least, most = settings.workers, settings.workers_max
    if pinned is not None:
        least, most = min(least, pinned), max(most, pinned)
    spec = UserShardSpec(
        users_per_shard=settings.users_per_shard,
        replicas=pinned,
        scale_target_ref=ScaleTarget(name=WORKER),
        workers=WorkersPolicy(min_replicas=least, max_replicas=most),
    )
    return UserShard(namespace=namespace, name=name, spec=spec)


@contextlib.asynccontextmanager
async def control_loop(
    world: World, workers: LocalWorkers, read_pin: Callable[[], int | None]
) -> AsyncIterator[None]:
    """Run the control loop beside the body of the context.

    `read_pin` gives the count of workers a person asked for; it is read at each pass.
    """
    settings = world.settings
    secret = Secret(world.database.url("purser_operator"))
    postgres = PostgresSettings(
        database_url=secret,
        connections_max=CONNECTIONS_MAX,
        prepared_statements=settings.database_url is None,
    )
    wake = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        pool = await open_pool(postgres, "devbox control")
        stack.push_async_callback(pool.close)
        redis = open_redis(
            RedisSettings(redis_url=Secret(world.redis_url), redis_ca_file=world.redis_ca_file)
        )
        stack.push_async_callback(redis.aclose)
        controller = Controller(
            workloads=workers,
            store=PostgresPlacement(pool),
            backlogs=StreamBacklog(redis),
            reporter=LoggedStatus(),
        )
        loop = ReconcileLoop(controller, lambda: [local_user_shard(settings, read_pin())], wake)
        tasks = [
            asyncio.create_task(loop.run(), name="reconcile"),
            asyncio.create_task(listen_placement(secret, wake), name="listen"),
            asyncio.create_task(workers.converge(), name="converge"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            pool.terminate()
