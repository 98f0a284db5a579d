"""Spans through OpenTelemetry's SDK to a collector. Imported only when a collector is named: it
costs 25 MB.

Spans wait in a bounded queue; a thread sends them. A full queue drops spans, a dead collector costs
failed sends in that thread and one log line when it goes and one when it comes back. The event loop
never waits for any of it. What an exception says is not recorded, only its class: its text may hold
anything.
"""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from prometheus_client import Counter

from chassis.telemetry import get_logger
from chassis.tracing import TraceContext

QUEUE_SPANS_MAX = 2048
"""Some 2 MB; what comes while it is full is dropped."""
BATCH_SPANS_MAX = 512
EXPORT_INTERVAL_SECONDS = 1.0
EXPORT_TIMEOUT_SECONDS = 2.0
"""Of one send; the collector is on the same node or network."""
SHUTDOWN_TIMEOUT_SECONDS = 1.0
"""How long the end of the process may wait for the last spans."""

_FAILED_EXPORTS = Counter("purser_trace_exports_failed_total", "Batches of spans nobody took")


class SpanExport:
    """The way out for spans, from construction to `aclose`."""

    def __init__(self, service: str, endpoint: str, ratio: float) -> None:
        exporter = OTLPSpanExporter(
            endpoint=endpoint,
            insecure=not endpoint.startswith("https://"),
            timeout=EXPORT_TIMEOUT_SECONDS,
        )
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)),
            resource=Resource({"service.name": service}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                _Reporting(exporter),
                max_queue_size=QUEUE_SPANS_MAX,
                max_export_batch_size=BATCH_SPANS_MAX,
                schedule_delay_millis=EXPORT_INTERVAL_SECONDS * 1000,
                export_timeout_millis=EXPORT_TIMEOUT_SECONDS * 1000,
            )
        )
        self._tracer = self._provider.get_tracer("purser")

    @contextmanager
    def make_span(self, name: str, parent: TraceContext | None) -> Iterator[TraceContext]:
        """Be a `chassis.tracing.SpanMaker`."""
        recorded = self._tracer.start_span(
            name, context=_context_of(parent), record_exception=False, set_status_on_exception=False
        )
        context = recorded.get_span_context()
        try:
            yield TraceContext(
                context.trace_id, context.span_id, sampled=context.trace_flags.sampled
            )
        except BaseException as error:
            recorded.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            recorded.end()

    async def aclose(self) -> None:
        """Send what is left, for at most SHUTDOWN_TIMEOUT_SECONDS."""
        # A daemon of its own: the loop's executor would make the process wait for it at the end.
        thread = threading.Thread(
            target=self._provider.shutdown, name="trace-export-shutdown", daemon=True
        )
        thread.start()
        ends = time.monotonic() + SHUTDOWN_TIMEOUT_SECONDS
        while thread.is_alive():
            if time.monotonic() > ends:
                get_logger(__name__).warning("trace_export_abandoned")
                return
            await asyncio.sleep(0.01)


class _Reporting(SpanExporter):
    """Counts failures and says so once, instead of a stack trace for each batch."""

    def __init__(self, exporter: OTLPSpanExporter) -> None:
        self._exporter = exporter
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing:
            _FAILED_EXPORTS.inc()
        if failing is not self._failing:
            self._failing = failing
            event = "trace_collector_away" if failing else "trace_collector_back"
            get_logger(__name__).warning(event)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _context_of(parent: TraceContext | None) -> Context:
    if parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    remote = SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(remote), Context())
