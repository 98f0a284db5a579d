"""The shards' streams in Redis. Every failure to answer is DependencyDown."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from redis.asyncio import Redis
from redis.exceptions import RedisError

from chassis import streams
from chassis.errors import TryAgain
from kernel.names import jobs_stream
from kernel.sharding import ShardKey
from user_worker.errors import DependencyDown
from user_worker.ports import StreamEntry
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
        with _answering():
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
        with _answering():
            await streams.remove(self._redis, jobs_stream(key), entry_ids)


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except TryAgain as away:
        raise DependencyDown("redis", str(away)) from away
    except RedisError as refusal:
        # A key of another type, a right that is missing: the inbox still has every job.
        raise DependencyDown("redis", type(refusal).__name__) from refusal
