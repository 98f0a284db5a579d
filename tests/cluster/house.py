"""A standing house under load: everything of a scenario, people who trade, and a judge.

Workers are pods of their StatefulSet, the operator runs under its own service account, the other
services and servers stand beside the cluster (`building` puts it together). In each test people
trade from the first moment to the last (`under_load`), whatever is done to the house meanwhile.
Then everything settles, and the whole history is judged against the books by `tests/history`; what
is wrong is told to the test in which it first shows.

A house stands for the tests of one file. Each of them begins with `rest`, so none needs another.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil  # type: ignore[import-untyped]  # carries no types
import pytest
from tests.awake import awake_clock
from tests.chaos.figures import hand_overs, percentile, updates_of
from tests.chaos.watching import PlacementWatch
from tests.cluster.api import JsonObject
from tests.cluster.cluster_watch import ClusterWatch, PodSeen
from tests.cluster.figures import Figures
from tests.cluster.judging import Judge
from tests.cluster.operators import TARGET
from tests.cluster.podrunner.runner import cancel_until_done
from tests.cluster.scenario import WORKERS_MIN, Scenario
from tests.cluster.servers import Servers
from tests.cluster.signals import find_worker
from tests.cluster.users import Users
from tests.cluster.waiting import until
from tests.history.books import Books
from tests.history.moving import held_at, taken_over
from tests.history.records import HistoryFile, Phase, Record, Struck

WORKERS_MAX = 4
STABILIZATION_SECONDS = 5
TARGET_BACKLOG = 8
"""Everybody who queues up makes more than four workers' worth."""
PAUSE_GOAL_SECONDS = 0.2
"""Of a moved shard."""

SPEC: JsonObject = {
    "usersPerShard": 4,
    "workers": {"minReplicas": WORKERS_MIN, "maxReplicas": WORKERS_MAX},
    "scaling": {
        "paused": "None",
        "targetBacklogPerReplica": TARGET_BACKLOG,
        # Only the backlog counts: on a busy machine a job may be old without an outage.
        "targetOldestJobSeconds": 60,
        "scaleDownStabilizationSeconds": STABILIZATION_SECONDS,
    },
}
"""What else there is (the poll's period, the pace of moves) is the default."""


@dataclass
class House:
    """Everything that stands, and what was seen of it."""

    scenario: Scenario
    servers: Servers
    users: Users
    cluster: ClusterWatch
    placement: PlacementWatch
    history: HistoryFile
    figures: Figures
    judge: Judge
    _watching: list["asyncio.Task[None]"] = field(default_factory=list)
    _test: str = ""

    @property
    def records(self) -> list[Record]:
        """The history so far."""
        return self.history.records

    async def rest(self, workers: int) -> None:
        """Bring the house to where a test begins: so many workers, pinned, each with its share."""
        subject = self.scenario.subject
        await subject.patch(replicas=workers, **SPEC)
        await self.until_spread_over(workers)
        await subject.until_condition("Ready", "True", "ShardsServed")
        await subject.until_condition("Progressing", "False", "Settled")
        await subject.until_condition("Degraded", "False", "AsExpected")

    async def until_spread_over(self, workers: int) -> None:
        """Wait until exactly so many workers are there, each with its share, and the history knows
        it.
        """
        await self.scenario.until_workers(workers)
        await self.scenario.until_spread_over(workers)
        now = time.time()

        async def sampled_at() -> float:
            return self.placement.sampled_at

        await until(sampled_at, lambda at: at > now, "a sample of placement")

    @asynccontextmanager
    async def under_load(self, request: pytest.FixtureRequest) -> AsyncIterator[None]:
        """People trade for as long as the context lasts; then everything must have been right."""
        self._test = request.node.name.removeprefix("test_")
        async with self.scenario.explained(request):
            self.history.add(Phase(time.time(), self._test))
            async with self.users.trading():
                yield
            await self._judge()

    async def kubectl(self, *arguments: str) -> str:
        """kubectl in the house's namespace; everybody goes on meanwhile."""
        return await asyncio.to_thread(self.scenario.kubectl, *arguments)

    async def worker(self, ordinal: int) -> psutil.Process:
        """The process of a worker, once it is there."""
        name = worker_name(ordinal)

        async def found() -> psutil.Process | None:
            return find_worker(self.scenario.namespace, name)

        return await until(found, lambda process: process is not None, f"a process of {name}")

    async def served_again(self, victim: str, at: float) -> float:
        """Wait until each shard that a worker owned at this time has been claimed anew; how many
        seconds later the last one was, without those in which the machine stood still.
        """
        held = held_at(self.records, at)[victim]

        async def claims() -> list[float | None]:
            return list(taken_over(self.records, victim, at).values())

        with awake_clock() as clock:
            begin = time.time()
            seconds = await until(claims, lambda all_: None not in all_, "every shard claimed anew")
            stood_still = max(time.time() - begin - clock(), 0.0)
        if len(seconds) != held or not held:
            pytest.fail(f"{victim} owned {held} shards, and {len(seconds)} were taken over")
        return max(second for second in seconds if second is not None) - stood_still

    async def gone_since(self, since: float) -> list[PodSeen]:
        """The pods that were told to end after this time, once all of them have gone; the first
        first.
        """

        async def told() -> list[PodSeen]:
            return self.cluster.told_to_end(since)

        return await until(
            told, lambda pods: all(pod.gone_at is not None for pod in pods), "no pod still ends"
        )

    def strike(self, kind: str, target: str) -> float:
        """Write down that a fault is done now; when that is."""
        at = time.time()
        self.history.add(Struck(at, kind, target, at))
        return at

    @contextmanager
    def freezing(self, target: str) -> Iterator[float]:
        """Write down that a fault lasts as long as the context; gives when it began."""
        at = time.time()
        try:
            yield at
        finally:
            self.history.add(Struck(at, "freeze", target, time.time()))

    def note(self, figure: str, value: float | None, goal: float | None = None) -> None:
        """Write down what the present test has measured."""
        self.figures.note(self._test, figure, value, goal)

    def cut_jobs(self) -> int:
        """How many jobs were ever cut short because their shard was given up, by the workers'
        logs.
        """
        cut = 0
        for log in self.scenario.worker_logs():
            for line in log.read_text(errors="replace").splitlines():
                if '"shard_drained"' in line:
                    cut += json.loads(line)["cut_jobs"]
        return cut

    def watch(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something go on until the house closes; should it fail, so does the next test."""
        self._watching.append(asyncio.create_task(work))

    async def close(self) -> None:
        """Let the workers leave in order, before what they need goes; watch no longer."""
        stop = ("delete", "statefulset", TARGET, "--cascade=foreground", "--timeout=50s")
        try:
            await self.kubectl(*stop)
        finally:
            ends = [cancel_until_done(task) for task in self._watching]
            await asyncio.gather(*ends, return_exceptions=True)

    async def _judge(self) -> None:
        for task in self._watching:
            if task.done():
                task.result()
        self._note_the_usual(*await self.judge.judge(self.scenario.logs()))

    def _note_the_usual(self, records: list[Record], books: Books) -> None:
        """What every test measures."""
        updates = [update for update in updates_of(records, books) if update.phase == self._test]
        answered = [update.seconds for update in updates if update.seconds is not None]
        began = min((update.at for update in updates), default=0.0)
        pauses = [over.pause for over in hand_overs(records) if over.released_at >= began]
        self.note("updates answered", len(answered))
        self.note("update to answer, s, median", percentile(answered, 0.5))
        if pauses:
            self.note("shards handed over", len(pauses))
            self.note("release to claim, s, median", percentile(pauses, 0.5), PAUSE_GOAL_SECONDS)
            self.note("release to claim, s, longest", max(pauses), PAUSE_GOAL_SECONDS)


def worker_name(ordinal: int) -> str:
    """A worker's, and its pod's."""
    return f"{TARGET}-{ordinal}"
