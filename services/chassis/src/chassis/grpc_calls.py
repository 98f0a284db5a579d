"""What happens around one call on the server's side.

One interceptor wraps every method: it continues the caller's trace, bounds the call when the caller
did not, measures it and translates what the method raises. Errors of `chassis.errors` keep their
message, since it was written for the caller; the kernel's `Malformed` becomes INVALID_ARGUMENT;
anything else is INTERNAL with the trace's id and nothing of the exception, which goes to the log.
The reason travels in the trailing metadata `purser-reason`.

grpc answers INTERNAL to bytes that are no message. To answer INVALID_ARGUMENT, the deserializer is
wrapped: it hands over a marker instead of raising, and the door refuses the marker.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
import grpc.aio
from prometheus_client import Histogram

from chassis.errors import (
    AlreadyExists,
    CallerMistake,
    LimitReached,
    NotAllowed,
    NotFound,
    NotIdentified,
    Refused,
    ServiceError,
    TryAgain,
)
from chassis.grpc_callers import AllowList
from chassis.telemetry import continue_trace, current_trace, get_logger
from kernel.malformed import Malformed

REASON_KEY: Final = "purser-reason"
TRACE_KEY: Final = "traceparent"
DRAINING: Final = "DRAINING"

_STATUS: tuple[tuple[type[ServiceError], grpc.StatusCode], ...] = (
    (CallerMistake, grpc.StatusCode.INVALID_ARGUMENT),
    (NotFound, grpc.StatusCode.NOT_FOUND),
    (AlreadyExists, grpc.StatusCode.ALREADY_EXISTS),
    (Refused, grpc.StatusCode.FAILED_PRECONDITION),
    (LimitReached, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (NotIdentified, grpc.StatusCode.UNAUTHENTICATED),
    (NotAllowed, grpc.StatusCode.PERMISSION_DENIED),
    (TryAgain, grpc.StatusCode.UNAVAILABLE),
)

_SECONDS = Histogram(
    "purser_grpc_server_seconds",
    "How long calls took, by method and status",
    ["method", "code"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

OUTAGE_WARNING_SECONDS = 10.0
"""How often an outage is told of, per method; `purser_grpc_server_seconds` has every call."""

_log = get_logger(__name__)

# As many entries as this process serves methods: no bound is needed.
_told_at: dict[str, float] = {}


class _NotAMessage:
    """Stands for bytes that could not be read as the method's message."""


_NOT_A_MESSAGE = _NotAMessage()
Handler = Callable[[Any, Any], Any]


class DoorInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Wraps each method as the module says; without an `allow_list` everybody may call."""

    def __init__(
        self,
        call_timeout_seconds: float,
        stream_timeout_seconds: float,
        allow_list: AllowList | None = None,
    ) -> None:
        self._call_timeout_seconds = call_timeout_seconds
        self._stream_timeout_seconds = stream_timeout_seconds
        self._allow_list = allow_list
        self._streams: dict[asyncio.Task[Any], str] = {}
        self._draining = False

    def end_streams(self, *, spare: str | None = None) -> bool:
        """End the streams of answers with UNAVAILABLE: they would never end by themselves.

        Those of the service `spare` go on; says whether there are any.
        """
        self._draining = True
        spared = False
        for task, method in self._streams.items():
            if spare and method.startswith(f"{spare}/"):
                spared = True
            else:
                task.cancel()
        return spared

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """Give grpc the wrapped method; None stays None (UNIMPLEMENTED)."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method.lstrip("/")
        if handler.response_streaming:
            inner = handler.stream_stream if handler.request_streaming else handler.unary_stream
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            wrapped = self._wrap_streaming(method, inner)
        else:
            inner = handler.stream_unary if handler.request_streaming else handler.unary_unary
            make = (
                grpc.stream_unary_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_unary_rpc_method_handler
            )
            wrapped = self._wrap_unary(method, inner)
        return make(
            wrapped,
            request_deserializer=_tolerant(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _wrap_unary(self, method: str, inner: Handler) -> Handler:
        async def call(request: Any, context: Any) -> Any:
            async with self._door(method, context, self._call_timeout_seconds):
                return await inner(_checked(request), context)

        return call

    def _wrap_streaming(self, method: str, inner: Handler) -> Handler:
        # grpc looks at the kind of function: a generator yields answers, a coroutine writes them.
        if inspect.isasyncgenfunction(inner):

            async def generate(request: Any, context: Any) -> AsyncIterator[Any]:
                async with (
                    self._door(method, context, self._stream_timeout_seconds),
                    self._ended_by_drain(method),
                ):
                    async for response in inner(_checked(request), context):
                        yield response

            return generate

        async def write(request: Any, context: Any) -> None:
            async with (
                self._door(method, context, self._stream_timeout_seconds),
                self._ended_by_drain(method),
            ):
                await inner(_checked(request), context)

        return write

    @asynccontextmanager
    async def _door(self, method: str, context: Any, timeout_seconds: float) -> AsyncIterator[None]:
        """Everything around one call; whatever is raised inside leaves as a status."""
        began = time.perf_counter()
        code = grpc.StatusCode.OK
        with continue_trace(_header(context, TRACE_KEY), method):
            try:
                if self._allow_list is not None:
                    self._allow_list.check(method, context.auth_context())
                remaining: float | None = context.time_remaining()
                async with asyncio.timeout(timeout_seconds if remaining is None else None):
                    yield
            except grpc.aio.AbortError:
                code = grpc.StatusCode(context.code())
                raise
            except asyncio.CancelledError:
                code = grpc.StatusCode.CANCELLED
                raise
            except Exception as error:  # noqa: BLE001 (the one place where errors become statuses)
                code, details, reason = _status_of(error, method)
                trailer = ((REASON_KEY, reason),) if reason else ()
                await context.abort(code, details, trailer)
            finally:
                _SECONDS.labels(method, code.name).observe(time.perf_counter() - began)

    @asynccontextmanager
    async def _ended_by_drain(self, method: str) -> AsyncIterator[None]:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (grpc runs each call in a task)
        self._streams[task] = method
        try:
            yield
        except asyncio.CancelledError:
            if not self._draining:
                raise
            task.uncancel()
            raise TryAgain("this server is going away", reason=DRAINING) from None
        finally:
            self._streams.pop(task, None)


def _tolerant(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    if deserialize is None:
        return None

    def tolerant(raw: bytes) -> Any:
        try:
            return deserialize(raw)
        except Exception:  # noqa: BLE001 (whatever it is, it is no message)
            return _NOT_A_MESSAGE

    return tolerant


def _checked(request: Any) -> Any:
    """Refuse the marker, at once or wherever it turns up in a stream."""
    if request is _NOT_A_MESSAGE:
        raise CallerMistake("the request is not a message of this method", reason="MALFORMED")
    if hasattr(request, "__aiter__"):
        return _checked_stream(request)
    return request


async def _checked_stream(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _checked(request)


def _status_of(error: Exception, method: str) -> tuple[grpc.StatusCode, str, str]:
    """Choose status, details and reason for what a method raised, and log what is worth it."""
    if isinstance(error, ServiceError):
        for kind, code in _STATUS:
            if isinstance(error, kind):
                if isinstance(error, TryAgain) and error.reason != DRAINING:
                    _tell_of_outage(method, error)
                return code, str(error), error.reason
    if isinstance(error, Malformed):
        return grpc.StatusCode.INVALID_ARGUMENT, str(error), "MALFORMED"
    if isinstance(error, TimeoutError):
        _log.warning("call_timed_out", method=method)
        return grpc.StatusCode.DEADLINE_EXCEEDED, "the call took too long", ""
    if isinstance(error, NotImplementedError):
        # What the generated servicer raises for a method of the contract that nobody overrode.
        return grpc.StatusCode.UNIMPLEMENTED, "this server does not serve this method", ""
    _log.error("call_failed", method=method, exc_info=error)
    trace = current_trace()
    shown = trace.trace_id_text if trace else "unknown"
    return grpc.StatusCode.INTERNAL, f"internal error, see log {shown}", ""


def _tell_of_outage(method: str, error: TryAgain) -> None:
    """Warn once per method and period: callers come again and again while something is away."""
    now = time.monotonic()
    if now - _told_at.get(method, float("-inf")) >= OUTAGE_WARNING_SECONDS:
        _told_at[method] = now
        _log.warning("try_again", method=method, details=str(error))


def _header(context: Any, key: str) -> str:
    for name, value in context.invocation_metadata() or ():
        if name == key:
            return value if isinstance(value, str) else ""
    return ""
