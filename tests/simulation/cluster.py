"""The cluster: who runs where. A StatefulSet that restarts what dies and stops what is too much,
and the operators' processes with the real controller.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import Random

import msgspec
from tests.simulation.checking import Witness
from tests.simulation.loop import Life, Process, SimulatedLoop
from tests.simulation.network import Network
from tests.simulation.placement import PlacementTables, SimulatedStore
from tests.simulation.redis import SimulatedBacklog, Streams
from tests.simulation.worker import Around, Worker

from shard_operator.controller import Controller
from shard_operator.errors import ApiAway, TryLater
from shard_operator.usershard import (
    RebalancePolicy,
    ScaleTarget,
    UserShard,
    UserShardSpec,
    UserShardStatus,
    WorkersPolicy,
)
from shard_operator.workloads import WorkersObserved
from user_worker.errors import DependencyDown

WORKERS_MAX = 5
RECONCILE_SECONDS = 1.0
GRACE_SECONDS = 40.0
"""As the chart has it: the drain bound and more."""
LIVES_PER_ORDINAL_MAX = 200


class StatefulSet:
    """Keeps `asked` workers running; ports `workloads.Workloads`."""

    def __init__(self, loop: SimulatedLoop, random: Random, around: Around, asked: int) -> None:
        self.asked = asked
        self.workers: dict[int, Worker] = {}
        self.skew = 0.0
        """How far clocks may run apart from the world's, as a share."""
        self._loop = loop
        self._random = random
        self._around = around
        self._starting: set[int] = set()

    def keep(self) -> None:
        """Start what is missing, stop what is too much."""
        for ordinal, worker in list(self.workers.items()):
            if worker.task.done() or worker.process.life is Life.DEAD:
                del self.workers[ordinal]
        for ordinal in range(self.asked):
            if ordinal not in self.workers and ordinal not in self._starting:
                self._starting.add(ordinal)
                self._later(self._random.uniform(0.1, 2.5), partial(self._start, ordinal))
        for ordinal in list(self.workers):
            if ordinal >= self.asked:
                self.terminate(ordinal)

    def terminate(self, ordinal: int) -> None:
        """SIGTERM, and SIGKILL at the end of the grace period."""
        worker = self.workers.get(ordinal)
        if worker is None or worker.stop.is_set():
            return
        self._loop.post(worker.process, 0.0, worker.stop.set)
        self._later(GRACE_SECONDS, lambda: self.kill(worker.process))

    def kill(self, process: Process) -> None:
        """SIGKILL."""
        if process.life is not Life.DEAD:
            process.kill()
            self.keep()

    def names(self) -> list[str]:
        """The workers that live."""
        return [w.name for w in self.workers.values() if w.process.life is not Life.DEAD]

    def _start(self, ordinal: int) -> None:
        self._starting.discard(ordinal)
        if ordinal >= self.asked or ordinal in self.workers:
            return
        name = name_of(ordinal)
        rate = 1.0 + self._random.uniform(-self.skew, self.skew)
        process = Process(self._loop, name, rate, self._random.uniform(0.0, 1000.0))
        worker = Worker(self._around, process, name)
        self.workers[ordinal] = worker
        worker.task.add_done_callback(
            lambda _: self._later(0.0, self.keep), context=self._loop.world.context
        )

    def _later(self, seconds: float, callback: Callable[[], None]) -> None:
        self._loop.post(self._loop.world, seconds, callback)


def name_of(ordinal: int) -> str:
    """A pod's name."""
    return f"worker-{ordinal}"


class _Workloads:
    """workloads.Workloads"""

    def __init__(self, network: Network, pods: StatefulSet) -> None:
        self._network = network
        self._pods = pods

    async def observe_workers(self, namespace: str, target: ScaleTarget) -> WorkersObserved | None:
        """See workloads."""
        asked = await self._call("target", lambda: self._pods.asked)
        names = tuple(name_of(ordinal) for ordinal in range(asked))
        return WorkersObserved(asked, len(self._pods.names()), names, "uid")

    async def scale(self, namespace: str, target: ScaleTarget, replicas: int) -> None:
        """See workloads."""

        def write() -> int:
            self._pods.asked = replicas
            self._pods.keep()
            return replicas

        await self._call(f"scale to {replicas}", write)

    async def _call(self, what: str, effect: Callable[[], int]) -> int:
        try:
            return await self._network.call("kubernetes", what, effect)
        except DependencyDown as away:
            raise ApiAway(str(away)) from away


class _Reporter:
    """workloads.Reporter; nobody looks."""

    async def write_status(self, user_shard: UserShard, status: UserShardStatus) -> None:
        """See workloads."""

    async def record_event(
        self, user_shard: UserShard, reason: str, message: str, *, warning: bool = False
    ) -> None:
        """See workloads."""


class Operators:
    """The control loops: one, at times two, at times none."""

    def __init__(
        self,
        loop: SimulatedLoop,
        network: Network,
        placement: PlacementTables,
        streams: Streams,
        pods: StatefulSet,
        witness: Witness,
    ) -> None:
        self.replicas = pods.asked
        self.running: list[Process] = []
        self.wakes: dict[Process, asyncio.Event] = {}
        self.tasks: list[asyncio.Task[None]] = []
        self._loop = loop
        self._network = network
        self._placement = placement
        self._streams = streams
        self._pods = pods
        self._witness = witness
        self._born = 0

    def start(self) -> None:
        """One more."""
        self._born += 1
        process = Process(self._loop, f"operator-{self._born}")
        self.running.append(process)
        self.wakes[process] = asyncio.Event()
        self.tasks.append(process.spawn(self._run(self.wakes[process])))

    def end(self, process: Process) -> None:
        """One less, at once."""
        process.kill()
        self.running.remove(process)
        del self.wakes[process]

    async def _run(self, wake: asyncio.Event) -> None:
        loop = self._loop
        controller = Controller(
            workloads=_Workloads(self._network, self._pods),
            store=SimulatedStore(self._network, self._placement),
            backlogs=SimulatedBacklog(self._network, self._streams),
            reporter=_Reporter(),
            monotonic=loop.time,
        )
        spec = UserShardSpec(
            scale_target_ref=ScaleTarget(name="worker"),
            workers=WorkersPolicy(min_replicas=1, max_replicas=WORKERS_MAX),
            rebalance=RebalancePolicy(max_concurrent_moves=2, drain_timeout_seconds=5),
        )
        namespace, _, name = self._placement.pool.partition(".")
        while True:
            wake.clear()
            pinned = msgspec.structs.replace(spec, replicas=self.replicas)
            user_shard = UserShard(
                namespace=namespace, name=name, uid="uid", generation=1, spec=pinned
            )
            with suppress(TryLater):
                self._witness.saw_plan(await controller.reconcile(user_shard))
            with suppress(TimeoutError):
                async with asyncio.timeout(RECONCILE_SECONDS):
                    await wake.wait()
            await asyncio.sleep(0.05)
