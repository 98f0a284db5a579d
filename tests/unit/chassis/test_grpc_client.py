"""Calls to other rooms: always bounded, repeated only where that is safe."""

# ruff: noqa: D103 (a test's name is its claim)

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.awake import awake_clock
from tests.unit.chassis import virtual_time

from chassis import grpc_client
from chassis.grpc_client import ATTEMPTS_MAX, MissingTimeout, call_idempotent, reason_of
from chassis.telemetry import new_trace


def _error(code: grpc.StatusCode, *trailer: tuple[str, str]) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailer), "details")


def test_a_call_without_a_timeout_never_leaves() -> None:
    sent: list[Any] = []
    call = grpc_client._Calls(lambda *_, **__: sent.append(1), "/purser.Some/Call")
    with pytest.raises(MissingTimeout, match=r"/purser\.Some/Call"):
        call("request")
    assert sent == []


def test_a_call_carries_the_trace_beside_its_own_metadata() -> None:
    sent: dict[str, Any] = {}
    call = grpc_client._Calls(lambda *_, **options: sent.update(options), "/purser.Some/Call")
    with new_trace("a test") as trace:
        call("request", timeout=1, metadata=(("a", "b"),))
    assert sent["metadata"] == (("a", "b"), ("traceparent", trace.traceparent))
    assert sent["timeout"] == 1


def test_an_unavailable_answer_is_asked_again_until_it_succeeds() -> None:
    async def scenario() -> None:
        timeouts: list[float] = []

        async def call(timeout: float) -> str:  # noqa: ASYNC109 (what is tested)
            timeouts.append(timeout)
            if len(timeouts) < 3:
                raise _error(grpc.StatusCode.UNAVAILABLE)
            return "answer"

        assert await call_idempotent(call, 10) == "answer"
        assert len(timeouts) == 3
        assert max(timeouts) <= 10

    virtual_time.run(scenario())


def test_the_last_error_is_raised_as_it_came_after_a_bounded_number_of_tries() -> None:
    async def scenario() -> None:
        calls = 0

        async def call(timeout: float) -> str:  # noqa: ASYNC109 (what is tested)
            nonlocal calls
            calls += 1
            raise _error(grpc.StatusCode.UNAVAILABLE, ("purser-reason", "DRAINING"))

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call_idempotent(call, 60)
        assert calls == ATTEMPTS_MAX
        assert reason_of(caught.value) == "DRAINING"

    virtual_time.run(scenario())


@pytest.mark.parametrize(
    "code",
    [
        code
        for code in grpc.StatusCode
        if code not in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE)
    ],
)
def test_no_other_answer_is_asked_for_again(code: grpc.StatusCode) -> None:
    async def scenario() -> None:
        calls = 0

        async def call(timeout: float) -> str:  # noqa: ASYNC109 (what is tested)
            nonlocal calls
            calls += 1
            raise _error(code)

        with pytest.raises(grpc.aio.AioRpcError):
            await call_idempotent(call, 10)
        assert calls == 1

    virtual_time.run(scenario())


def test_the_deadline_bounds_all_tries_together() -> None:
    async def scenario() -> None:
        async def call(timeout: float) -> str:  # noqa: ASYNC109 (what is tested)
            await asyncio.sleep(0.02)
            raise _error(grpc.StatusCode.UNAVAILABLE)

        with pytest.raises(grpc.aio.AioRpcError):
            await call_idempotent(call, 0.3)

    # Real time: stamina keeps its deadline by the machine's monotonic clock.
    with awake_clock() as clock:
        asyncio.run(scenario())
        assert clock() < 0.6


def test_an_error_without_a_reason_has_an_empty_one() -> None:
    assert reason_of(_error(grpc.StatusCode.INTERNAL)) == ""
    assert reason_of(grpc.RpcError()) == ""
