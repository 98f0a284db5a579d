"""What users notice when shards change hands: moved, taken, killed, stopped.

Two worker processes on a real PostgreSQL (fsync on) and Valkey, with their neighbours in this
process (`tests.integration.user_worker.world`: gateway, ledger, …; the fence is the database's).
Users write to every shard all the time; the figure is how long the messages of a shard waited.

- moved: four shards at a time are assigned to the other worker, as the operator would; rounds in
  which nothing moves come in turns with them, so that the unmoved shards have a quiet figure.
- taken: two shards at a time are taken from their owners, which claim them anew, as when users are
  moved from one to the other; what the moving transaction itself takes comes on top.
- killed: SIGKILL, with a control loop (the operator's own, on these two workers) that assigns anew.
- stopped: SIGTERM, with the same control loop; also how long the process takes to end.
"""

import asyncio
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

from tests.integration.user_worker.world import POOL, World, neighbours, until
from tests.load.databases import durable_database
from tests.load.figures import tell
from tests.load.intervals import ratio_with_interval
from tests.load.latency import percentile

from chassis.ending import end_tasks
from chassis.postgres import PostgresSettings, open_pool
from chassis.redis import RedisSettings, open_redis
from chassis.settings import Secret
from devbox.roles import Database
from devbox.servers import embedded_valkey
from shard_operator.backlog import StreamBacklog
from shard_operator.controller import Controller
from shard_operator.postgres import PostgresPlacement, listen_placement
from shard_operator.reconciling import ReconcileLoop
from shard_operator.usershard import ScaleTarget, UserShard, UserShardSpec, UserShardStatus
from shard_operator.workloads import WorkersObserved

TARGET = "purser-user-worker"
WORKERS = (f"{TARGET}-0", f"{TARGET}-1")
SHARDS = 8
MOVED_AT_ONCE = 4
TAKEN_AT_ONCE = 2
ROUNDS = 24
ROUND_SECONDS = 1.2
WRITE_PERIOD_SECONDS = 0.1
"""Between two messages to one shard: how finely a pause is seen."""
ENDINGS = 4
SETTLE_SECONDS = 60.0


@dataclass
class Writing:
    """Users who write to every shard, and when each message was accepted."""

    world: World
    accepted: dict[str, float] = field(default_factory=dict)
    _users: list[UUID] = field(default_factory=lambda: [uuid4() for _ in range(SHARDS)])

    async def go_on(self) -> None:
        """Write until cancelled; each message has the time it was due as its beginning."""
        due = time.monotonic()
        while True:
            for shard, user in enumerate(self._users):
                due += WRITE_PERIOD_SECONDS / SHARDS
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                job = await self.world.gateway.accept(user, shard)
                self.accepted[job.job_id] = due

    def waits(self, shards: Sequence[int], since: float, until: float) -> dict[int, list[float]]:
        """How long each message waited that was written to these shards in that time."""
        waits: dict[int, list[float]] = {shard: [] for shard in shards}
        for job_id, at in self.accepted.items():
            ended = self.world.gateway.delivered.get(job_id)
            if since <= at < until and ended is not None and ended.job.shard in waits:
                waits[ended.job.shard].append(ended.at - at)
        return waits

    async def all_answered(self) -> None:
        """Wait until nothing is open, then forget it: the fake gateway keeps every job."""
        gateway = self.world.gateway
        await until(lambda: len(gateway.delivered) == len(gateway.jobs), SETTLE_SECONDS)

    def forget(self) -> None:
        """Start over with users nobody has met."""
        self.accepted.clear()
        self.world.gateway.jobs.clear()
        self.world.gateway.delivered.clear()
        self._users = [uuid4() for _ in range(SHARDS)]


class Worker:
    """A worker process."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        environ = os.environ | world.environ | {"USER_WORKER_NAME": name}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "user_worker"], env=environ, stderr=subprocess.DEVNULL
        )

    async def end(self, number: signal.Signals) -> float:
        """Send a signal; how many seconds until the process has ended."""
        began = time.monotonic()
        self.process.send_signal(number)
        await asyncio.to_thread(self.process.wait, SETTLE_SECONDS)
        return time.monotonic() - began


class TwoWorkers:
    """The scale target: its count is pinned, nothing is scaled."""

    async def observe_workers(self, namespace: str, target: ScaleTarget) -> WorkersObserved:
        """Both of them."""
        return WorkersObserved(len(WORKERS), len(WORKERS), WORKERS)

    async def scale(self, namespace: str, target: ScaleTarget, replicas: int) -> None:
        """Never asked for."""

    async def write_status(self, user_shard: UserShard, status: UserShardStatus) -> None:
        """Nobody looks."""

    async def record_event(
        self, user_shard: UserShard, reason: str, message: str, *, warning: bool = False
    ) -> None:
        """Nobody looks."""


async def bench(_asked: object) -> bool:
    """Measure and tell; True: a message that was not answered would have raised."""
    with tempfile.TemporaryDirectory(prefix="purser-bench-") as folder:
        async with (
            durable_database() as database,
            embedded_valkey(Path(folder), password=secrets.token_urlsafe(32)) as valkey,
            neighbours(database.owner_url, database.url("purser_worker"), valkey.url()) as world,
        ):
            for shard in range(SHARDS):
                await world.ensure_shards(shard, desired=WORKERS[shard % 2])
            workers = [Worker(world, name) for name in WORKERS]
            try:
                await _settled(world, workers)
                await _measure_moves(world, "that moves", MOVED_AT_ONCE, _swap)
                await _measure_moves(world, "that is taken from its owner", TAKEN_AT_ONCE, _take)
                async with _control_loop(database, valkey.url()):
                    await _measure_endings(world, workers, signal.SIGKILL)
                    await _measure_endings(world, workers, signal.SIGTERM)
            finally:
                for worker in workers:
                    worker.process.kill()
                    worker.process.wait()
    return True


async def _settled(world: World, workers: Sequence[Worker]) -> None:
    """Wait until every worker serves its share."""

    async def holds() -> bool:
        served = await world.owner.fetch(
            "SELECT s.owner, count(*) AS shards FROM placement.shards s"
            " JOIN placement.workers w"
            " ON w.worker = s.owner AND w.incarnation = s.owner_incarnation"
            " WHERE w.lease_until > clock_timestamp() AND s.owner = s.desired_owner GROUP BY 1"
        )
        return [row["shards"] for row in served] == [SHARDS // len(workers)] * len(workers)

    await until(holds, SETTLE_SECONDS)


@asynccontextmanager
async def _writing(world: World) -> AsyncIterator[Writing]:
    writing = Writing(world)
    task = asyncio.create_task(writing.go_on())
    try:
        yield writing
    finally:
        await end_tasks({task})


async def _measure_moves(
    world: World,
    which: str,
    at_once: int,
    change: Callable[[World, Sequence[int]], Awaitable[None]],
) -> None:
    pauses: list[float] = []
    beside: list[float] = []
    quiet: list[float] = []
    writing = Writing(world)
    for number in range(2 * ROUNDS):
        moved = [(number // 2 * at_once + n) % SHARDS for n in range(at_once)]
        is_quiet = number % 2 == 0
        task = asyncio.create_task(writing.go_on())
        await asyncio.sleep(ROUND_SECONDS / 4)
        began = time.monotonic()
        if not is_quiet:
            await change(world, moved)
        await asyncio.sleep(ROUND_SECONDS)
        await end_tasks({task})
        await writing.all_answered()
        unmoved = [shard for shard in range(SHARDS) if shard not in moved]
        others = writing.waits(unmoved, began, began + ROUND_SECONDS)
        (quiet if is_quiet else beside).extend(wait for some in others.values() for wait in some)
        if not is_quiet:
            # What was written just before may meet the hand-over as well.
            waits = writing.waits(moved, began - WRITE_PERIOD_SECONDS, began + ROUND_SECONDS)
            pauses += [max(some) for some in waits.values() if some]
        writing.forget()
    pauses.sort()
    usual = statistics.median(quiet)
    tell(
        f"longest wait of a message to a shard {which}",
        percentile(pauses, 0.5) * 1000,
        "ms",
        p99_ms=round(percentile(pauses, 0.99) * 1000, 1),
        worst_ms=round(pauses[-1] * 1000, 1),
        quiet_p50_ms=round(usual * 1000, 1),
        moves=len(pauses),
        at_once=at_once,
        messages_per_second=round(SHARDS / WRITE_PERIOD_SECONDS),
    )
    ratio, interval = ratio_with_interval(beside, quiet, 0.99)
    tell(
        f"p99 of the others against their quiet p99, beside a shard {which}",
        ratio,
        "times",
        interval_95=[round(bound, 3) for bound in interval],
        quiet_p99_ms=round(percentile(sorted(quiet), 0.99) * 1000, 1),
        messages=len(quiet) + len(beside),
    )


async def _swap(world: World, shards: Sequence[int]) -> None:
    """Assign these shards to the worker that does not have them."""
    for shard in shards:
        await world.owner.execute(
            "SELECT placement.assign_shard($1, $2, s.desired_owner,"
            " CASE s.desired_owner WHEN $3 THEN $4 ELSE $3 END)"
            " FROM placement.shards s WHERE s.pool = $1 AND s.shard = $2",
            *(POOL, shard, *WORKERS),
        )


async def _take(world: World, shards: Sequence[int]) -> None:
    """Take these shards from their owners, to whom they stay assigned."""
    await world.owner.execute(
        "SELECT placement.revoke_shards($1, $2)", [POOL] * len(shards), list(shards)
    )


async def _measure_endings(world: World, workers: list[Worker], number: signal.Signals) -> None:
    pauses: list[float] = []
    endings: list[float] = []
    for turn in range(ENDINGS):
        await _settled(world, workers)
        doomed = workers[turn % 2]
        owners = await world.owners()
        shards = [shard for shard, owner in owners.items() if owner == doomed.name]
        async with _writing(world) as writing:
            await asyncio.sleep(0.5)
            began = time.monotonic()
            endings.append(await doomed.end(number))
            await until(partial(_is_served_again, world, shards, doomed.name), SETTLE_SECONDS)
            await asyncio.sleep(0.5)
        await writing.all_answered()
        waits = writing.waits(shards, began - 0.5, time.monotonic())
        pauses += [max(some) for some in waits.values() if some]
        writing.forget()
        workers[turn % 2] = Worker(world, doomed.name)
    what = "killed" if number is signal.SIGKILL else "stopped by SIGTERM"
    pauses.sort()
    tell(
        f"longest wait of a message to a shard of a worker that is {what}",
        percentile(pauses, 0.5) * 1000,
        "ms",
        p99_ms=round(percentile(pauses, 0.99) * 1000, 1),
        worst_ms=round(pauses[-1] * 1000, 1),
        shards=len(pauses),
        workers=ENDINGS,
    )
    if number is signal.SIGTERM:
        tell(
            "SIGTERM until the worker has handed over and ended",
            statistics.median(endings),
            "s",
            worst_s=round(max(endings), 2),
            workers=ENDINGS,
        )


async def _is_served_again(world: World, shards: Sequence[int], doomed: str) -> bool:
    owners = await world.owners()
    return all(owners[shard] not in (None, doomed) for shard in shards)


@asynccontextmanager
async def _control_loop(database: Database, redis_url: str) -> AsyncIterator[None]:
    """Run the operator's own loop over the two workers."""
    secret = Secret(database.url("purser_operator"))
    pool = await open_pool(PostgresSettings(database_url=secret, connections_max=2), "bench")
    redis = open_redis(RedisSettings(redis_url=Secret(redis_url)))
    spec = UserShardSpec(scale_target_ref=ScaleTarget(name=TARGET), replicas=len(WORKERS))
    namespace, _, name = POOL.partition(".")
    user_shard = UserShard(namespace=namespace, name=name, spec=spec)
    world, wake = TwoWorkers(), asyncio.Event()
    controller = Controller(
        workloads=world, store=PostgresPlacement(pool), backlogs=StreamBacklog(redis),
        reporter=world,
    )  # fmt: skip
    tasks = [
        asyncio.create_task(ReconcileLoop(controller, lambda: [user_shard], wake).run()),
        asyncio.create_task(listen_placement(secret, wake)),
    ]
    try:
        yield
    finally:
        await end_tasks(tasks)
        await pool.close()
        await redis.aclose()
