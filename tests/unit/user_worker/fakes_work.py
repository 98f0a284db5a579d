"""What brings a worker its jobs and its shards, in memory."""

# ruff: noqa: D101, D102 (user_worker.ports says what each of these promises)

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from tests.unit.user_worker.fakes import POOL, SHARD, Switch, numbers

from kernel.sharding import Claim, ShardKey
from user_worker.domain.jobs import Job
from user_worker.domain.ownership import Observed, ShardSeen
from user_worker.domain.replies import Reply
from user_worker.errors import (
    ClaimLost,
    DependencyDown,
    JobUnknown,
    RepliesRefused,
    TooMuch,
)
from user_worker.ports import Outcome, StreamEntry, UndoneJobs


@dataclass
class FakeAttempts(Switch):
    begun: dict[UUID, int] = field(default_factory=dict)

    async def begin(self, claim: Claim, job_id: UUID) -> int:
        self.pass_or_raise()
        self.begun[job_id] = self.begun.get(job_id, 0) + 1
        return self.begun[job_id] - 1

    async def forgive(self, claim: Claim, job_id: UUID) -> None:
        self.pass_or_raise()
        self.begun.pop(job_id, None)


@dataclass(frozen=True)
class Delivery:
    """What a job ended with."""

    job: Job
    replies: tuple[Reply, ...]
    outcome: Outcome
    error: str


@dataclass
class FakeInbox(Switch):
    """The gateway's inbox; the first Deliver of a job decides."""

    accepted: list[Job] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    epochs: dict[ShardKey, int] = field(default_factory=dict)
    refuse_replies: int = 0
    fetches: int = 0
    jobs_per_answer_max: int = 1_000_000

    async def fetch_jobs(
        self, claims: Sequence[Claim], jobs_per_shard_max: int, *, include_cursors: bool
    ) -> Sequence[UndoneJobs]:
        self.fetches += 1
        if any(isinstance(failure, DependencyDown) for failure in self.failures):
            raise DependencyDown("gateway", "down")
        answers = [self._undone(claim, jobs_per_shard_max, include_cursors) for claim in claims]
        if sum(len(answer.jobs) for answer in answers) > self.jobs_per_answer_max:
            raise TooMuch("gateway", "larger than a message may be")
        return answers

    async def read_job(self, claim: Claim, job_id: UUID) -> Job:
        self.pass_or_raise()
        if self._is_stale(claim):
            raise ClaimLost(str(claim))
        ended = {delivery.job.job_id for delivery in self.deliveries}
        for job in self.accepted:
            if job.job_id == job_id and job.key == claim.key and job_id not in ended:
                return job
        raise JobUnknown(str(job_id))

    async def deliver(
        self, claim: Claim, job_id: UUID, replies: Sequence[Reply], outcome: Outcome, error: str
    ) -> None:
        self.pass_or_raise()
        if self._is_stale(claim):
            raise ClaimLost(str(claim))
        job = next((job for job in self.accepted if job.job_id == job_id), None)
        if job is None:
            raise JobUnknown(str(job_id))
        if replies and self.refuse_replies:
            self.refuse_replies -= 1
            raise RepliesRefused("replies[0].send_text.text")
        if job_id not in {delivery.job.job_id for delivery in self.deliveries}:
            self.deliveries.append(Delivery(job, tuple(replies), outcome, error))

    def _is_stale(self, claim: Claim) -> bool:
        return claim.epoch != self.epochs.get(claim.key, claim.epoch)

    def _undone(self, claim: Claim, jobs_max: int, include_cursors: bool) -> UndoneJobs:
        if self._is_stale(claim):
            return UndoneJobs(claim, is_stale=True)
        mine = [job for job in self.accepted if job.key == claim.key]
        done = {delivery.job.job_id for delivery in self.deliveries}
        undone = tuple(job for job in mine if job.job_id not in done)
        cursors: dict[UUID, int] = {}
        for job in mine:
            cursors[job.user_id] = cursors.get(job.user_id, 1) + (job.job_id in done)
        return UndoneJobs(claim, False, undone[:jobs_max], cursors if include_cursors else None)


@dataclass
class FakeStream(Switch):
    """Streams in memory; a read never waits longer than a moment."""

    entries: dict[ShardKey, list[tuple[bytes, Job | None]]] = field(default_factory=dict)

    def push(self, job: Job | None, *, key: ShardKey = SHARD) -> bytes:
        entry_id = f"{next(numbers):09}-0".encode()
        self.entries.setdefault(key, []).append((entry_id, job))
        return entry_id

    async def read(
        self, positions: Mapping[ShardKey, bytes], wait_seconds: float, entries_max: int
    ) -> Sequence[StreamEntry]:
        self.pass_or_raise()
        found = [
            StreamEntry(key, entry_id, job)
            for key, position in positions.items()
            for entry_id, job in [
                entry
                for entry in self.entries.get(key, [])
                if position == b"0" or entry[0] > position
            ][:entries_max]
        ]
        await asyncio.sleep(0 if found else 0.005)
        return found

    async def remove(self, key: ShardKey, entry_ids: Sequence[bytes]) -> None:
        self.pass_or_raise()
        gone = set(entry_ids)
        self.entries[key] = [e for e in self.entries.get(key, []) if e[0] not in gone]


@dataclass
class FakePlacement(Switch):
    """One pool's placement, without leases that end by themselves: `lives` says so."""

    shards: dict[ShardKey, ShardSeen] = field(default_factory=dict)
    lives: bool = True
    registered: list[UUID] = field(default_factory=list)
    released: list[Claim] = field(default_factory=list)
    is_draining: bool = False
    is_deregistered: bool = False

    def wish(self, shard: int, worker: str | None, *, can_own: bool = True) -> None:
        key = ShardKey(POOL, shard)
        old = self.shards.get(key)
        self.shards[key] = ShardSeen(
            key,
            old.epoch if old else 0,
            old.owner if old else None,
            old.owner_incarnation if old else None,
            old.ownerless_seconds if old else 0.0,
            worker,
            can_own,
        )

    async def register(self, worker: str, incarnation: UUID, lease_seconds: float) -> None:
        self.pass_or_raise()
        self.registered.append(incarnation)
        self.lives = True
        for key, seen in self.shards.items():
            self.shards[key] = ShardSeen(
                key, seen.epoch, None, None, 0.0, seen.desired_owner, seen.desired_can_own
            )

    async def heartbeat(self, worker: str, incarnation: UUID, lease_seconds: float) -> bool:
        self.pass_or_raise()
        return self.lives

    async def drain(self, worker: str, incarnation: UUID) -> None:
        self.is_draining = True

    async def deregister(self, worker: str, incarnation: UUID) -> None:
        self.is_deregistered = True

    async def observe(self, worker: str, incarnation: UUID) -> Observed:
        return Observed(worker, incarnation, tuple(self.shards.values()), 40, 0.5)

    async def claim(
        self, key: ShardKey, worker: str, incarnation: UUID, orphan_seconds: float
    ) -> Claim | None:
        seen = self.shards[key]
        epoch = seen.epoch + 1
        self.shards[key] = ShardSeen(
            key, epoch, worker, incarnation, None, seen.desired_owner, seen.desired_can_own
        )
        return Claim(key.pool, key.shard, epoch)

    async def release(self, claim: Claim, worker: str, incarnation: UUID) -> None:
        seen = self.shards[claim.key]
        self.released.append(claim)
        self.shards[claim.key] = ShardSeen(
            claim.key, seen.epoch, None, None, 0.0, seen.desired_owner, seen.desired_can_own
        )
