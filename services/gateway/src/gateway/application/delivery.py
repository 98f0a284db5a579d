"""The end of jobs: Deliver calls that arrive together share a transaction, and what they say is
sent from memory at once.

Until the transaction's answer is here, the causes of its rows are known to `Sending` as arriving,
so that whoever looks into the outbox meanwhile leaves them to this call.
"""

import time
from collections.abc import Sequence
from uuid import UUID

from chassis.errors import NotFound, StaleClaim
from chassis.micro_batch import MicroBatcher
from gateway import metrics
from gateway.application.ports import BatchLimits, OutboxStore
from gateway.application.sending import Sending
from gateway.domain import Ended, Ending, EndingRefused, Lane, OutboxRow


class Delivery:
    """Ends jobs."""

    def __init__(self, outbox: OutboxStore, sending: Sending, batches: BatchLimits) -> None:
        self._outbox = outbox
        self._sending = sending
        self.batcher: MicroBatcher[Ending, bool] = MicroBatcher(
            self._end, batches.entries_max, batches.wait_milliseconds, batches.queue_max
        )

    async def deliver(self, ending: Ending) -> bool:
        """End one job; True when it had been ended before.

        Raises StaleClaim, NotFound, TryAgain, LimitReached.
        """
        return await self.batcher.submit(ending)

    async def _end(self, endings: Sequence[Ending]) -> list[bool | Exception]:
        began = time.monotonic()
        take_leases = self._sending.has_room(sum(len(ending.replies) for ending in endings))
        with self._sending.arriving({ending.job_id for ending in endings}):
            answers = await self._outbox.end_jobs(endings, take_leases=take_leases)
            rows: dict[UUID, list[OutboxRow]] = {}
            for answer in answers:
                if isinstance(answer, Ended) and answer.ours:
                    rows.setdefault(answer.user_id, []).extend(answer.rows)
            arrivals = {
                answer.user_id: answer.arrivals for answer in answers if isinstance(answer, Ended)
            }
            for user_id, said in rows.items():
                self._sending.arrived(Lane.ANSWER, user_id, said, arrivals[user_id], began)
        return [_answer(answer) for answer in answers]


def _answer(answer: Ended | EndingRefused) -> bool | Exception:
    if isinstance(answer, Ended):
        metrics.DELIVERIES.labels("ended").inc()
        return False
    metrics.DELIVERIES.labels(answer.name.lower()).inc()
    match answer:
        case EndingRefused.ALREADY_ENDED:
            return True
        case EndingRefused.STALE:
            return StaleClaim("the claim is not the newest of its shard")
        case EndingRefused.UNKNOWN:
            return NotFound("no such job in that shard")
