"""Channels to other rooms: spread over all replicas, every call with a timeout, retries only where
they are safe.

A target is what grpc takes: `dns:///purser-ledger:50051` (all addresses behind a headless Service),
`host:port`, `ipv4:10.0.0.1:50051,10.0.0.2:50051`. Calls go round robin over the addresses. A call
without `timeout=` raises `MissingTimeout` before anything is sent. The current trace travels along.
Nothing is retried by itself except what grpc knows to have reached no server; `call_idempotent`
repeats on UNAVAILABLE what is safe to repeat.

With TLS the server must be the host the target names, and the channel goes on when the certificate
is renewed (`chassis.grpc_renewal`).

The channel is wrapped rather than intercepted: grpc.aio's client interceptors put a task around
each call.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import grpc
import grpc.aio
import msgspec
import stamina
from prometheus_client import Counter
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from chassis.grpc_calls import REASON_KEY, TRACE_KEY
from chassis.grpc_renewal import RenewedChannel
from chassis.grpc_server import MESSAGE_BYTES_MAX
from chassis.telemetry import current_traceparent
from chassis.tls import certificates_of, channel_credentials
from chassis.tls_files import TlsSettings

ATTEMPTS_MAX: Final = 8
"""Of one `call_idempotent`; with the pauses below, some four seconds: a replica restarts in that
time."""
PAUSE_SECONDS_MIN: Final = 0.05
PAUSE_SECONDS_MAX: Final = 1.0

_SERVICE_CONFIG = '{"loadBalancingConfig": [{"round_robin": {}}]}'

_RETRIES = Counter("purser_grpc_retries_total", "Calls repeated because the answer was UNAVAILABLE")

Result = TypeVar("Result")


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a room calls others."""

    message_bytes_max: Annotated[int, msgspec.Meta(ge=1024)] = MESSAGE_BYTES_MAX
    """Of one message, in either direction; the same variable as the server's."""

    keepalive_seconds: Annotated[int, msgspec.Meta(ge=10)] = 30
    """How often an idle connection is asked whether it lives. Servers take offence below 10 s."""

    tls: TlsSettings = TlsSettings()
    """Whom a caller says it is; the same variables as the server's."""


class MissingTimeout(TypeError):  # noqa: N818 (named like the rest of the tree)
    """A call was made without `timeout=`: it could wait for ever. Mend the code."""


def open_channel(target: str, settings: ClientSettings | None = None) -> grpc.aio.Channel:
    """Make a channel; it connects at the first call.

    Close it with `await channel.close()`, or `async with` it. Raises NotYet when TLS is asked
    for and its files do not fit.
    """
    chosen = settings or ClientSettings()
    options = _options(chosen)
    certificates = certificates_of(chosen.tls)
    if certificates is None:
        return _Channel(grpc.aio.insecure_channel(target, options=options))
    return _Channel(
        RenewedChannel(
            certificates,
            lambda material: grpc.aio.secure_channel(
                target, channel_credentials(material), options=options
            ),
        )
    )


async def call_idempotent(
    call: Callable[[float], Awaitable[Result]], deadline_seconds: float
) -> Result:
    """Make a call that is safe to repeat, again while the answer is UNAVAILABLE, within one
    deadline.

    `call` is given the seconds that are left: `lambda timeout: stub.Quote(request,
    timeout=timeout)`. The last error is raised as it came.
    """
    ends = time.monotonic() + deadline_seconds
    async for attempt in stamina.retry_context(
        on=_is_unavailable,
        attempts=ATTEMPTS_MAX,
        timeout=deadline_seconds,
        wait_initial=PAUSE_SECONDS_MIN,
        wait_max=PAUSE_SECONDS_MAX,
        wait_jitter=PAUSE_SECONDS_MIN,
    ):
        with attempt:
            return await call(max(ends - time.monotonic(), 0.001))
    raise AssertionError("unreachable")


def reason_of(error: grpc.RpcError) -> str:
    """Give the word a server sent with its refusal, such as `STALE_EPOCH`; empty when there is
    none.
    """
    trailer = error.trailing_metadata() if isinstance(error, grpc.aio.AioRpcError) else None
    for name, value in trailer or ():
        if name == REASON_KEY:
            return value if isinstance(value, str) else value.decode(errors="replace")
    return ""


def _options(settings: ClientSettings) -> list[tuple[str, Any]]:
    return [
        ("grpc.service_config", _SERVICE_CONFIG),
        ("grpc.max_receive_message_length", settings.message_bytes_max),
        ("grpc.max_send_message_length", settings.message_bytes_max),
        ("grpc.keepalive_time_ms", settings.keepalive_seconds * 1000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # Be back soon after a restart, and find new replicas soon.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.dns_min_time_between_resolutions_ms", 2_000),
        # Rooms are neighbours: a proxy of the environment is not on the way.
        ("grpc.enable_http_proxy", 0),
    ]


def _count_retry(details: RetryDetails) -> None:
    _RETRIES.inc()


# Instead of stamina's own hook, which logs a warning with the whole error for each of them.
set_on_retry_hooks([_count_retry])


def _is_unavailable(error: Exception) -> bool:
    return isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.UNAVAILABLE


class _Calls:
    """One method of a stub: adds the trace, insists on a timeout."""

    def __init__(self, inner: Callable[..., Any], path: str) -> None:
        self._inner = inner
        self._path = path

    def __call__(
        self,
        *requests: Any,
        timeout: float | None = None,
        metadata: Any = None,
        **options: Any,
    ) -> Any:
        if timeout is None:
            raise MissingTimeout(f"{self._path} was called without timeout=")
        traceparent = current_traceparent()
        if traceparent:
            metadata = (*(metadata or ()), (TRACE_KEY, traceparent))
        return self._inner(*requests, timeout=timeout, metadata=metadata, **options)


class _Channel(grpc.aio.Channel):  # type: ignore[misc]  # grpc has no types
    """A channel whose methods are `_Calls`; everything else is the inner channel's."""

    def __init__(self, inner: grpc.aio.Channel) -> None:
        self._inner = inner

    async def __aenter__(self) -> "_Channel":
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        await self._inner.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._inner.channel_ready()

    def unary_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        return _Calls(self._inner.unary_unary(method, *arguments, **options), method)

    def unary_stream(self, method: str, *arguments: Any, **options: Any) -> Any:
        return _Calls(self._inner.unary_stream(method, *arguments, **options), method)

    def stream_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        return _Calls(self._inner.stream_unary(method, *arguments, **options), method)

    def stream_stream(self, method: str, *arguments: Any, **options: Any) -> Any:
        return _Calls(self._inner.stream_stream(method, *arguments, **options), method)
