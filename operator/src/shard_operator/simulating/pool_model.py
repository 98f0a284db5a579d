"""A model of one pool: jobs that come, wait, run and end, and workers that come late and go. Pure.

Jobs are one queue in the order of their acceptance. A worker begins at most `rate` jobs a second
and a job runs for `job_seconds`, so that a worker has at most their product running at once. A
worker serves `start_seconds` after it was asked for.

With `moves_max` the queue is cut into shards. A worker counts in proportion to the shards it has of
its fair share; at each `rebalance` so many shards may change hands; a worker is taken away only
once it has none (its count goes on costing until then), and no job is interrupted. Without it
workers share the queue, a new one takes its full part at once, and one that is taken away loses
what it has running: those jobs go back to where they were in the queue. That is the best case of
anything that scales without knowing who is at what.

Not in the model: shards of different size and users that hold one another up, the pause of a shard
while it moves, a dependency that is the bottleneck, whatever a worker does at its start. Time
passes in ticks; ages are right to a tick.
"""

import bisect
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from shard_operator.scaling import Backlog
from shard_operator.simulating.outcome import JobsOutcome


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """What the pool is like."""

    rate: float
    """Jobs a worker can begin in a second."""
    job_seconds: float
    """How long a job runs when nothing waits."""
    start_seconds: float
    """From a decision to a worker that serves."""
    shards: int
    late_seconds: float
    """A job that takes longer is late."""


@dataclass(slots=True)
class _Jobs:
    """Some jobs that were accepted in one tick."""

    accepted_at: float
    count: int
    ends_at: float = math.inf


class PoolModel:
    """One pool. `asked` is the count its StatefulSet has."""

    def __init__(self, figures: PoolFigures, replicas: int, moves_max: int | None) -> None:
        self.asked = replicas
        self.jobs = JobsOutcome()
        self._figures = figures
        self._moves_max = moves_max
        self._serving_from = [0.0] * replicas
        self._goal = replicas
        self._waiting: deque[_Jobs] = deque()
        self._running: deque[_Jobs] = deque()
        self._unused = 0.0
        self._owned = [0] * replicas
        if moves_max is not None:
            self._owned = [
                figures.shards // replicas + (ordinal < figures.shards % replicas)
                for ordinal in range(replicas)
            ]

    def serving(self, now: float) -> int:
        """How many workers serve."""
        return sum(since <= now for since in self._serving_from)

    def observe(self, now: float) -> Backlog:
        """What the streams would tell. Jobs are in shards by chance, so of S shards some
        S x (1 - (1 - 1/S)^jobs) have work."""
        total = _count(self._waiting) + _count(self._running)
        if not total:
            return Backlog({}, {}, None)
        shards = self._figures.shards
        busy = min(total, max(1, round(shards * (1 - (1 - 1 / shards) ** total))))
        depths = {number: total // busy + (number < total % busy) for number in range(busy)}
        oldest = min(jobs.accepted_at for jobs in (*self._waiting, *self._running))
        return Backlog(depths, dict.fromkeys(depths, self.jobs.ended), max(0.0, now - oldest))

    def scale(self, now: float, replicas: int) -> None:
        """Ask for a count. New workers start; others go, at once or when they are empty."""
        self._goal = replicas
        while self.asked < replicas:
            self.asked += 1
            self._serving_from.append(now + self._figures.start_seconds)
            self._owned.append(0)
        if self._moves_max is None:
            while self.asked > replicas:
                self._take_away(now)

    def rebalance(self, now: float) -> None:
        """Move as many shards as may move at once, then take away the emptied workers."""
        if self._moves_max is None:
            return
        for _ in range(self._moves_max):
            if not self._move_one(now):
                break
        while self.asked > self._goal and not self._owned[-1]:
            self.asked -= 1
            self._owned.pop()
            self._serving_from.pop()

    def tick(self, now: float, seconds: float, arrivals: int) -> None:
        """Let some time pass in which so many jobs are accepted."""
        middle = now + seconds / 2
        if arrivals:
            self._waiting.append(_Jobs(middle, arrivals))
            self.jobs.accepted += arrivals
        self._unused += self._effective(now) * self._figures.rate * seconds
        while self._waiting and self._unused >= 1:
            self._begin(self._waiting[0], now, seconds)
        if not self._waiting:
            # A worker without work does not save its strength for later.
            self._unused = min(self._unused, 1.0)
        while self._running and self._running[0].ends_at <= now + seconds:
            ended = self._running.popleft()
            self._note_ended(ended.count, ended.ends_at - ended.accepted_at)

    def finish(self, now: float) -> None:
        """Count what is still there at the end: late, if it is that old already."""
        for jobs in (*self._waiting, *self._running):
            self.jobs.left += jobs.count
            if now - jobs.accepted_at > self._figures.late_seconds:
                self.jobs.late += jobs.count
            self.jobs.slowest_seconds = max(self.jobs.slowest_seconds, now - jobs.accepted_at)

    def _begin(self, first: _Jobs, now: float, seconds: float) -> None:
        count = min(first.count, int(self._unused))
        self._unused -= count
        first.count -= count
        if not first.count:
            self._waiting.popleft()
        takes, end = self._figures.job_seconds, now + seconds
        # Jobs begin all through the tick: of short ones only the last still run at its end.
        still = round(count * min(1.0, takes / seconds))
        self._run(first.accepted_at, count - still, min(now + seconds / 2 + takes, end))
        self._run(first.accepted_at, still, max(now + seconds / 2 + takes, end + takes / 2))

    def _run(self, accepted_at: float, count: int, ends_at: float) -> None:
        if count:
            jobs = _Jobs(accepted_at, count, ends_at)
            bisect.insort(self._running, jobs, key=lambda some: some.ends_at)

    def _note_ended(self, count: int, seconds: float) -> None:
        self.jobs.ended += count
        self.jobs.slowest_seconds = max(self.jobs.slowest_seconds, seconds)
        if seconds > self._figures.late_seconds:
            self.jobs.late += count

    def _effective(self, now: float) -> float:
        """How many workers' worth of work is done."""
        if self._moves_max is None:
            return min(self.serving(now), self._figures.shards)
        fair = self._figures.shards / self.asked
        return sum(min(1.0, owned / fair) for owned in self._owned)

    def _move_one(self, now: float) -> bool:
        stays = [n < self._goal and since <= now for n, since in enumerate(self._serving_from)]
        receivers = [n for n, is_open in enumerate(stays) if is_open]
        if not receivers:
            return False
        receiver = min(receivers, key=lambda n: self._owned[n])
        leaving = [n for n in range(self._goal, self.asked) if self._owned[n]]
        giver = leaving[-1] if leaving else max(receivers, key=lambda n: self._owned[n])
        if not leaving and self._owned[giver] - self._owned[receiver] <= 1:
            return False
        self._owned[giver] -= 1
        self._owned[receiver] += 1
        self.jobs.moved += 1
        return True

    def _take_away(self, now: float) -> None:
        """The highest ordinal goes, with its part of what is running."""
        self.asked -= 1
        self._owned.pop()
        if self._serving_from.pop() > now:
            return
        lost = _count(self._running) // (self.serving(now) + 1)
        self.jobs.interrupted += lost
        back: list[_Jobs] = []
        while lost:
            last = self._running[-1]
            count = min(last.count, lost)
            lost -= count
            last.count -= count
            if not last.count:
                self._running.pop()
            back.append(_Jobs(last.accepted_at, count))
        self._waiting = deque(sorted([*back, *self._waiting], key=lambda jobs: jobs.accepted_at))


def _count(jobs: Iterable[_Jobs]) -> int:
    return sum(some.count for some in jobs)
