"""Notices nobody asked for: kept at once, sent when the buckets let them through."""

from collections.abc import Sequence
from uuid import UUID

from gateway import metrics
from gateway.application.ports import OutboxStore
from gateway.application.sending import Sending
from gateway.domain import Lane
from purser.gateway.v1 import gateway_pb2, reply_pb2

_RESULT_PREFIX = "NOTICE_RESULT_"
"""What the contract puts before each result's name; a metric's label does without."""


class Notices:
    """Takes notices in."""

    def __init__(self, outbox: OutboxStore, sending: Sending) -> None:
        self._outbox = outbox
        self._sending = sending

    async def put(
        self, notices: Sequence[tuple[UUID, UUID, Sequence[reply_pb2.Reply]]]
    ) -> list[gateway_pb2.NoticeResult.ValueType]:
        """Keep notices of (event id, user id, replies); per notice, in order, what became of it.

        Raises TryAgain.
        """
        put, reachable = await self._outbox.put_notices(
            [
                (event, user, [reply.SerializeToString() for reply in replies])
                for event, user, replies in notices
            ]
        )
        if put:
            self._sending.wake(Lane.NOTICE)
        results = []
        for event, user, _ in notices:
            if user not in reachable:
                result = gateway_pb2.NOTICE_RESULT_UNDELIVERABLE
            elif event in put:
                result = gateway_pb2.NOTICE_RESULT_ACCEPTED
                put.discard(event)  # the same event again in this call is a duplicate
            else:
                result = gateway_pb2.NOTICE_RESULT_DUPLICATE
            name = gateway_pb2.NoticeResult.Name(result).removeprefix(_RESULT_PREFIX)
            metrics.NOTICES.labels(name.lower()).inc()
            results.append(result)
        return results
