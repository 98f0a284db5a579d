"""Redis in memory: the shards' streams, and the dialogues. It may be flushed at any moment, and
nobody is owed anything it held.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from tests.simulation.network import Network

from kernel.sharding import ShardKey
from shard_operator.scaling import Backlog
from user_worker.domain.jobs import Job
from user_worker.domain.sessions import Session
from user_worker.errors import DependencyDown
from user_worker.ports import StreamEntry


@dataclass
class Streams:
    """What Redis holds."""

    entries: dict[ShardKey, list[tuple[int, Job | None]]] = field(default_factory=dict)
    """Each shard's entries by rising id; None is one without a seal."""
    ended: Counter[int] = field(default_factory=Counter)
    sessions: dict[UUID, Session] = field(default_factory=dict)
    last_id: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and made anew, when an entry arrives: wakes the readers that block."""

    def append(self, job: Job) -> None:
        """XADD"""
        self.put(job.key, job)

    def put(self, key: ShardKey, job: Job | None) -> None:
        """XADD of anything by anybody."""
        self.last_id += 1
        self.entries.setdefault(key, []).append((self.last_id, job))
        self.arrived.set()
        self.arrived = asyncio.Event()

    def after(self, positions: Mapping[ShardKey, bytes], entries_max: int) -> list[StreamEntry]:
        """XREAD without BLOCK."""
        found = []
        for key, position in positions.items():
            stream, first = self.entries.get(key), int(position)
            if stream and stream[-1][0] > first:
                news = [entry for entry in stream if entry[0] > first][:entries_max]
                found += [StreamEntry(key, b"%d" % entry_id, job) for entry_id, job in news]
        return found

    def remove(self, key: ShardKey, entry_ids: Sequence[bytes]) -> None:
        """XDEL"""
        gone = {int(entry_id) for entry_id in entry_ids}
        before = self.entries.get(key, [])
        self.entries[key] = [entry for entry in before if entry[0] not in gone]
        self.ended[key.shard] += len(before) - len(self.entries[key])

    def flush(self) -> None:
        """FLUSHALL, and a server whose ids begin anew."""
        self.entries.clear()
        self.sessions.clear()
        self.ended.clear()
        self.last_id = 0

    def backlog(self) -> Backlog:
        """What the operator measures."""
        depths = {key.shard: len(stream) for key, stream in self.entries.items() if stream}
        return Backlog(depths, dict(self.ended), 0.1 if depths else None)


class SimulatedStream:
    """ports.JobStream"""

    def __init__(self, network: Network, streams: Streams) -> None:
        self._network = network
        self._streams = streams

    async def read(
        self, positions: Mapping[ShardKey, bytes], wait_seconds: float, entries_max: int
    ) -> Sequence[StreamEntry]:
        """See ports."""
        streams = self._streams
        found = await self._network.call(
            "redis", "read", lambda: streams.after(positions, entries_max)
        )
        if found:
            return found
        try:
            async with asyncio.timeout(wait_seconds):
                while not streams.after(positions, 1):
                    await streams.arrived.wait()
        except TimeoutError:
            return []
        return await self._network.call(
            "redis", "read", lambda: streams.after(positions, entries_max)
        )

    async def remove(self, key: ShardKey, entry_ids: Sequence[bytes]) -> None:
        """See ports."""
        await self._network.call("redis", "remove", lambda: self._streams.remove(key, entry_ids))


class SimulatedSessions:
    """ports.Sessions"""

    def __init__(self, network: Network, streams: Streams) -> None:
        self._network = network
        self._sessions = streams.sessions

    async def read(self, user_id: UUID) -> Session | None:
        """See ports."""
        return await self._network.call("redis", "session", lambda: self._sessions.get(user_id))

    async def keep(self, user_id: UUID, session: Session) -> None:
        """See ports."""
        await self._network.call(
            "redis", "keep session", lambda: self._sessions.update({user_id: session})
        )

    async def end(self, user_id: UUID) -> None:
        """See ports."""
        await self._network.call("redis", "end session", lambda: self._end(user_id))

    def _end(self, user_id: UUID) -> None:
        self._sessions.pop(user_id, None)


class SimulatedBacklog:
    """workloads.BacklogSource"""

    def __init__(self, network: Network, streams: Streams) -> None:
        self._network = network
        self._streams = streams

    async def measure_backlog(self, pool: str, shards: Sequence[int]) -> Backlog | None:
        """See workloads."""
        try:
            return await self._network.call("redis", "backlog", self._streams.backlog)
        except DependencyDown:
            return None
