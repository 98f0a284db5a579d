"""Jobs on their way to the shards' streams.

The inbox is the truth and workers look into it every second; the stream only spares them that
second. So nobody waits for Redis: accepted jobs are put into a bounded buffer, one task appends
them in pipelines, and while Redis is away they are dropped and counted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from chassis.errors import ServiceError
from chassis.telemetry import get_logger
from gateway import metrics
from gateway.domain import AcceptedJob

PIPELINE_JOBS_MAX = 200
"""Per round trip: some 100 KiB."""

Append = Callable[[Sequence[AcceptedJob]], Awaitable[Sequence[bytes | ServiceError]]]
"""Appends each job to its shard's stream; per job its entry's id, or why there is none."""

_log = get_logger(__name__)


class StreamPusher:
    """Appends what is pushed, in order, as fast as Redis goes."""

    def __init__(self, append: Append, buffer_jobs_max: int) -> None:
        self._append = append
        self._jobs: asyncio.Queue[AcceptedJob] = asyncio.Queue(buffer_jobs_max)

    def push(self, jobs: Iterable[AcceptedJob]) -> None:
        """Append these soon; what the buffer has no room for is dropped and counted."""
        for job in jobs:
            try:
                self._jobs.put_nowait(job)
            except asyncio.QueueFull:
                metrics.STREAM_APPENDS.labels("dropped").inc()

    async def run(self) -> None:
        """Append until cancelled."""
        failing = False
        while True:
            batch = [await self._jobs.get()]
            while len(batch) < PIPELINE_JOBS_MAX and not self._jobs.empty():
                batch.append(self._jobs.get_nowait())
            failures = [
                result for result in await self._append(batch) if not isinstance(result, bytes)
            ]
            metrics.STREAM_APPENDS.labels("appended").inc(len(batch) - len(failures))
            if failures:
                metrics.STREAM_APPENDS.labels("failed").inc(len(failures))
                if not failing:
                    _log.warning("stream_append_failed", jobs=len(failures), error=str(failures[0]))
            elif failing:
                _log.info("stream_append_works_again")
            failing = bool(failures)
