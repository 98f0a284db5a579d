"""The gRPC server's and client's edges, over loopback: statuses, bounds, drain, balance."""

# ruff: noqa: D103 (a test's name is its claim)

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY

from chassis import grpc_calls
from chassis.errors import (
    AlreadyExists,
    CallerMistake,
    CannotStart,
    LimitReached,
    NotFound,
    Refused,
    StaleClaim,
    TryAgain,
)
from chassis.grpc_client import open_channel, reason_of
from chassis.grpc_server import Server, ServerSettings, serving
from chassis.telemetry import Telemetry, TelemetrySettings, current_traceparent, new_trace, start
from kernel.money import parse_amount

# Any message will do; these come with grpc.
Request = health_pb2.HealthCheckRequest
Response = health_pb2.HealthCheckResponse
Code = grpc.StatusCode
Method = Callable[[Any, Any], Any]


@pytest.fixture(autouse=True)
def put_logging_back() -> Iterator[None]:
    """Telemetry configures the process; the next test gets it as it was."""
    handlers, level = logging.root.handlers, logging.root.level
    yield
    logging.captureWarnings(capture=False)
    logging.root.handlers = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


@asynccontextmanager
async def room(
    unary: Method | None = None,
    stream: Method | None = None,
    collect: Method | None = None,
    **settings: Any,
) -> AsyncIterator[Server]:
    """Serve `/test.Room/{Unary,Stream,Collect}`."""

    def add(server: grpc.aio.Server) -> None:
        wire = (Request.FromString, Response.SerializeToString)
        handlers = {
            "Unary": unary and grpc.unary_unary_rpc_method_handler(unary, *wire),
            "Stream": stream and grpc.unary_stream_rpc_method_handler(stream, *wire),
            "Collect": collect and grpc.stream_unary_rpc_method_handler(collect, *wire),
        }
        present = {name: handler for name, handler in handlers.items() if handler}
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("test.Room", present),)
        )

    telemetry: Telemetry = start("room", TelemetrySettings(log_level="warning"))
    async with (
        telemetry,
        serving(ServerSettings(drain_timeout_seconds=5, **settings), add, telemetry) as server,
    ):
        yield server


def _raw(message: Any) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


async def call(target: str, request: Any = None, timeout: float = 5) -> Any:  # noqa: ASYNC109
    """Make one unary call; bytes are sent as they are."""
    async with open_channel(target) as channel:
        return await channel.unary_unary("/test.Room/Unary", _raw, Response.FromString)(
            Request() if request is None else request, timeout=timeout
        )


async def failure(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str, str]:
    """Give code, details and reason of a call that fails."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or "", reason_of(caught.value)


async def test_an_outage_is_told_once_per_method_and_period(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred workers that ask again each second must not bury the line that says why."""
    monkeypatch.setattr(grpc_calls, "_told_at", {})

    async def unary(request: Any, context: Any) -> Any:
        raise TryAgain("the database cannot be reached")

    async with room(unary) as server:
        for _ in range(5):
            await failure(call(server.address))
        monkeypatch.setattr(grpc_calls, "OUTAGE_WARNING_SECONDS", 0.0)
        await failure(call(server.address))
    told = [line for line in capsys.readouterr().err.splitlines() if "try_again" in line]
    assert 2 == len(told)
    assert "the database cannot be reached" in told[0]


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (CallerMistake("said"), Code.INVALID_ARGUMENT, ""),
        (NotFound("said", reason="NO_SUCH_JOB"), Code.NOT_FOUND, "NO_SUCH_JOB"),
        (AlreadyExists("said"), Code.ALREADY_EXISTS, ""),
        (Refused("said", reason="SHARD_MISMATCH"), Code.FAILED_PRECONDITION, "SHARD_MISMATCH"),
        (StaleClaim("said"), Code.FAILED_PRECONDITION, "STALE_EPOCH"),
        (LimitReached("said"), Code.RESOURCE_EXHAUSTED, ""),
        (TryAgain("said"), Code.UNAVAILABLE, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_an_error_leaves_as_its_status_with_its_reason(
    error: Exception, code: grpc.StatusCode, reason: str
) -> None:
    async def fail(request: Any, context: Any) -> Any:
        raise error

    async def fail_after_one(request: Any, context: Any) -> AsyncIterator[Any]:
        yield Response()
        raise error

    async with room(fail, fail_after_one) as server:
        assert await failure(call(server.address)) == (code, "said", reason)
        async with open_channel(server.address) as channel:
            answers = channel.unary_stream("/test.Room/Stream", _raw, Response.FromString)(
                Request(), timeout=5
            )
            assert await answers.read() == Response()
            assert await failure(answers.read()) == (code, "said", reason)


async def test_the_kernels_malformed_text_is_the_callers_mistake() -> None:
    async def read(request: Any, context: Any) -> Any:
        parse_amount(request.service)

    async with room(read) as server:
        code, details, reason = await failure(call(server.address, Request(service="1e9")))
    assert (code, reason) == (Code.INVALID_ARGUMENT, "MALFORMED")
    assert details.startswith("expected an amount")


async def test_an_unforeseen_exception_shows_its_trace_and_nothing_of_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def fail(request: Any, context: Any) -> Any:
        raise RuntimeError("the inner life")

    async with room(fail) as server:
        with new_trace("a test") as trace:
            code, details, reason = await failure(call(server.address))
    assert (code, reason) == (Code.INTERNAL, "")
    assert details == f"internal error, see log {trace.trace_id_text}"
    (line,) = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert (line["event"], line["trace_id"]) == ("call_failed", trace.trace_id_text)
    assert "the inner life" in line["exception"]


async def test_a_status_chosen_by_the_method_itself_is_kept() -> None:
    async def abort(request: Any, context: Any) -> Any:
        await context.abort(Code.DATA_LOSS, "chosen")

    async with room(abort) as server:
        assert await failure(call(server.address)) == (Code.DATA_LOSS, "chosen", "")


async def test_bytes_that_are_no_message_are_the_callers_mistake_in_calls_and_streams() -> None:
    async def echo(request: Any, context: Any) -> Any:
        return Response()

    async def collect(requests: AsyncIterator[Any], context: Any) -> Any:
        async for _ in requests:
            pass
        return Response()

    async def messages() -> AsyncIterator[bytes]:
        yield b""
        yield b"\xff\xff"

    async with room(echo, collect=collect) as server:
        code, _, reason = await failure(call(server.address, b"\xff\xff"))
        assert (code, reason) == (Code.INVALID_ARGUMENT, "MALFORMED")
        async with open_channel(server.address) as channel:
            collecting = channel.stream_unary("/test.Room/Collect", _raw, Response.FromString)
            code, _, reason = await failure(collecting(messages(), timeout=5))
        assert (code, reason) == (Code.INVALID_ARGUMENT, "MALFORMED")
        assert await call(server.address) == Response(), "the server goes on"


async def test_a_message_above_the_limit_is_refused_and_the_server_goes_on() -> None:
    async def echo(request: Any, context: Any) -> Any:
        return Response()

    async with room(echo, message_bytes_max=100_000) as server:
        code, _, _ = await failure(call(server.address, Request(service="x" * 100_000)))
        assert code is Code.RESOURCE_EXHAUSTED
        assert await call(server.address) == Response()


async def test_a_call_ends_at_its_callers_deadline() -> None:
    ended = asyncio.Event()

    async def sleep(request: Any, context: Any) -> Any:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with room(sleep) as server:
        code, _, _ = await failure(call(server.address, timeout=0.2))
        assert code is Code.DEADLINE_EXCEEDED
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_call_that_names_no_deadline_is_given_one() -> None:
    async def sleep(request: Any, context: Any) -> Any:
        await asyncio.sleep(60)

    async with (
        room(sleep, call_timeout_seconds=0.2) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        boundless = channel.unary_unary("/test.Room/Unary", _raw, Response.FromString)(Request())
        code, _, _ = await failure(boundless)
    assert code is Code.DEADLINE_EXCEEDED


async def test_a_trace_goes_on_across_the_call() -> None:
    async def trace(request: Any, context: Any) -> Any:
        raise NotFound(current_traceparent())

    async with room(trace) as server:
        with new_trace("caller") as caller:
            _, details, _ = await failure(call(server.address))
        assert details.split("-")[1] == caller.trace_id_text
        assert int(details.split("-")[2], 16) != caller.span_id
        _, alone, _ = await failure(call(server.address))
        assert alone.split("-")[1] != caller.trace_id_text


async def test_a_draining_server_says_so_ends_streams_and_finishes_calls() -> None:
    begun, finish = asyncio.Event(), asyncio.Event()

    async def slow(request: Any, context: Any) -> Any:
        begun.set()
        await finish.wait()
        return Response()

    async def forever(request: Any, context: Any) -> AsyncIterator[Any]:
        yield Response()
        await asyncio.sleep(3600)

    opened = room(slow, forever)
    server = await opened.__aenter__()
    async with open_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel).Watch(Request(), timeout=30)
        assert (await health.read()).status == Response.SERVING
        answers = channel.unary_stream("/test.Room/Stream", _raw, Response.FromString)(
            Request(), timeout=30
        )
        assert await answers.read() == Response()
        under_way = asyncio.create_task(call(server.address, timeout=30))
        await begun.wait()

        drained = asyncio.create_task(opened.__aexit__(None, None, None))
        assert (await health.read()).status == Response.NOT_SERVING
        code, _, reason = await failure(answers.read())
        assert (code, reason) == (Code.UNAVAILABLE, "DRAINING")
        assert not under_way.done()
        finish.set()
        assert await under_way == Response()
        await asyncio.wait_for(drained, 5)


async def test_calls_go_round_over_all_addresses_of_a_target() -> None:
    served: Counter[str] = Counter()

    def named(name: str) -> Method:
        async def count(request: Any, context: Any) -> Any:
            served[name] += 1
            return Response()

        return count

    async with (
        room(named("one")) as one,
        room(named("other")) as other,
        open_channel(f"ipv4:{one.address},{other.address}") as channel,
        asyncio.timeout(10),
    ):
        method = channel.unary_unary("/test.Room/Unary", _raw, Response.FromString)
        while len(served) < 2:  # until both are connected
            await method(Request(), timeout=5)
        served.clear()
        for _ in range(20):
            await method(Request(), timeout=5)
    assert served == {"one": 10, "other": 10}


async def test_connections_grow_old_without_a_call_noticing() -> None:
    peers: set[str] = set()

    async def peer(request: Any, context: Any) -> Any:
        peers.add(context.peer())
        return Response()

    async with (
        room(peer, max_connection_age_seconds=1) as server,
        open_channel(server.address) as channel,
        asyncio.timeout(10),
    ):
        method = channel.unary_unary("/test.Room/Unary", _raw, Response.FromString)
        while len(peers) < 2:
            await method(Request(), timeout=5)
            await asyncio.sleep(0.02)


async def test_a_taken_port_is_one_sentence() -> None:
    async def echo(request: Any, context: Any) -> Any:
        return Response()

    async with room(echo) as server:
        with pytest.raises(CannotStart, match=f"cannot listen on {server.address}"):
            async with room(echo, listen_address=server.address):
                pass


async def test_calls_above_the_limit_are_refused_at_once() -> None:
    finish = asyncio.Event()

    async def slow(request: Any, context: Any) -> Any:
        await finish.wait()
        return Response()

    async with room(slow, concurrent_calls_max=2) as server:
        calls = [asyncio.create_task(call(server.address)) for _ in range(3)]
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED, timeout=5)
        assert len(done) == 1
        assert (await failure(done.pop()))[0] is Code.RESOURCE_EXHAUSTED
        finish.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert results.count(Response()) == 2


async def test_each_call_is_measured_by_method_and_status() -> None:
    async def fail(request: Any, context: Any) -> Any:
        raise NotFound

    def measured() -> float:
        labels = {"method": "test.Room/Unary", "code": "NOT_FOUND"}
        return REGISTRY.get_sample_value("purser_grpc_server_seconds_count", labels) or 0

    before = measured()
    async with room(fail) as server:
        await failure(call(server.address))
    assert measured() == before + 1


async def test_an_unknown_method_is_unimplemented() -> None:
    async with room() as server:
        assert (await failure(call(server.address)))[0] is Code.UNIMPLEMENTED
