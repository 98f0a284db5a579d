"""Where jobs come from: the streams push them, the inbox is asked.

`StreamReader` keeps one plain XREAD over all streams of the worker; shards that are opened while
it waits are read beside it until it ends: nobody waits for a read that does not know his shard. A
position begins at the stream's start and moves with what was read; an entry stays in the stream
until its job has ended, so reading again from the start is cheap and always harmless. That happens
after an error (the server may have been replaced by one whose ids are lower), when copies were
dropped and there is room again, and once in a while, so that no entry is left behind for ever.

`InboxReader` asks the gateway for the undone jobs of all shards: with the users' cursors after a
claim, every second, and soon after a gap was seen. Were Redis gone for good, users would wait a
second longer and notice nothing else. Then it asks about jobs of strangers, users whom only a
stream has named: what was in the stream of a shard, or was on its way there, when its user was
moved to another one is left over, and is removed.

`EntryClearer` takes the entries of ended jobs off the streams, many at a time. What it fails to
remove is met again on the next reading from the start and is removed then.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from chassis.ending import end_tasks
from chassis.telemetry import get_logger
from kernel.sharding import Claim, ShardKey
from user_worker import metrics
from user_worker.application.outages import note_answer, note_outage
from user_worker.application.shards import STREAM_START, OwnedShard, Shards
from user_worker.domain.pauses import Pauses
from user_worker.errors import ClaimLost, DependencyDown, JobUnknown, TooMuch
from user_worker.ports import Inbox, JobStream

NEWCOMERS_WAIT_SECONDS = 0.02
"""One read of shards that have just been opened, while the read of the others still waits."""

CLAIMS_PER_FETCH_MAX = 256
"""The gateway's bound on one FetchJobs."""

STRANGERS_PER_ROUND_MAX = 20
"""Jobs of one shard the gateway is asked about, one by one, in a round: a user who moves leaves
behind what waits of his, forty jobs at most."""

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
            reading = asyncio.create_task(self._read(shards, self._pace.wait_seconds))
            try:
                await self._read_newcomers_until(reading, shards)
                await reading
            except DependencyDown as outage:
                note_outage(outage, "read")
                for shard in self._shards.readable():
                    shard.position = STREAM_START
                    shard.is_at_end = True
                await asyncio.sleep(next(pauses))
                continue
            finally:
                await end_tasks({reading})
                if not reading.cancelled():
                    reading.exception()  # looked at, also when another one was raised first
            pauses = iter(self._pace.after_outage)
            note_answer("redis", "read")

    async def _read(self, shards: Sequence[OwnedShard], wait_seconds: float) -> None:
        entries_max = max(1, self._pace.entries_max // len(shards))
        entries = await self._stream.read(
            {shard.claim.key: self._position(shard) for shard in shards},
            wait_seconds,
            entries_max,
        )
        brought = Counter(entry.key for entry in entries)
        for shard in shards:
            shard.is_at_end = brought[shard.claim.key] < entries_max
        self._shards.take_from_stream(shards, entries)

    async def _read_newcomers_until(
        self, reading: asyncio.Task[None], known: Sequence[OwnedShard]
    ) -> None:
        """Read what was opened since `reading` began, again and again until it ends."""
        claims = {shard.claim for shard in known}
        self._shards.opened.clear()
        opened = asyncio.create_task(self._shards.opened.wait())
        try:
            await asyncio.wait({reading, opened}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end_tasks({opened})
        while not reading.done():
            newcomers = [s for s in self._shards.readable() if s.claim not in claims]
            if not newcomers:
                await asyncio.wait({reading})
                return
            await self._read(newcomers, min(NEWCOMERS_WAIT_SECONDS, self._pace.wait_seconds))

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
            await self._ask_about_strangers()

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

    async def _ask_about_strangers(self) -> None:
        # An entry follows its job into the inbox, so whatever it names has been there.
        for claim, job in self._shards.strangers(STRANGERS_PER_ROUND_MAX):
            try:
                await self._inbox.read_job(claim, job.job_id)
            except JobUnknown:
                self._shards.judge_stranger(claim, job, is_known=False)
            except ClaimLost:
                self._shards.lost(claim)
                return
            except DependencyDown as outage:
                note_outage(outage, "read-job")
                return
            else:
                self._shards.judge_stranger(claim, job, is_known=True)

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
