"""The order of one shard's jobs: each user's jobs one after another, each job once.

Jobs come from two sides. The stream pushes them, early but unreliably: an entry may be missing,
twice, out of order, of another shard or invented. The inbox is asked at the claim and every second,
and is the truth, though its answer may be older than what has happened here since. A job runs only
when its `user_seq` is the user's next one, so that

- what is below the next number has ended: a late copy is known by its number alone, nothing
  needs to be remembered per job;
- what is above it waits, and a hole in front of it (`has_gap`) is a reason to ask the inbox;
- the inbox's first undone job of a user moves the next number forward, never back.

Until the inbox has told where each user stands (`prime`), nothing runs. A user not named there
begins at 1, having come since. Or he was moved to another shard, and what the stream says of him is
left over: then his first job never comes. Such lines are `strangers`, until the inbox was asked
about their jobs: one it does not know goes (`turn_away`), any other makes the user known.

Copies of waiting jobs are bounded per user and, in bytes, per shard. Each user's next job is always
kept, so a flood of one user takes memory neither from the others nor for ever; what does not fit is
dropped (`has_dropped`) and read again from the stream or the inbox. The nearest copies are the ones
kept: one far ahead would hold its place until its turn, and the user's line would crawl. A line
that has worked its copies while more was dropped has a gap, too.

Users take turns: a user whose job has ended goes to the end of the line.
"""

import enum
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from uuid import UUID

from kernel.sharding import ShardKey
from user_worker.domain.jobs import Job

USERS_MAX = 4096
"""Users of one shard a queue takes notice of; no pool may have more than 1000 in a shard, so only
invented jobs reach it."""


class Verdict(enum.Enum):
    """What became of an offered job."""

    KEPT = "kept"
    """It waits now."""
    KNOWN = "known"
    """It waits or runs already."""
    ENDED = "ended"
    """It had ended before: its stream entry can go."""
    DROPPED = "dropped"
    """There is no room for a copy, or another job stands in its place; the inbox will tell."""
    FOREIGN = "foreign"
    """It belongs to another shard, or cannot exist: its stream entry can go."""


@dataclass(slots=True)
class _Line:
    """One user's place: what is next, what waits behind it, what runs."""

    next_seq: int = 1
    waiting: dict[int, Job] = field(default_factory=dict)
    running: Job | None = None
    in_turn: bool = False
    is_known: bool = False
    """Whether the inbox has named the user since the claim."""
    left_out: int = 0
    """The highest number a copy was dropped of."""

    @property
    def is_ready(self) -> bool:
        return self.running is None and self.next_seq in self.waiting

    @property
    def has_gap(self) -> bool:
        is_missing = self.running is None and self.next_seq not in self.waiting
        return is_missing and (bool(self.waiting) or self.next_seq <= self.left_out)


class ShardQueue:
    """The waiting and running jobs of one shard. Not safe across threads; does no I/O."""

    def __init__(self, key: ShardKey, user_waiting_jobs_max: int, waiting_bytes_max: int) -> None:
        self.key = key
        self.is_primed = False
        self.has_dropped = False
        """Whether a copy was dropped since `forget_drops`."""
        self._user_waiting_jobs_max = user_waiting_jobs_max
        self._waiting_bytes_max = waiting_bytes_max
        self._lines: dict[UUID, _Line] = {}
        self._turns: deque[UUID] = deque()
        self._entries: dict[UUID, list[bytes]] = {}
        self._waiting_jobs = 0
        self._waiting_bytes = 0
        self._running_jobs = 0

    def prime(self, next_seqs: Mapping[UUID, int]) -> list[bytes]:
        """Learn from the inbox where each user stands; from now on jobs run.

        Gives back stream entries of jobs that turn out to have ended.
        """
        self.is_primed = True
        return [
            entry_id
            for user_id, next_seq in next_seqs.items()
            for entry_id in self._advance(user_id, next_seq)
        ]

    def offer(self, job: Job, entry_id: bytes | None = None) -> Verdict:
        """Take notice of a job, from the stream with its entry's id, from the inbox without."""
        if job.key != self.key or job.user_seq < 1:
            return Verdict.FOREIGN
        if job.user_id not in self._lines and len(self._lines) >= USERS_MAX:
            return Verdict.DROPPED
        line = self._lines.setdefault(job.user_id, _Line())
        verdict = self._place(line, job, is_truth=entry_id is None)
        if verdict is Verdict.DROPPED:
            self.has_dropped = True
        if entry_id is not None and verdict in (Verdict.KEPT, Verdict.KNOWN):
            entries = self._entries.setdefault(job.job_id, [])
            if entry_id not in entries:
                entries.append(entry_id)
        return verdict

    def observe_inbox(self, jobs: Iterable[Job]) -> list[bytes]:
        """Take notice of the inbox's undone jobs, in each user's order from the first undone one
        on.

        Gives back stream entries of jobs that, as this shows, have ended.
        """
        ended: list[bytes] = []
        met: set[UUID] = set()
        for job in jobs:
            if job.user_id not in met:
                met.add(job.user_id)
                ended += self._advance(job.user_id, job.user_seq)
            self.offer(job)
        return ended

    def strangers(self, jobs_max: int) -> list[Job]:
        """Give waiting jobs that cannot run and are of users only the stream has named."""
        if not self.is_primed:
            return []
        lines = (line for line in self._lines.values() if not line.is_known and line.has_gap)
        return list(islice((job for line in lines for job in line.waiting.values()), jobs_max))

    def turn_away(self, job: Job) -> list[bytes]:
        """The inbox does not know a stranger's job. Gives back its stream entries."""
        line = self._lines.get(job.user_id)
        if line is None or line.waiting.get(job.user_seq) != job:
            return []
        entries = self._discard(line, job.user_seq)
        if not line.waiting and not line.is_known and line.running is None:
            del self._lines[job.user_id]
        return entries

    def let_in(self, job: Job) -> None:
        """The inbox knows a stranger's job: its user is of this shard."""
        if job.user_id in self._lines:
            self._lines[job.user_id].is_known = True

    def take_ready(self) -> Job | None:
        """Start the next job whose turn it is, or None. It counts as running until it is ended."""
        while self.is_primed and self._turns:
            user_id = self._turns.popleft()
            line = self._lines.get(user_id)
            if line is None:
                continue
            line.in_turn = False
            if line.is_ready:
                job = line.waiting.pop(line.next_seq)
                self._waiting_jobs -= 1
                self._waiting_bytes -= job.size
                line.running = job
                self._running_jobs += 1
                return job
        return None

    def ended(self, job: Job) -> list[bytes]:
        """The running job is done: the user's next one may run. Gives back its stream entries."""
        self._stop_running(job)
        entries = self._entries.pop(job.job_id, [])
        return entries + self._advance(job.user_id, job.user_seq + 1)

    def unknown(self, job: Job) -> list[bytes]:
        """The inbox does not know the running job: its number stays open. Gives its entries."""
        self._give_turn(job.user_id, self._stop_running(job))
        return self._entries.pop(job.job_id, [])

    def forget_drops(self) -> None:
        """The stream is about to be read again from its beginning."""
        self.has_dropped = False

    @property
    def has_gap(self) -> bool:
        """Whether a user's next job is missing while later ones wait or were dropped."""
        return self.is_primed and any(line.has_gap for line in self._lines.values())

    def has_gap_of(self, user_id: UUID) -> bool:
        """Whether that is so of one user."""
        return self.is_primed and user_id in self._lines and self._lines[user_id].has_gap

    @property
    def has_room(self) -> bool:
        """Whether half of the bytes for waiting jobs are free."""
        return self._waiting_bytes * 2 <= self._waiting_bytes_max

    @property
    def waiting_jobs(self) -> int:
        """Copies that wait."""
        return self._waiting_jobs

    @property
    def running_jobs(self) -> int:
        """Jobs taken and not ended; at most one per user."""
        return self._running_jobs

    def running(self) -> Iterator[Job]:
        """Give the jobs taken and not ended."""
        return (line.running for line in self._lines.values() if line.running is not None)

    def _place(self, line: _Line, job: Job, *, is_truth: bool) -> Verdict:
        if line.running is not None and line.running.job_id == job.job_id:
            return Verdict.KNOWN
        if job.user_seq < line.next_seq:
            return Verdict.ENDED
        if line.running is not None and line.running.user_seq == job.user_seq:
            return Verdict.DROPPED
        there = line.waiting.get(job.user_seq)
        if there is not None and there.job_id == job.job_id:
            return Verdict.KNOWN
        if there is not None and not is_truth:
            return Verdict.DROPPED
        if there is not None:
            self._discard(line, job.user_seq)
        if job.user_seq != line.next_seq and not self._make_room_for(line, job):
            line.left_out = max(line.left_out, job.user_seq)
            return Verdict.DROPPED
        line.waiting[job.user_seq] = job
        self._waiting_jobs += 1
        self._waiting_bytes += job.size
        self._give_turn(job.user_id, line)
        return Verdict.KEPT

    def _make_room_for(self, line: _Line, job: Job) -> bool:
        """See to a place for a copy, if need be that of the user's farthest; False: there is
        none.
        """
        farthest = 0
        if len(line.waiting) >= self._user_waiting_jobs_max:
            farthest = max(line.waiting)
            if farthest < job.user_seq:
                return False
        freed = line.waiting[farthest].size if farthest else 0
        if self._waiting_bytes - freed + job.size > self._waiting_bytes_max:
            return False
        if farthest:
            self._discard(line, farthest)
            line.left_out = max(line.left_out, farthest)
            self.has_dropped = True
        return True

    def _advance(self, user_id: UUID, next_seq: int) -> list[bytes]:
        line = self._lines.setdefault(user_id, _Line())
        line.is_known = True
        line.next_seq = max(line.next_seq, next_seq)
        ended = [
            entry_id
            for seq in [seq for seq in line.waiting if seq < line.next_seq]
            for entry_id in self._discard(line, seq)
        ]
        self._give_turn(user_id, line)
        return ended

    def _discard(self, line: _Line, seq: int) -> list[bytes]:
        job = line.waiting.pop(seq)
        self._waiting_jobs -= 1
        self._waiting_bytes -= job.size
        return self._entries.pop(job.job_id, [])

    def _stop_running(self, job: Job) -> _Line:
        line = self._lines[job.user_id]
        if line.running is None or line.running.job_id != job.job_id:
            raise ValueError(f"job {job.job_id} is not running")
        line.running = None
        self._running_jobs -= 1
        return line

    def _give_turn(self, user_id: UUID, line: _Line) -> None:
        if line.is_ready and not line.in_turn:
            line.in_turn = True
            self._turns.append(user_id)
