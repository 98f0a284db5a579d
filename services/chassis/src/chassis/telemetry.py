"""Logs, traces and metrics of one process, started once in `main`.

Logs are structlog events on stderr, one JSON object (or one line for a person) each, with the
service, the trace's id and nothing secret (`chassis.redaction`); what libraries say through the
standard library's logging takes the same way, and brings a stack trace only with an error. Metrics
are prometheus_client's, served on a port of their own by a thread. Traces are ids only
(`chassis.tracing`) until a collector is named. Nothing here waits for anybody outside the process.
"""

import contextlib
import logging
import sys
import traceback
from collections.abc import Callable, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Literal, Self, TextIO, cast

import msgspec
import prometheus_client

from chassis import tracing
from chassis.errors import CannotStart
from chassis.optional_imports import without
from chassis.redaction import redact, redact_text
from chassis.tracing import continue_trace, current_trace, current_traceparent, new_trace, span

with without("rich"):
    import structlog

__all__ = [
    "Telemetry",
    "TelemetrySettings",
    "continue_trace",
    "current_trace",
    "current_traceparent",
    "get_logger",
    "log_before_start",
    "log_to",
    "new_trace",
    "span",
    "split_address",
    "start",
]

# Chatter about every connection and call, of no use to an operator.
_QUIET_LIBRARIES = ("grpc", "asyncio", "aiohttp.access")
# Says of every batch what `chassis.trace_export` says once.
_SILENT_LIBRARY = "opentelemetry"


class TelemetrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one process tells about itself."""

    log_format: Literal["json", "console"] = "json"
    """`json` for machines that collect, `console` for a person who watches."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """At `info` a quiet process says where its metrics are, that it is ready, and that it ends."""

    metrics_address: str | None = None
    """`host:port` of `/metrics`; port 0 takes a free one. Unset: no metrics port, since a port
    nobody asked for is a port somebody must guard."""

    otlp_endpoint: str | None = None
    """`http://host:4317` of an OpenTelemetry collector (gRPC). Unset: trace ids in logs and
    messages only."""

    trace_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.01
    """The share of new traces that is recorded; a trace begun elsewhere follows its beginning.
    Recording all of them costs a worker a fifth of its throughput."""


class Telemetry:
    """What was started; `async with` it, or `aclose()`."""

    def __init__(
        self, service: str, metrics_port: int | None, closers: list[Callable[[], Any]]
    ) -> None:
        self.service = service
        self.metrics_port = metrics_port
        """The port `/metrics` is on; None when it is off."""
        self._closers = closers

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Send the last spans within a named bound and close the metrics port. Safe to repeat."""
        while self._closers:
            result = self._closers.pop()()
            if result is not None:
                await result


def start(service: str, settings: TelemetrySettings) -> Telemetry:
    """Set up logs, metrics and traces. Raises CannotStart if the metrics port is taken."""
    _configure_logs(service, settings)
    closers: list[Callable[[], Any]] = []
    metrics_port = None
    if settings.metrics_address is not None:
        host, port = split_address(settings.metrics_address)
        try:
            server, thread = prometheus_client.start_http_server(port, host)
        except OSError as error:
            raise CannotStart(
                f"cannot serve metrics on {settings.metrics_address}: {error.strerror}."
            ) from None

        def close_metrics() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        metrics_port = server.server_port
        _tell_where_metrics_are(f"{host}:{metrics_port}")
        closers.append(close_metrics)
    if settings.otlp_endpoint is not None:
        from chassis.trace_export import SpanExport

        export = SpanExport(service, settings.otlp_endpoint, settings.trace_ratio)
        tracing.install_span_maker(export.make_span)
        closers.append(export.aclose)
        closers.append(lambda: tracing.install_span_maker(None))
    return Telemetry(service, metrics_port, closers)


_told_addresses: set[str] = set()
"""A program that waits at its start begins anew each time it looks, and says this once."""


def _tell_where_metrics_are(address: str) -> None:
    """With port 0 there is no other way to learn it."""
    if address not in _told_addresses:
        _told_addresses.add(address)
        get_logger(__name__).info("metrics_served", address=address)


def log_before_start() -> None:
    """Write what is logged before `start`, or without it (`migrate`), in the same safe way."""
    service = Path(sys.argv[0]).parent.name or "purser"
    log_format: Literal["json", "console"] = "console" if sys.stderr.isatty() else "json"
    _configure_logs(service, TelemetrySettings(log_format=log_format))


def log_to(service: str, file: TextIO) -> None:
    """Write lines for a person to `file`, for a program whose terminal is for sentences."""
    _configure_logs(service, TelemetrySettings(log_format="console"), lambda: file)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Give a logger; events are snake_case words, data goes into keyword arguments."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger(source=name))


def split_address(address: str) -> tuple[str, int]:
    """Split `host:port`; raise CannotStart when it is not that."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise CannotStart(f"{address!r} is not an address like 127.0.0.1:9090.")
    return host.strip("[]"), int(port)


def _configure_logs(
    service: str, settings: TelemetrySettings, stream: Callable[[], TextIO] = lambda: sys.stderr
) -> None:
    level = getattr(logging, settings.log_level.upper())
    to_json = settings.log_format == "json"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _Finish(service),
            _to_json if to_json else _to_line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_names: _Lines(stream),
        cache_logger_on_first_use=False,
    )
    logging.root.handlers = [_ToStructlog()]
    logging.root.setLevel(level)
    logging.captureWarnings(capture=True)
    for library in _QUIET_LIBRARIES:
        logging.getLogger(library).setLevel(max(level, logging.WARNING))
    logging.getLogger(_SILENT_LIBRARY).setLevel(logging.CRITICAL)


class _Finish:
    """Adds the service and the trace, turns an exception into text, hides what is secret."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(
        self, logger: object, method: str, event: MutableMapping[str, Any]
    ) -> dict[str, Any]:
        line: dict[str, Any] = {
            "timestamp": event.pop("timestamp"),
            "level": event.pop("level"),
            "service": self._service,
            "event": redact_text(str(event.pop("event", ""))),
        }
        trace = current_trace()
        if trace is not None:
            line["trace_id"] = trace.trace_id_text
        error = _exception_of(event.pop("exc_info", None))
        for name, value in event.items():
            line[name] = redact(name, value)
        if error is not None:
            line["exception"] = redact_text("".join(traceback.format_exception(error)))
        return line


def _exception_of(exc_info: Any) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return cast("BaseException | None", exc_info[1])
    return sys.exc_info()[1] if exc_info else None


def _to_json(logger: object, method: str, line: MutableMapping[str, Any]) -> str:
    return msgspec.json.encode(line).decode()


def _to_line(logger: object, method: str, line: MutableMapping[str, Any]) -> str:
    head = (
        f"{line.pop('timestamp')} {line.pop('level'):<8} {line.pop('service')}: {line.pop('event')}"
    )
    exception = line.pop("exception", "")
    rest = "".join(f" {name}={_shown(value)}" for name, value in line.items())
    return f"{head}{rest}\n{exception}".rstrip("\n")


def _shown(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and " " not in text else repr(value)


class _Lines:
    """The end of a line's way. Whoever reads it may be gone: that must not stop who writes it."""

    def __init__(self, stream: Callable[[], TextIO]) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            # Looked up each time, and written in one piece: threads log too.
            stream = self._stream()
            stream.write(line + "\n")
            stream.flush()

    debug = info = warning = error = critical = write


class _ToStructlog(logging.Handler):
    """Hands what libraries log to structlog, so that it is redacted and formatted like the rest."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event = record.getMessage()
        except (TypeError, ValueError):  # a library's own mistake in its arguments
            event = str(record.msg)
        # Levels of a library's own between the known ones count as the one below.
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        log = get_logger(record.name)
        if level >= logging.ERROR:
            log.log(level, event, exc_info=record.exc_info or None)
        elif error := _exception_of(record.exc_info):
            # An outage that a pool gets over by itself: twenty-five lines of it in each process
            # would bury the line that says what was lost.
            log.log(level, event, error=type(error).__name__)
        else:
            log.log(level, event)
