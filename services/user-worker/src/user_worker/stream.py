"""The shards' streams in Redis. Every failure to answer is DependencyDown.

An entry without the gateways' seal is given as one that is no job, so that it is removed. While
nobody has told the seals' key nothing is read: what cannot be judged must not be removed either.

When some nodes of a Redis Cluster are away, what the others have is given, and the streams of those
that are away are read from the start until they answer: the outage is theirs alone.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from chassis import streams
from chassis.redis import Redis
from chassis.telemetry import get_logger
from kernel.names import jobs_stream
from kernel.seals import unseal
from kernel.sharding import ShardKey
from user_worker.domain.jobs import Job
from user_worker.ports import StreamEntry
from user_worker.redis_calls import answering
from user_worker.wire import job_of_payload

KEY_WAIT_SECONDS = 0.02
"""How often to look whether the key is known."""

_START = b"0"
_log = get_logger(__name__)


class RedisJobStream:
    """Reads and clears the streams."""

    def __init__(self, redis: Redis, key: Callable[[], bytes | None]) -> None:
        """Take `key` as what gives the seals' key, None while nobody has told it."""
        self._redis = redis
        self._key = key
        self._away: frozenset[str] = frozenset()

    async def read(
        self, positions: Mapping[ShardKey, bytes], wait_seconds: float, entries_max: int
    ) -> Sequence[StreamEntry]:
        """Wait for entries after the given positions; up to `entries_max` of each shard."""
        seal_key = self._key()
        if seal_key is None:
            # The inbox tells it with the first answer after a claim; until then it tells the jobs.
            await asyncio.sleep(min(wait_seconds, KEY_WAIT_SECONDS))
            return []
        keys = {jobs_stream(key): key for key in positions}
        wanted = {
            name: _START if name in self._away else positions[key] for name, key in keys.items()
        }
        entries = await self._read(wanted, int(wait_seconds * 1000), entries_max)
        return [
            StreamEntry(keys[name], entry_id, _job_of(unseal(seal_key, name, entry)))
            for name, entry_id, entry in entries
        ]

    async def _read(
        self, wanted: Mapping[str, bytes], wait_milliseconds: int, entries_max: int
    ) -> Sequence[streams.Entry]:
        entries: Sequence[streams.Entry]
        away: frozenset[str] = frozenset()
        with answering():
            try:
                entries = await streams.read(self._redis, wanted, wait_milliseconds, entries_max)
            except streams.SomeAway as some:
                entries, away = some.entries, frozenset(some.away)
                if not self._away:
                    _log.warning("streams_away", streams=len(away), error=str(some))
        # Two reads may run at once, each of other shards.
        self._away = self._away - wanted.keys() | away
        return entries

    async def remove(self, key: ShardKey, entry_ids: Sequence[bytes]) -> None:
        """Take entries off the stream; those not there are no error."""
        with answering():
            await streams.remove(self._redis, jobs_stream(key), entry_ids)


def _job_of(payload: bytes | None) -> Job | None:
    return None if payload is None else job_of_payload(payload)
