"""The shards this worker works, each with its queue and its running jobs.

A shard is opened under a claim and leaves in one of two ways. Dropped: at once, running jobs are
cancelled, because somebody else owns it (or may soon). Drained: nothing new starts, what runs may
finish within a bound, the rest is cancelled; then it can be released. Either way the inbox still
has every job that did not end. Orders are carried out beside the jobs and stop with the shard in
the same two ways.

Whatever offers jobs or ends one calls `_pump`, which starts each user's next job; nobody polls.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol
from uuid import UUID

from chassis.ending import end_tasks
from chassis.telemetry import get_logger
from kernel.sharding import Claim, ShardKey
from user_worker import metrics
from user_worker.application.execution import Ending, Execution, Turn
from user_worker.domain.jobs import Job
from user_worker.domain.sequencing import ShardQueue, Verdict
from user_worker.errors import ClaimLost
from user_worker.ports import Preferences, StreamEntry, UndoneJobs

STREAM_START = b"0"

_log = get_logger(__name__)


class RememberedPreferences:
    """Preferences of one claim's users, read once: only its holder writes them."""

    def __init__(self, preferences: Preferences) -> None:
        self._preferences = preferences
        self._languages: dict[UUID, str | None] = {}
        self._slippages: dict[UUID, int | None] = {}

    async def language(self, user_id: UUID) -> str | None:
        """Read the language a user chose, if any."""
        if user_id not in self._languages:
            self._languages[user_id] = await self._preferences.language(user_id)
        return self._languages[user_id]

    async def choose_language(self, claim: Claim, user_id: UUID, language: str) -> None:
        """Keep the choice."""
        # Forgotten first: a write whose answer is lost leaves it unknown, not wrong.
        self._languages.pop(user_id, None)
        await self._preferences.choose_language(claim, user_id, language)
        self._languages[user_id] = language

    async def slippage_basis_points(self, user_id: UUID) -> int | None:
        """Read how far a price may move against the user's order, if he chose it."""
        if user_id not in self._slippages:
            self._slippages[user_id] = await self._preferences.slippage_basis_points(user_id)
        return self._slippages[user_id]

    async def choose_slippage(self, claim: Claim, user_id: UUID, basis_points: int) -> None:
        """Keep the choice."""
        self._slippages.pop(user_id, None)
        await self._preferences.choose_slippage(claim, user_id, basis_points)
        self._slippages[user_id] = basis_points

    async def forget(self, claim: Claim, user_id: UUID) -> None:
        """Erase the user's choices and the drafts that became no order. Safe to repeat."""
        for remembered in (self._languages, self._slippages):
            remembered.pop(user_id, None)
        await self._preferences.forget(claim, user_id)


@dataclass(slots=True)
class OwnedShard:
    """One shard under one claim."""

    claim: Claim
    queue: ShardQueue
    preferences: RememberedPreferences
    position: bytes = STREAM_START
    """The last stream entry read."""
    read_from_start_at: float = float("-inf")
    """When the stream was last read from its beginning, on the monotonic clock."""
    is_at_end: bool = True
    """Whether the last read brought all there was: only then may it begin anew, or a stream that
    takes long to read would never be read to its end."""
    found_undone: frozenset[UUID] = frozenset()
    """Each user's first undone job at the claim: an earlier owner may have been working it."""
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class WorkBeside(Protocol):
    """What goes on in a shard beside its jobs and lives as long as its claim: orders."""

    def begin(self, claim: Claim, when_lost: Callable[[], None]) -> None:
        """Begin with a shard; `when_lost` is called when a store knows a newer claim."""

    def stop(self, claim: Claim) -> None:
        """Drop what is under way in a shard at once; one that was not begun is no error."""

    async def finish(self, claim: Claim, timeout_seconds: float) -> int:
        """Let what is under way go on within the bound, then stop; gives how many were cut."""


@dataclass(frozen=True, slots=True)
class QueueBounds:
    """How much a shard may keep in memory."""

    user_waiting_jobs_max: int
    waiting_bytes_max: int


class Shards:
    """All shards of this worker."""

    def __init__(
        self,
        execution: Execution,
        preferences: Preferences,
        bounds: QueueBounds,
        clear_entries: Callable[[ShardKey, Sequence[bytes]], None],
        beside: WorkBeside,
    ) -> None:
        self._execution = execution
        self._preferences = preferences
        self._bounds = bounds
        self._clear_entries = clear_entries
        self._beside = beside
        self._shards: dict[ShardKey, OwnedShard] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.inbox_wanted = asyncio.Event()
        """Set when there is a reason to ask the inbox before the second is over."""
        self.opened = asyncio.Event()
        """Set when a shard was opened."""

    def open(self, claim: Claim) -> None:
        """Begin to work a shard that has just been claimed."""
        self.drop(claim.key, "claimed anew")
        self._shards[claim.key] = OwnedShard(
            claim,
            ShardQueue(
                claim.key, self._bounds.user_waiting_jobs_max, self._bounds.waiting_bytes_max
            ),
            RememberedPreferences(self._preferences),
        )
        self._beside.begin(claim, partial(self.lost, claim))
        metrics.OWNED_SHARDS.set(len(self._shards))
        _log.info("shard_opened", shard=str(claim))
        self.opened.set()
        self.inbox_wanted.set()

    def drop(self, key: ShardKey, reason: str) -> None:
        """Stop working a shard at once; one that is not worked is no error."""
        shard = self._shards.pop(key, None)
        if shard is None:
            return
        metrics.OWNED_SHARDS.set(len(self._shards))
        metrics.DROPPED_SHARDS.inc()
        _log.warning("shard_dropped", shard=str(shard.claim), reason=reason)
        self._stop(shard)

    def drop_all(self, reason: str) -> None:
        """Stop working every shard at once."""
        for key in list(self._shards):
            self.drop(key, reason)

    async def drain(self, key: ShardKey, timeout_seconds: float) -> Claim | None:
        """Finish what runs within the bound, cancel the rest, and stop working the shard.

        Gives the claim to release; None when the shard was dropped meanwhile.
        """
        shard = self._shards.get(key)
        if shard is None:
            return None
        shard.draining.set()
        now = asyncio.get_running_loop().time
        ends_at = now() + timeout_seconds
        if shard.tasks:
            await asyncio.wait(shard.tasks, timeout=timeout_seconds)
        # A job may wait for its order: the orders go on until the jobs have stopped.
        cut_orders = await self._beside.finish(shard.claim, max(0.0, ends_at - now()))
        cut = list(shard.tasks)
        await end_tasks(cut)
        if self._shards.get(key) is not shard:
            return None
        del self._shards[key]
        metrics.OWNED_SHARDS.set(len(self._shards))
        _log.info("shard_drained", shard=str(shard.claim), cut_jobs=len(cut), cut_orders=cut_orders)
        return shard.claim

    async def close(self) -> None:
        """Drop what is left and wait until nothing runs."""
        self.drop_all("closing")
        if self._tasks:
            await asyncio.wait(self._tasks)

    def all(self) -> list[OwnedShard]:
        """Give the shards worked, ordered by pool and number, those being drained included."""
        return [self._shards[key] for key in sorted(self._shards)]

    def readable(self) -> list[OwnedShard]:
        """Give the shards whose jobs may still be started."""
        return [shard for shard in self._shards.values() if not shard.draining.is_set()]

    def take_from_stream(self, read: Iterable[OwnedShard], entries: Iterable[StreamEntry]) -> None:
        """Take notice of what the streams of the shards `read` brought.

        A shard that was dropped, or claimed anew, while they were read begins at its own position.
        """
        still = {s.claim.key: s for s in read if self._shards.get(s.claim.key) is s}
        touched: set[ShardKey] = set()
        for entry in entries:
            shard = still.get(entry.key)
            if shard is None:
                continue
            shard.position = entry.entry_id
            touched.add(entry.key)
            verdict = Verdict.FOREIGN
            if entry.job is not None:
                verdict = shard.queue.offer(entry.job, entry.entry_id)
            metrics.STREAM_ENTRIES.labels(verdict.value).inc()
            if verdict in (Verdict.ENDED, Verdict.FOREIGN):
                self._clear_entries(entry.key, [entry.entry_id])
        for key in touched:
            shard = still[key]
            self._pump(shard)
            if shard.queue.has_gap:
                metrics.GAPS.inc()
                self.inbox_wanted.set()

    def take_from_inbox(self, undone: UndoneJobs) -> None:
        """Take notice of what the inbox says of one shard."""
        shard = self._shards.get(undone.claim.key)
        if shard is None or shard.claim != undone.claim:
            return
        if undone.is_stale:
            self.drop(undone.claim.key, "the inbox knows a newer claim")
            return
        ended: list[bytes] = []
        if undone.next_seqs is not None:
            ended += shard.queue.prime(undone.next_seqs)
            firsts = {job.user_id: job.job_id for job in reversed(undone.jobs)}
            shard.found_undone = frozenset(firsts.values())
        ended += shard.queue.observe_inbox(undone.jobs)
        self._clear_entries(shard.claim.key, ended)
        self._pump(shard)

    def strangers(self, jobs_max: int) -> list[tuple[Claim, Job]]:
        """Give jobs of users whom only the streams have named, at most so many of each shard."""
        return [
            (shard.claim, job)
            for shard in self._shards.values()
            for job in shard.queue.strangers(jobs_max)
        ]

    def judge_stranger(self, claim: Claim, job: Job, *, is_known: bool) -> None:
        """Take notice of whether the inbox knows a stranger's job."""
        shard = self._shards.get(claim.key)
        if shard is None or shard.claim != claim:
            return
        if is_known:
            shard.queue.let_in(job)
        else:
            self._clear_entries(claim.key, shard.queue.turn_away(job))

    def lost(self, claim: Claim) -> None:
        """Take notice that a store knows a newer claim."""
        shard = self._shards.get(claim.key)
        if shard is not None and shard.claim == claim:
            self.drop(claim.key, "a store knows a newer claim")

    def _pump(self, shard: OwnedShard) -> None:
        while not shard.draining.is_set() and (job := shard.queue.take_ready()) is not None:
            task = asyncio.create_task(self._run(shard, job))
            for tasks in (shard.tasks, self._tasks):
                tasks.add(task)
                task.add_done_callback(tasks.discard)

    async def _run(self, shard: OwnedShard, job: Job) -> None:
        try:
            ending = await self._execution.work(
                Turn(
                    job,
                    shard.claim,
                    shard.preferences,
                    shard.draining,
                    may_have_run=job.job_id in shard.found_undone,
                )
            )
        except ClaimLost:
            self.lost(shard.claim)
            return
        except Exception:  # noqa: BLE001 (a mistake of ours must not stop the user's line)
            _log.exception("job_lost_its_way", job_id=str(job.job_id))
            ending = Ending.UNKNOWN
        if ending is Ending.ABANDONED:
            return
        if ending is Ending.ENDED:
            entries = shard.queue.ended(job)
        else:
            entries = shard.queue.unknown(job)
            self.inbox_wanted.set()
        self._clear_entries(shard.claim.key, entries)
        if self._shards.get(shard.claim.key) is shard:
            self._pump(shard)
            if shard.queue.has_gap_of(job.user_id):
                self.inbox_wanted.set()

    def _stop(self, shard: OwnedShard) -> None:
        shard.draining.set()
        self._beside.stop(shard.claim)
        current = asyncio.current_task()
        for task in shard.tasks:
            if task is not current:
                task.cancel()
