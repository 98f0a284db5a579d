"""Where jobs come from: the streams push them, the inbox is asked.

`StreamReader` keeps one plain XREAD over all streams of the worker. A position begins at the
stream's start and moves with what was read; an entry stays in the stream until its job has ended,
so reading again from the start is cheap and always harmless. That happens after an error (the
server may have been replaced by one whose ids are lower), when copies were dropped and there is
room again, and once in a while, so that no entry is left behind for ever.

`InboxReader` asks the gateway for the undone jobs of all shards: with the users' cursors after a
claim, every second, and soon after a gap was seen. Were Redis gone for good, users would wait a
second longer and notice nothing else.

`EntryClearer` takes the entries of ended jobs off the streams, many at a time. What it fails to
remove is met again on the next reading from the start and is removed then.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from chassis.telemetry import get_logger
from kernel.sharding import Claim, ShardKey
from user_worker import metrics
from user_worker.application.outages import note_answer, note_outage
from user_worker.application.shards import STREAM_START, OwnedShard, Shards
from user_worker.domain.pauses import Pauses
from user_worker.errors import DependencyDown, TooMuch
from user_worker.ports import Inbox, JobStream

CLAIMS_PER_FETCH_MAX = 256
"""The gateway's bound on one FetchJobs."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StreamPace:
    """How the streams are read."""

    wait_seconds: float
    entries_max: int
    restart_period_seconds: float
    restart_after_drop_seconds: float
    after_outage: Pauses


class StreamReader:
    """Brings what the streams push."""

    def __init__(self, stream: JobStream, shards: Shards, pace: StreamPace) -> None:
        self._stream = stream
        self._shards = shards
        self._pace = pace

    async def run(self) -> None:
        """Read until cancelled."""
        pauses = iter(self._pace.after_outage)
        while True:
            shards = self._shards.readable()
            if not shards:
                self._shards.opened.clear()
                await self._shards.opened.wait()
                continue
            entries_max = max(1, self._pace.entries_max // len(shards))
            try:
                entries = await self._stream.read(
                    {shard.claim.key: self._position(shard) for shard in shards},
                    self._pace.wait_seconds,
                    entries_max,
                )
            except DependencyDown as outage:
                note_outage(outage, "read")
                for shard in shards:
                    shard.position = STREAM_START
                    shard.is_at_end = True
                await asyncio.sleep(next(pauses))
                continue
            pauses = iter(self._pace.after_outage)
            note_answer("redis", "read")
            brought = Counter(entry.key for entry in entries)
            for shard in shards:
                shard.is_at_end = brought[shard.claim.key] < entries_max
            self._shards.take_from_stream(shards, entries)

    def _position(self, shard: OwnedShard) -> bytes:
        now = asyncio.get_running_loop().time()
        since = now - shard.read_from_start_at
        queue = shard.queue
        made_room = queue.has_dropped and queue.has_room
        is_due = since >= self._pace.restart_period_seconds or (
            made_room and since >= self._pace.restart_after_drop_seconds
        )
        if is_due and shard.is_at_end:
            shard.position = STREAM_START
        if shard.position == STREAM_START:
            shard.read_from_start_at = now
            queue.forget_drops()
        return shard.position


@dataclass(frozen=True, slots=True)
class InboxPace:
    """How the inbox is asked."""

    period_seconds: float
    gather_seconds: float
    jobs_per_shard_max: int


class InboxReader:
    """Brings what the inbox knows."""

    def __init__(self, inbox: Inbox, shards: Shards, pace: InboxPace) -> None:
        self._inbox = inbox
        self._shards = shards
        self._pace = pace

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            wanted = self._shards.inbox_wanted
            try:
                async with asyncio.timeout(self._pace.period_seconds):
                    await wanted.wait()
                # Reasons come in bunches, and a gap often fills itself: one call for them all.
                await asyncio.sleep(self._pace.gather_seconds)
            except TimeoutError:
                pass
            wanted.clear()
            shards = self._shards.readable()
            await self._fetch([s for s in shards if not s.queue.is_primed], include_cursors=True)
            await self._fetch([s for s in shards if s.queue.is_primed], include_cursors=False)

    async def _fetch(self, shards: Sequence[OwnedShard], *, include_cursors: bool) -> None:
        claims = [shard.claim for shard in shards]
        for first in range(0, len(claims), CLAIMS_PER_FETCH_MAX):
            some = claims[first : first + CLAIMS_PER_FETCH_MAX]
            try:
                await self._ask(some, self._pace.jobs_per_shard_max, include_cursors)
            except DependencyDown as outage:
                note_outage(outage, "fetch")
                return
            note_answer("gateway", "fetch")

    async def _ask(self, claims: Sequence[Claim], jobs_max: int, include_cursors: bool) -> None:
        """Ask; if the answer is too large, ask for half the shards, or half the jobs of one."""
        try:
            answers = await self._inbox.fetch_jobs(
                claims, jobs_max, include_cursors=include_cursors
            )
        except TooMuch:
            half = len(claims) // 2
            if half:
                await self._ask(claims[:half], jobs_max, include_cursors)
                await self._ask(claims[half:], jobs_max, include_cursors)
            elif jobs_max > 1:
                await self._ask(claims, jobs_max // 2, include_cursors)
            else:
                raise
            return
        metrics.FETCHES.inc()
        for answer in answers:
            self._shards.take_from_inbox(answer)


class EntryClearer:
    """Takes entries of ended jobs off the streams."""

    def __init__(self, stream: JobStream, entries_max: int) -> None:
        self._stream = stream
        self._entries_max = entries_max
        self._ended: defaultdict[ShardKey, list[bytes]] = defaultdict(list)
        self._count = 0
        self._some = asyncio.Event()

    def clear(self, key: ShardKey, entry_ids: Sequence[bytes]) -> None:
        """Remember entries to remove; beyond the bound they are left for the next reading."""
        room = self._entries_max - self._count
        if entry_ids and room > 0:
            self._ended[key] += entry_ids[:room]
            self._count += min(room, len(entry_ids))
            self._some.set()

    async def run(self) -> None:
        """Remove until cancelled."""
        while True:
            await self._some.wait()
            await self.flush()

    async def flush(self) -> None:
        """Remove what is remembered now; what cannot be removed is forgotten."""
        ended, self._ended, self._count = self._ended, defaultdict(list), 0
        self._some.clear()
        for key, entry_ids in ended.items():
            try:
                await self._stream.remove(key, entry_ids)
            except DependencyDown as outage:
                note_outage(outage, "clear")
