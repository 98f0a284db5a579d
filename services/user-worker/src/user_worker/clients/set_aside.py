"""Jobs that were set aside, for people. No claim is needed, and each call is safe to repeat.

What is shown is the gateway's own message, so nothing is read into another shape here.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import grpc
import grpc.aio

from chassis.grpc_client import call_idempotent
from purser.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from user_worker.clients.asked import failure_of
from user_worker.errors import JobUnknown, RequestRefused

_REFUSALS = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
"""Their details are sentences for whoever asked."""

Answer = TypeVar("Answer")


class SetAsideJobs:
    """What the gateway keeps of jobs that could not be worked.

    Every call raises DependencyDown when there is no answer in time, RequestRefused when the
    gateway will not do it.
    """

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._stub = gateway_pb2_grpc.GatewayServiceStub(channel)
        self._timeout_seconds = timeout_seconds

    async def list(
        self, request: gateway_pb2.ListSetAsideJobsRequest
    ) -> gateway_pb2.ListSetAsideJobsResponse:
        """Read a page, those set aside last first."""
        return await self._ask(
            lambda timeout: self._stub.ListSetAsideJobs(request, timeout=timeout)
        )

    async def read(
        self, job_id: UUID, *, include_input: bool
    ) -> gateway_pb2.ReadSetAsideJobResponse:
        """Read one job, on request with what was typed. Raises JobUnknown too."""
        request = gateway_pb2.ReadSetAsideJobRequest(
            job_id=str(job_id), include_input=include_input
        )
        return await self._ask(lambda timeout: self._stub.ReadSetAsideJob(request, timeout=timeout))

    async def replay(self, job_id: UUID) -> gateway_pb2.ReplayJobResponse:
        """Have one worked again, as a new job, or find its replay. Raises JobUnknown too."""
        request = gateway_pb2.ReplayJobRequest(job_id=str(job_id))
        return await self._ask(lambda timeout: self._stub.ReplayJob(request, timeout=timeout))

    async def _ask(self, call: Callable[[float], Awaitable[Answer]]) -> Answer:
        try:
            return await call_idempotent(call, self._timeout_seconds)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                raise JobUnknown(error.details() or "") from None
            if error.code() in _REFUSALS:
                raise RequestRefused("gateway", error.details() or error.code().name) from None
            raise failure_of("gateway", error) from None
