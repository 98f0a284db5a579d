"""One call and what its failure means."""

from collections.abc import Awaitable
from typing import TypeVar

import grpc
import grpc.aio

from chassis.grpc_client import reason_of
from user_worker.errors import ClaimLost, DependencyDown, RequestRefused, WorkerError

STALE_EPOCH = "STALE_EPOCH"

_OUTAGES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        # Who we are is not believed, or may not call this: a certificate or a table is to be
        # mended, and no job is to blame.
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
    }
)

Answer = TypeVar("Answer")


async def asked(dependency: str, call: Awaitable[Answer]) -> Answer:
    """Wait for an answer. Raises ClaimLost, DependencyDown, or RequestRefused for all else."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise failure_of(dependency, error) from None


def failure_of(dependency: str, error: grpc.aio.AioRpcError) -> WorkerError:
    """Name what to do about a failed call: ClaimLost, DependencyDown, RequestRefused."""
    if is_claim_lost(error):
        return ClaimLost(dependency)
    if error.code() in _OUTAGES:
        return DependencyDown(dependency, told(error))
    return RequestRefused(dependency, told(error))


def is_claim_lost(error: grpc.aio.AioRpcError) -> bool:
    """Say whether a store refused because a newer claim exists."""
    is_refused = error.code() is grpc.StatusCode.FAILED_PRECONDITION
    return is_refused and reason_of(error) == STALE_EPOCH


def told(error: grpc.aio.AioRpcError) -> str:
    """Write a failure for the log."""
    reason = reason_of(error)
    return f"{error.code().name}{f' ({reason})' if reason else ''}: {error.details()}"
