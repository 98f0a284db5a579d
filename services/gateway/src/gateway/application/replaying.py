"""Having a job that was set aside worked again."""

from uuid import UUID

from chassis.telemetry import get_logger
from gateway import metrics
from gateway.application.ports import SetAsideStore
from gateway.application.pushing import StreamPusher
from gateway.domain import Replayed

_log = get_logger(__name__)


class Replaying:
    """Replays jobs."""

    def __init__(self, store: SetAsideStore, pusher: StreamPusher) -> None:
        self._store = store
        self._pusher = pusher

    async def replay(self, job_id: UUID) -> Replayed:
        """Accept a replay and push it like any accepted job, or find the one there is.

        Raises NotFound, Refused (FORGOTTEN), LimitReached, TryAgain.
        """
        replayed = await self._store.replay(job_id)
        if replayed.job is not None:
            self._pusher.push([replayed.job])
            metrics.REPLAYS.inc()
            _log.info("job_replayed", job_id=str(job_id), replay=str(replayed.job_id))
        return replayed
