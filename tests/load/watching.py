"""What a bot did under a load, each second, and what broke first. The verdict is pure."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.e2e.live_run import DATABASE_GONE
from tests.load.bots import Bot, processor_seconds
from tests.load.crowd import Load
from tests.load.latency import percentile

from devbox.telegram.server import Simulator

SAMPLE_SECONDS = 1.0
P99_SECONDS_MAX = 0.25
"""The goal of issue and design: an answer within a quarter of a second."""
BUSY_SHARE = 0.9
"""Of a core, or of all cores: above it one speaks of a limit."""
QUEUE_GROWN = 20
"""Waiting updates that are more than what is simply under way."""
DRIVER = "driver, simulated Telegram, exchanges"


@dataclass(slots=True)
class Watch:
    """What was seen during one load."""

    cores: int
    seconds: float = 0.0
    used: dict[str, float] = field(default_factory=dict)
    """Processor seconds by process, the driver's own under `DRIVER`."""
    machine_used: float = 0.0
    """Processor seconds of everything on the machine, strangers included."""
    queues: list[dict[str, int]] = field(default_factory=list)
    """Each second: how many waited, by place."""

    @property
    def strangers(self) -> float:
        """Give the processor seconds that neither the bot nor the driver used."""
        return max(0.0, self.machine_used - sum(self.used.values()))

    def longest(self) -> tuple[str, int]:
        """Give the place where most waited, and how many."""
        worst: dict[str, int] = {}
        for sample in self.queues:
            for place, waiting in sample.items():
                worst[place] = max(worst.get(place, 0), waiting)
        return max(worst.items(), key=lambda item: item[1], default=("nowhere", 0))


@contextlib.asynccontextmanager
async def watching(bot: Bot, simulator: Simulator) -> AsyncIterator[Watch]:
    """Watch a bot until the block ends."""
    watch = Watch(os.cpu_count() or 1)
    began, before, machine = time.monotonic(), processor_seconds(bot), _machine_seconds()
    own = time.process_time()
    sampling = asyncio.create_task(_sample(bot, simulator, watch))
    try:
        yield watch
    finally:
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
        watch.seconds = time.monotonic() - began
        watch.used = {
            name: max(0.0, used - before.get(name, 0.0))
            for name, used in processor_seconds(bot).items()
        }
        watch.used[DRIVER] = time.process_time() - own
        watch.machine_used = _machine_seconds() - machine


async def _sample(bot: Bot, simulator: Simulator, watch: Watch) -> None:
    while True:
        await asyncio.sleep(SAMPLE_SECONDS)
        queues = {"telegram": simulator.world.updates.waiting()}
        # A bot in the middle of a restart has no queues to show.
        with contextlib.suppress(*DATABASE_GONE):
            queues |= await bot.queues()
        watch.queues.append(queues)


def _machine_seconds() -> float:
    """Read what all processes have used of all cores."""
    with open("/proc/stat", encoding="ascii") as stat:  # noqa: PTH123  # a line of the kernel's
        user, nice, system, _idle, _wait, irq, softirq, *_ = map(int, stat.readline().split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def keeps_up(load: Load) -> bool:
    """Whether everything was answered rightly and the goal was met."""
    p99 = percentile(load.latencies, 0.99)
    is_right = not load.unanswered and not any(ask.is_refused for ask in load.asks)
    return is_right and p99 <= P99_SECONDS_MAX


def what_broke(load: Load, watch: Watch) -> str:
    """Say in one sentence what broke, and what the limit was."""
    if keeps_up(load):
        return "nothing"
    refused = sum(ask.is_refused for ask in load.asks)
    p99 = percentile(load.latencies, 0.99)
    symptoms = []
    if load.unanswered:
        symptoms.append(f"{len(load.unanswered)} of {len(load.asks)} not answered")
    if refused:
        symptoms.append(f"{refused} refused")
    if not p99 <= P99_SECONDS_MAX:
        symptoms.append(f"p99 {p99 * 1000:.0f} ms")
    return f"{', '.join(symptoms)}: {_limit(watch)}"


def _limit(watch: Watch) -> str:
    place, waiting = watch.longest()
    where = f"; up to {waiting} waited at: {place}" if waiting >= QUEUE_GROWN else ""
    busiest = sorted(watch.used.items(), key=lambda item: -item[1])
    told = ", ".join(f"{name} {100 * used / watch.seconds:.0f} %" for name, used in busiest[:4])
    if watch.machine_used >= BUSY_SHARE * watch.cores * watch.seconds:
        others = 100 * watch.strangers / watch.seconds
        return f"all {watch.cores} cores were busy ({told}; strangers {others:.0f} %){where}"
    for name, used in busiest:
        # PostgreSQL's sessions are processes of their own: none of them need be busy.
        if name != "postgres" and used >= BUSY_SHARE * watch.seconds:
            return f"{name}, one process, had its core busy ({told}){where}"
    return f"no core was busy ({told}): it waited for something else{where}"
