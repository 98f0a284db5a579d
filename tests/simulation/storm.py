"""What goes wrong in one run: drawn from the seed, some of it at moments, some of it with a chance
per request. After `heal` nothing goes wrong any more, but clocks still differ.
"""

from collections.abc import Callable
from random import Random

from tests.simulation.cluster import WORKERS_MAX, Operators, StatefulSet, name_of
from tests.simulation.gateway import Pusher
from tests.simulation.loop import Life, Process, SimulatedLoop
from tests.simulation.network import FAULTS, Network
from tests.simulation.redis import Streams

from kernel.sharding import ShardKey

SERVICES = ("database", "gateway", "ledger", "venue", "wallet", "redis", "pricing", "kubernetes")
SHARE_MAX = 0.04
"""Of requests that meet one kind of fault."""
STOP_SECONDS = (0.2, 9.0)
"""A lease is three seconds: some of these are within it, most beyond."""
BETWEEN_SECONDS = 1.2


class Storm:
    """Does harm until `heal`."""

    def __init__(
        self,
        loop: SimulatedLoop,
        network: Network,
        random: Random,
        pods: StatefulSet,
        operators: Operators,
        streams: Streams,
        pusher: Pusher,
    ) -> None:
        self.is_over = False
        self.share_deaf = 0.0
        """Of notifications that nobody hears."""
        self.roughnesses: tuple[float, ...] = (0.0, 0.5, 1.0, 1.0, 1.0)
        """One of them says how many of all requests meet a fault."""
        self._loop = loop
        self._network = network
        self._random = random
        self._pods = pods
        self._operators = operators
        self._streams = streams
        self._pusher = pusher
        self._stopped: list[Process] = []
        self._harms: tuple[Callable[[], None], ...] = (
            self._kill_worker,
            self._kill_worker,
            self._stop_worker,
            self._stop_worker,
            self._terminate_worker,
            self._scale,
            self._take_down,
            self._take_down,
            self._cut_off,
            self._cut_off,
            self._flush,
            self._lie,
            self._operators_change,
        )
        network.kill = self.kill
        network.stop = self.stop

    def begin(self) -> None:
        """Draw how rough it is, and begin."""
        random, weather = self._random, self._network.weather
        roughness = random.choice(self.roughnesses)
        for fate in FAULTS:
            if random.random() < 0.7:
                share = SHARE_MAX * random.random() * roughness
                is_heavy = fate.value.startswith("caller")
                weather.shares[fate] = share / 8 if is_heavy else share
        weather.delay_seconds = random.choice((0.002, 0.004, 0.03))
        self.share_deaf = random.choice((0.0, 0.3, 1.0))
        self._pusher.share_lost = random.choice((0.0, 0.1, 1.0))
        self._pusher.share_late = random.choice((0.0, 0.1, 0.3))
        self._pusher.share_repeated = random.choice((0.0, 0.2))
        self._pods.skew = random.choice((0.0, 0.02, 0.02, 0.3))
        self._harm_later()

    def heal(self) -> None:
        """Mend everything."""
        self.is_over = True
        weather = self._network.weather
        weather.shares.clear()
        weather.down.clear()
        weather.cuts.clear()
        weather.delay_seconds = 0.004
        self.share_deaf = 0.0
        self._pusher.share_lost = self._pusher.share_late = self._pusher.share_repeated = 0.0
        for process in self._stopped:
            process.go_on(timers_first=self._random.random() < 0.5)
        if not self._operators.running:
            self._operators.start()
        while len(self._operators.running) > 1:
            self._operators.end(self._operators.running[0])
        self._pods.keep()

    def kill(self, process: Process) -> None:
        """kill -9"""
        if self.is_over or process is self._loop.world:
            return
        if process in self._operators.running:
            self._count("operator killed")
            self._operators.end(process)
            self._after(self._random.uniform(0.5, 4.0), self._operators_return)
            return
        self._count("worker killed")
        self._pods.kill(process)

    def stop(self, process: Process) -> None:
        """kill -STOP, and -CONT by and by."""
        if self.is_over or process.life is not Life.RUNNING or process is self._loop.world:
            return
        self._count("process stopped")
        process.stop()
        self._stopped.append(process)
        first = self._random.random() < 0.5
        self._after(self._random.uniform(*STOP_SECONDS), lambda: process.go_on(timers_first=first))

    def _harm_later(self) -> None:
        self._after(self._random.expovariate(1 / BETWEEN_SECONDS), self._harm)

    def _harm(self) -> None:
        if not self.is_over:
            self._random.choice(self._harms)()
            self._harm_later()

    def _worker(self) -> Process | None:
        live = [w.process for w in self._pods.workers.values() if w.process.life is Life.RUNNING]
        return self._random.choice(live) if live else None

    def _kill_worker(self) -> None:
        if (process := self._worker()) is not None:
            self.kill(process)

    def _stop_worker(self) -> None:
        if (process := self._worker()) is not None:
            self.stop(process)

    def _terminate_worker(self) -> None:
        if self._pods.workers:
            self._count("worker told to leave")
            self._pods.terminate(self._random.choice(list(self._pods.workers)))

    def _scale(self) -> None:
        self._count("workers added or removed")
        self._operators.replicas = self._random.randint(1, WORKERS_MAX)

    def _take_down(self) -> None:
        service = self._random.choice(SERVICES)
        self._count("service down")
        self._network.weather.down[service] += 1
        self._after(self._random.uniform(0.1, 5.0), lambda: self._bring_up(service))

    def _bring_up(self, service: str) -> None:
        down = self._network.weather.down
        down[service] = max(0, down[service] - 1)

    def _cut_off(self) -> None:
        cut = (name_of(self._random.randrange(WORKERS_MAX)), self._random.choice(SERVICES))
        self._count("worker cut off from a service")
        self._network.weather.cuts[cut] += 1
        self._after(self._random.uniform(0.5, 8.0), lambda: self._mend(cut))

    def _mend(self, cut: tuple[str, str]) -> None:
        cuts = self._network.weather.cuts
        cuts[cut] = max(0, cuts[cut] - 1)

    def _flush(self) -> None:
        self._count("Redis flushed")
        self._streams.flush()

    def _lie(self) -> None:
        """Redis holds what nobody put there: jobs again, in another's stream, without a seal."""
        jobs = [job for stream in self._streams.entries.values() for _, job in stream if job]
        self._count("Redis lies")
        keys = list(self._streams.entries) or [ShardKey("default.main", 0)]
        for job in jobs[:3]:
            self._streams.put(job.key, job)
        self._streams.put(self._random.choice(keys), None)

    def _operators_change(self) -> None:
        running = self._operators.running
        if len(running) < 2 and self._random.random() < 0.6:
            self._count("second operator")
            self._operators.start()
        elif running:
            self._count("operator away")
            self._operators.end(self._random.choice(running))
            if not running:
                self._after(self._random.uniform(1.0, 8.0), self._operators_return)

    def _operators_return(self) -> None:
        if not self._operators.running:
            self._operators.start()

    def _count(self, fault: str) -> None:
        self._network.faults[fault] += 1

    def _after(self, seconds: float, callback: Callable[[], None]) -> None:
        self._loop.post(self._loop.world, seconds, callback)
