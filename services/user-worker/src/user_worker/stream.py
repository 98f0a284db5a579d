"""The shards' streams in Redis. Every failure to answer is DependencyDown."""

from collections.abc import Mapping, Sequence

from redis.asyncio import Redis

from chassis import streams
from kernel.names import jobs_stream
from kernel.sharding import ShardKey
from user_worker.ports import StreamEntry
from user_worker.redis_calls import answering
from user_worker.wire import job_of_payload


class RedisJobStream:
    """Reads and clears the streams."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def read(
        self, positions: Mapping[ShardKey, bytes], wait_seconds: float, entries_max: int
    ) -> Sequence[StreamEntry]:
        """Wait for entries after the given positions; up to `entries_max` of each shard."""
        keys = {jobs_stream(key): key for key in positions}
        with answering():
            entries = await streams.read(
                self._redis,
                {name: positions[key] for name, key in keys.items()},
                int(wait_seconds * 1000),
                entries_max,
            )
        return [
            StreamEntry(keys[name], entry_id, job_of_payload(payload))
            for name, entry_id, payload in entries
        ]

    async def remove(self, key: ShardKey, entry_ids: Sequence[bytes]) -> None:
        """Take entries off the stream; those not there are no error."""
        with answering():
            await streams.remove(self._redis, jobs_stream(key), entry_ids)
