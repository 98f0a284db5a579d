"""The gateway's inbox and outbox in memory, with the directory, and the worker's ports in front.

As in its SQL: a set of seen update ids, a gap-free `user_seq`, the first Deliver of a job decides,
a notice is kept once per event. Where newcomers go and which replies are too large is decided by
the gateway's own rules. What was accepted is pushed to the shard's stream afterwards, by a
push that may be lost, repeated or late.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from tests.simulation.network import Network
from tests.simulation.placement import PlacementTables
from tests.simulation.redis import Streams

from gateway.domain import plan_admissions
from gateway.reply_limits import problem_of
from gateway.servicer import ERROR_CHARACTERS_MAX, NOTICES_MAX
from kernel.identifiers import new_uuid7
from kernel.sharding import Claim, ShardKey
from user_worker.domain.jobs import Input, Job
from user_worker.domain.replies import Reply
from user_worker.errors import ClaimLost, JobUnknown, RepliesRefused, RequestRefused
from user_worker.ports import Outcome, UndoneJobs
from user_worker.trading_ports import Notice
from user_worker.wire import reply_to

JOB_BYTES = 100


@dataclass(slots=True)
class UserRow:
    """gateway.users"""

    user_id: UUID
    key: ShardKey
    last_user_seq: int = 0


@dataclass(slots=True)
class JobRow:
    """gateway.inbox"""

    job: Job
    update_id: int
    outcome: Outcome | None = None
    error: str = ""
    replies: tuple[Reply, ...] = ()


@dataclass
class GatewayTables:
    """Schema `gateway`."""

    placement: PlacementTables
    users_per_shard: int
    users: dict[UUID, UserRow] = field(default_factory=dict)
    shards: dict[int, int] = field(default_factory=dict)
    """How many users each has."""
    jobs: dict[UUID, JobRow] = field(default_factory=dict)
    undone: dict[ShardKey, dict[UUID, JobRow]] = field(default_factory=dict)
    seen: dict[int, UUID] = field(default_factory=dict)
    """Update ids, each with its job."""
    notices: dict[UUID, Notice] = field(default_factory=dict)
    accepted: Callable[[JobRow], None] = lambda _: None
    ended: Callable[[JobRow, Claim], None] = lambda *_: None
    """Called with a job that has just ended."""
    noticed: Callable[[Notice], None] = lambda _: None

    def is_new(self, update_id: int) -> bool:
        """Whether an update was not accepted before."""
        return update_id not in self.seen

    def accept(self, update_id: int, user_id: UUID, what: Input) -> None:
        """Commit an update; the same again changes nothing."""
        if not self.is_new(update_id):
            return
        user = self.users.get(user_id) or self._admit(user_id)
        user.last_user_seq += 1
        job = Job(
            job_id=new_uuid7(),
            key=user.key,
            user_id=user_id,
            user_seq=user.last_user_seq,
            accepted_at=self.placement.now(),
            input=what,
            language_code="en",
            display_name="Ann",
            size=JOB_BYTES,
        )
        row = JobRow(job, update_id)
        self.seen[update_id] = job.job_id
        self.jobs[job.job_id] = row
        self.undone[user.key][job.job_id] = row
        self.accepted(row)

    def fetch(self, claim: Claim, jobs_max: int, *, include_cursors: bool) -> UndoneJobs:
        """The undone jobs of a shard, users taking turns, and where each user stands."""
        if not self.placement.is_newest(claim):
            return UndoneJobs(claim, is_stale=True, next_seqs={} if include_cursors else None)
        undone = [row.job for row in self.undone.get(claim.key, {}).values()]
        turns: dict[UUID, int] = {}
        firsts: dict[UUID, int] = {}
        ordered = []
        for place, job in enumerate(undone):
            turns[job.user_id] = turns.get(job.user_id, 0) + 1
            firsts.setdefault(job.user_id, job.user_seq)
            ordered.append((turns[job.user_id], place, job))
        ordered.sort(key=lambda entry: entry[:2])
        cursors, key = None, claim.key
        if include_cursors:
            cursors = {
                user.user_id: firsts.get(user.user_id, user.last_user_seq + 1)
                for user in self.users.values()
                if user.key == key
            }
        jobs = tuple(job for _, _, job in ordered[:jobs_max])
        return UndoneJobs(claim, is_stale=False, jobs=jobs, next_seqs=cursors)

    def read(self, claim: Claim, job_id: UUID) -> Job:
        """One undone job. Raises ClaimLost, JobUnknown."""
        if not self.placement.is_newest(claim):
            raise ClaimLost(str(claim))
        row = self.undone.get(claim.key, {}).get(job_id)
        if row is None:
            raise JobUnknown(str(job_id))
        return row.job

    def deliver(
        self, claim: Claim, job_id: UUID, replies: Sequence[Reply], outcome: Outcome, error: str
    ) -> None:
        """End a job. Raises RepliesRefused, ClaimLost, JobUnknown."""
        problem = _problem(replies, at_least=0)
        if problem is not None or len(error) > ERROR_CHARACTERS_MAX:
            raise RepliesRefused(problem or "error")
        self.placement.fence(claim)
        row = self.jobs.get(job_id)
        if row is None or row.job.key != claim.key:
            raise JobUnknown(str(job_id))
        if row.outcome is not None:
            return
        row.outcome, row.error, row.replies = outcome, error, tuple(replies)
        del self.undone[claim.key][job_id]
        self.ended(row, claim)

    def notify(self, notices: Sequence[Notice]) -> None:
        """Keep notices to users there are, each event once. Raises RequestRefused."""
        problems = [_problem(notice.replies, at_least=1) for notice in notices]
        if any(problems) or not 1 <= len(notices) <= NOTICES_MAX:
            raise RequestRefused("gateway", f"{len(notices)} notices: {problems}")
        for notice in notices:
            if notice.user_id in self.users and notice.event_id not in self.notices:
                self.notices[notice.event_id] = notice
                self.noticed(notice)

    def forget(self, claim: Claim, user_id: UUID) -> None:
        """Forget what went wrong with a user's jobs; the words concern nobody here. Raises
        ClaimLost, RequestRefused.
        """
        self.placement.fence(claim)
        user = self.users.get(user_id)
        if user is None or user.key != claim.key:
            raise RequestRefused("gateway", "no such user in that shard")
        for row in self.jobs.values():
            if row.job.user_id == user_id and row.outcome is not None:
                row.error = ""

    def _admit(self, user_id: UUID) -> UserRow:
        room = [(n, users) for n, users in self.shards.items() if users < self.users_per_shard]
        plan = plan_admissions(room, max(self.shards, default=-1), 1, self.users_per_shard)
        for made in plan.make:
            self.shards[made] = 0
            self.placement.ensure_shard(made)
        (shard,) = plan.shards
        self.shards[shard] += 1
        self.placement.shards[shard].users += 1
        user = UserRow(user_id, ShardKey(self.placement.pool, shard))
        self.users[user_id] = user
        self.undone.setdefault(user.key, {})
        return user


def _problem(replies: Sequence[Reply], *, at_least: int) -> str | None:
    """Which limit of the gateway replies break, if any."""
    return problem_of([reply_to(reply) for reply in replies], at_least=at_least)


class SimulatedGateway:
    """ports.Inbox, ports.Gateway, trading_ports.Notices"""

    def __init__(self, network: Network, tables: GatewayTables) -> None:
        self._network = network
        self._tables = tables

    async def fetch_jobs(
        self, claims: Sequence[Claim], jobs_per_shard_max: int, *, include_cursors: bool
    ) -> Sequence[UndoneJobs]:
        """See ports."""
        return await self._network.call(
            "gateway",
            "fetch",
            lambda: [
                self._tables.fetch(claim, jobs_per_shard_max, include_cursors=include_cursors)
                for claim in claims
            ],
        )

    async def read_job(self, claim: Claim, job_id: UUID) -> Job:
        """See ports."""
        return await self._network.call(
            "gateway", f"read {job_id}", lambda: self._tables.read(claim, job_id)
        )

    async def deliver(
        self, claim: Claim, job_id: UUID, replies: Sequence[Reply], outcome: Outcome, error: str
    ) -> None:
        """See ports."""
        await self._network.call(
            "gateway",
            f"deliver {job_id}",
            lambda: self._tables.deliver(claim, job_id, replies, outcome, error),
        )

    async def notify(self, notices: Sequence[Notice]) -> None:
        """See trading_ports."""
        await self._network.call("gateway", "notify", lambda: self._tables.notify(notices))

    async def forget_user(self, claim: Claim, user_id: UUID) -> None:
        """See ports."""
        await self._network.call(
            "gateway", "forget user", lambda: self._tables.forget(claim, user_id)
        )


class Pusher:
    """Brings accepted jobs into the streams, as badly as the weather has it."""

    def __init__(self, network: Network, streams: Streams, random: Random) -> None:
        self.share_lost = 0.0
        self.share_repeated = 0.0
        self.share_late = 0.0
        self._network = network
        self._streams = streams
        self._random = random

    def push(self, job: Job, post: Callable[[float, Callable[[], object]], None]) -> None:
        """Push a job by and by, or lose it."""
        drawn, faults = self._random.random(), self._network.faults
        delay = self._random.uniform(0.001, 0.02)
        if drawn < self.share_lost or self._network.weather.is_down("redis"):
            faults["push lost"] += 1
            return
        if drawn < self.share_lost + self.share_late:
            faults["push late"] += 1
            delay += self._random.uniform(0.5, 6.0)
        elif drawn < self.share_lost + self.share_late + self.share_repeated:
            faults["push repeated"] += 1
            post(delay + self._random.uniform(0.0, 5.0), lambda: self._streams.append(job))
        post(delay, lambda: self._streams.append(job))
