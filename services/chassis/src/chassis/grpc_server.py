"""A gRPC server that is finished around the edges: health, deadlines, limits, one translation of
errors, a drain.

`serving` starts it and, at the end of the block, drains: health says NOT_SERVING, response streams
end with UNAVAILABLE (their callers go elsewhere), calls under way get `drain_timeout_seconds` to
finish. Connections are closed after `max_connection_age_seconds` so that callers meet new replicas.
What happens to one call is in `chassis.grpc_calls`.

With TLS (`chassis.tls`) only callers whose certificate our authority signed get a connection, and
`chassis.grpc_callers` decides what they may call; a caller without such a certificate sees
UNAVAILABLE. Without TLS a server keeps to this machine unless it is told otherwise. The kubelet's
probes speak no TLS: `health_address` is a second, plaintext port that answers health and nothing
else, the same health.

Malformed protobuf is answered INVALID_ARGUMENT, a message above the limit RESOURCE_EXHAUSTED (by
grpc itself), a call above `concurrent_calls_max` RESOURCE_EXHAUSTED.
"""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated

import grpc
import grpc.aio
import msgspec
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from chassis.ending import end_tasks
from chassis.errors import CannotStart
from chassis.grpc_callers import AllowList, Callers
from chassis.grpc_calls import DoorInterceptor
from chassis.telemetry import Telemetry, get_logger
from chassis.tls import Certificates, certificates_of, server_credentials
from chassis.tls_files import TlsSettings

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
"""gRPC's own default, said aloud: the largest answer of a contract is 3 MiB of replies."""
HEALTH_NOTICE_SECONDS = 0.1
"""What who watches our health gets to hear NOT_SERVING in, before that stream ends as well."""
PING_INTERVAL_SECONDS_MIN = 10
"""Callers ping every 30 s (`chassis.grpc_client`); more often than this counts as abuse and costs
the connection."""
HEALTH_CALLS_MAX = 100
"""At once, on the port for health alone: the kubelet makes three."""

_HEALTH = "grpc.health.v1.Health"


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how a room serves."""

    listen_address: str = "127.0.0.1:0"
    """`host:port`; port 0 takes a free one. This machine only, unless the deployment says
    otherwise."""

    health_address: str | None = None
    """`host:port` of health in plaintext, for probes. Unset: health is on the gRPC port alone,
    where with TLS it takes a certificate."""

    tls: TlsSettings = TlsSettings()
    """Who the server says it is, and whom it believes."""

    plaintext_allowed: bool = False
    """Whether to listen beyond this machine without TLS: then whoever reaches the port may call
    everything. A firm no by default; for a development cluster."""

    max_connection_age_seconds: Annotated[int, msgspec.Meta(ge=1)] = 300
    """Then a connection is closed politely and its caller looks up the addresses anew: how new
    replicas get their share."""

    max_connection_age_grace_seconds: Annotated[int, msgspec.Meta(ge=1)] = 30
    """What calls under way on an old connection get to finish."""

    drain_timeout_seconds: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    """What calls under way get to finish when the process ends; below Kubernetes' 30 s until it
    kills."""

    call_timeout_seconds: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    """The bound of a call whose caller named none. Ours always name one."""

    stream_timeout_seconds: Annotated[float, msgspec.Meta(gt=0)] = 3600.0
    """The same for a call with a stream of answers."""

    message_bytes_max: Annotated[int, msgspec.Meta(ge=1024)] = MESSAGE_BYTES_MAX
    """Of one message, in either direction."""

    concurrent_calls_max: Annotated[int, msgspec.Meta(ge=1)] = 1000
    """Per process. Above it a caller is told RESOURCE_EXHAUSTED at once, which is kinder than a
    growing queue."""

    def __post_init__(self) -> None:
        if not (self.tls.files or self.plaintext_allowed or _is_local(self.listen_address)):
            raise ValueError(
                f"listening on {self.listen_address} without TLS would let anybody call: set "
                "PURSER_TLS_CERTIFICATE_FILE, PURSER_TLS_KEY_FILE and PURSER_TLS_CA_FILE, or "
                "PURSER_PLAINTEXT_ALLOWED=yes."
            )


class Server:
    """A server that serves."""

    def __init__(self, address: str, port: int) -> None:
        self.address = address
        """`host:port` as it can be dialled."""
        self.port = port


@asynccontextmanager
async def serving(
    settings: ServerSettings,
    add_servicers: Callable[[grpc.aio.Server], None],
    telemetry: Telemetry,
    callers: Callers | None = None,
) -> AsyncIterator[Server]:
    """Serve inside the block, drain at its end.

    `callers` says who may call what; with TLS nobody may call what it does not name. Raises
    CannotStart if an address is taken, NotYet if the files of TLS do not fit.
    """
    certificates = certificates_of(settings.tls)
    allow_list = AllowList(callers or {}, {_HEALTH}) if certificates else None
    door = DoorInterceptor(
        settings.call_timeout_seconds, settings.stream_timeout_seconds, allow_list
    )
    server = grpc.aio.server(
        interceptors=[door],
        options=_options(settings),
        maximum_concurrent_rpcs=settings.concurrent_calls_max,
    )
    health = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    add_servicers(server)
    port = _bind(server, settings.listen_address, telemetry.service, certificates)
    await server.start()
    host = settings.listen_address.rpartition(":")[0]
    async with _serving_health(settings, health, telemetry), _following(certificates):
        try:
            yield Server(f"{host}:{port}", port)
        finally:
            await health.enter_graceful_shutdown()
            get_logger(__name__).info("draining", timeout_seconds=settings.drain_timeout_seconds)
            stopped = asyncio.create_task(server.stop(settings.drain_timeout_seconds))
            if door.end_streams(spare=_HEALTH):
                await asyncio.sleep(HEALTH_NOTICE_SECONDS)
                door.end_streams()
            await stopped


@asynccontextmanager
async def _serving_health(
    settings: ServerSettings, health: HealthServicer, telemetry: Telemetry
) -> AsyncIterator[None]:
    """Answer health, and nothing else, in plaintext until everything else is drained."""
    if settings.health_address is None:
        yield
        return
    door = DoorInterceptor(settings.call_timeout_seconds, settings.stream_timeout_seconds)
    server = grpc.aio.server(
        interceptors=[door],
        options=_options(settings),
        maximum_concurrent_rpcs=HEALTH_CALLS_MAX,
    )
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    port = _bind(server, settings.health_address, telemetry.service, None)
    await server.start()
    host = settings.health_address.rpartition(":")[0]
    get_logger(__name__).info("health_served", address=f"{host}:{port}")
    try:
        yield
    finally:
        door.end_streams()
        await server.stop(HEALTH_NOTICE_SECONDS)


@asynccontextmanager
async def _following(certificates: Certificates | None) -> AsyncIterator[None]:
    if certificates is None:
        yield
        return
    following = asyncio.create_task(certificates.follow())
    try:
        yield
    finally:
        await end_tasks([following])


def _bind(
    server: grpc.aio.Server, address: str, service: str, certificates: Certificates | None
) -> int:
    """Take the address; gives the port. Raises CannotStart."""
    try:
        port: int = (
            server.add_insecure_port(address)
            if certificates is None
            else server.add_secure_port(address, server_credentials(certificates))
        )
    except RuntimeError:
        port = 0
    if not port:
        raise CannotStart(
            f"{service} cannot listen on {address}: "
            "the address is taken or is not one of this machine."
        )
    return port


def _is_local(address: str) -> bool:
    """Say whether only this machine reaches the address."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.message_bytes_max),
        ("grpc.max_send_message_length", settings.message_bytes_max),
        ("grpc.max_connection_age_ms", settings.max_connection_age_seconds * 1000),
        ("grpc.max_connection_age_grace_ms", settings.max_connection_age_grace_seconds * 1000),
        # Find callers that vanished without a word.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", PING_INTERVAL_SECONDS_MIN * 1000),
        # Two processes on one port would share its calls by chance; a taken port is an error
        # instead.
        ("grpc.so_reuseport", 0),
    ]
