"""Traces on their way to a collector: what arrives, and what a dead collector costs."""

import asyncio
import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import grpc.aio
import pytest
import structlog
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from tests.awake import awake_clock

from chassis.telemetry import TelemetrySettings, continue_trace, new_trace, span, start

ABANDONED_SECONDS = 30.0
"""Longer than an abandoned exporter goes on."""

SECRET = "123456789:AAF-abc_DEFghijklmnopqrstuvwxyz12"


@pytest.fixture(autouse=True)
def put_logging_back() -> Iterator[None]:
    """Telemetry configures the process; the next test gets it as it was."""
    handlers, level = logging.root.handlers, logging.root.level
    yield
    logging.captureWarnings(capture=False)
    logging.root.handlers = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what is exported to it."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 (the protocol's name)
        """Take spans."""
        for resource in request.resource_spans:
            self.services |= {
                attribute.value.string_value
                for attribute in resource.resource.attributes
                if attribute.key == "service.name"
            }
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
async def collector() -> AsyncIterator[tuple[Collector, str]]:
    """A collector and its endpoint."""
    servicer = Collector()
    server = grpc.aio.server()
    add: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    add(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield servicer, f"http://127.0.0.1:{port}"
    await server.stop(None)


async def test_spans_arrive_with_their_trace_and_parents(collector: tuple[Collector, str]) -> None:
    """A trace can be followed from process to process."""
    servicer, endpoint = collector
    async with start("room", TelemetrySettings(otlp_endpoint=endpoint, trace_ratio=1)):
        with new_trace("accept") as root:
            header = root.traceparent
        with continue_trace(header, "work"), span("fill"):
            pass
    names = {span.name: span for span in servicer.spans}
    assert set(names) == {"accept", "work", "fill"}
    assert servicer.services == {"room"}
    assert {span.trace_id.hex() for span in servicer.spans} == {root.trace_id_text}
    assert names["work"].parent_span_id == names["accept"].span_id
    assert names["fill"].parent_span_id == names["work"].span_id
    assert header.endswith("-01")


async def test_a_failed_span_says_what_kind_and_nothing_more(
    collector: tuple[Collector, str],
) -> None:
    """An exception's text may hold anything."""
    servicer, endpoint = collector

    def fail() -> None:
        with new_trace("work"):
            raise ValueError(SECRET)

    async with start("room", TelemetrySettings(otlp_endpoint=endpoint, trace_ratio=1)):
        with pytest.raises(ValueError, match="123456789"):
            fail()
    (failed,) = servicer.spans
    assert failed.status.message == "ValueError"
    assert SECRET not in str(failed)


async def test_only_the_named_share_of_new_traces_is_recorded_and_followers_follow(
    collector: tuple[Collector, str],
) -> None:
    """A trace is recorded as a whole or not at all."""
    servicer, endpoint = collector
    async with start("room", TelemetrySettings(otlp_endpoint=endpoint, trace_ratio=0)):
        with new_trace("unrecorded") as unrecorded:
            pass
        with continue_trace(unrecorded.traceparent, "unrecorded too"):
            pass
        with continue_trace("00-" + "a" * 32 + "-" + "b" * 16 + "-01", "recorded elsewhere"):
            pass
    assert [span.name for span in servicer.spans] == ["recorded elsewhere"]
    assert unrecorded.trace_id


async def test_a_dead_collector_costs_nothing_noticeable(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither the event loop nor the end of the process waits for it; one line says so."""
    threads_before = set(threading.enumerate())
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"  # bound, but nobody listens
        telemetry = start("room", TelemetrySettings(otlp_endpoint=endpoint, trace_ratio=1))
        worst = 0.0
        with awake_clock() as clock:
            for _ in range(100):
                began = clock()
                for _ in range(100):  # 10,000 spans, five times the queue
                    with new_trace("work"):
                        pass
                await asyncio.sleep(0.01)
                worst = max(worst, clock() - began)
            await asyncio.sleep(2.5)
            began = clock()
            await telemetry.aclose()
            took = clock() - began
    # A loop that waited for the exporter would stand still for its timeout, 2 s.
    assert worst < 1
    assert took < 2
    shown = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert shown in (["trace_collector_away"], ["trace_collector_away", "trace_export_abandoned"])
    # What was abandoned tries on for a while and draws its pauses from `random`; a test that is
    # told what is random must not meet it.
    for thread in set(threading.enumerate()) - threads_before:
        thread.join(ABANDONED_SECONDS)
        assert not thread.is_alive()


def test_a_process_ends_in_time_though_its_collector_is_dead() -> None:
    """Whatever threads the exporter has left."""
    program = (
        "import asyncio\n"
        "from chassis.telemetry import TelemetrySettings, new_trace, start\n"
        "async def main():\n"
        "    settings = TelemetrySettings(otlp_endpoint='http://127.0.0.1:1', trace_ratio=1)\n"
        "    async with start('room', settings):\n"
        "        with new_trace('work'): pass\n"
        "    print('closed', flush=True)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "closed\n"
        assert process.wait(timeout=2) == 0


async def test_without_a_collector_there_are_trace_ids_and_nothing_else() -> None:
    """The default."""
    async with start("room", TelemetrySettings()):
        with new_trace("work") as trace:
            assert trace.trace_id
            assert not trace.sampled
