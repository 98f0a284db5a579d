"""Without an answer of Redis everybody passes, and nobody waits long to learn that."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast
from uuid import UUID

import pytest
import redis.exceptions
from structlog.testing import capture_logs
from tests.unit.chassis.virtual_time import run

from chassis.redis import Redis
from gateway.domain import Incoming
from gateway.inbound_limit import ASK_AGAIN_SECONDS, WAIT_SECONDS, InboundLimit
from purser.gateway.v1 import job_pb2

UPDATES = [Incoming(n, 5, job_pb2.Job()) for n in range(3)]


class FakeRedis:
    """Answers as told; counts how often it was asked."""

    def __init__(self, answer: Callable[[], Awaitable[Any]]) -> None:
        self.answer = answer
        self.asked = 0

    async def execute_command(self, *_: object) -> Any:
        """Answer."""
        self.asked += 1
        return await self.answer()


async def silence() -> Any:
    """Never answer, as a server that stands still."""
    await asyncio.Event().wait()


def failing(error: Exception) -> Callable[[], Awaitable[Any]]:
    """Fail each time."""

    async def fail() -> Any:
        raise error

    return fail


def limit(fake: FakeRedis) -> InboundLimit:
    """The limit over it."""
    return InboundLimit(cast("Redis", fake), 1, 1.0, 1)


def test_a_redis_that_stands_still_costs_one_wait_a_second_at_most() -> None:
    """The first batch waits a moment, the next ones not at all until it is asked again."""

    async def scene() -> tuple[list[list[UUID | None]], float, int]:
        loop, fake = asyncio.get_running_loop(), FakeRedis(silence)
        subject, began = limit(fake), loop.time()
        found = [await subject.rushes(UPDATES) for _ in range(100)]
        waited = loop.time() - began
        await asyncio.sleep(ASK_AGAIN_SECONDS)
        await subject.rushes(UPDATES)
        return found, waited, fake.asked

    found, waited, asked = run(scene())

    assert [[None] * 3] * 100 == found
    assert pytest.approx(WAIT_SECONDS) == waited
    assert asked == 2


@pytest.mark.parametrize(
    "error",
    [
        redis.exceptions.ConnectionError("hidden"),
        redis.exceptions.ReadOnlyError("hidden"),
        redis.exceptions.ResponseError("hidden: WRONGTYPE"),
        OSError("hidden"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_failure_lets_everybody_pass_and_is_said_once_per_outage(error: Exception) -> None:
    """Twenty seconds of it, one line in the log; the next outage a second one."""

    async def scene() -> list[object]:
        fake = FakeRedis(failing(error))
        subject = limit(fake)
        found: list[object] = []
        for _ in range(20):
            found.append(await subject.rushes(UPDATES))
            await asyncio.sleep(ASK_AGAIN_SECONDS)
        fake.answer = healthy
        await subject.rushes(UPDATES)
        fake.answer = failing(error)
        found.append(await subject.rushes(UPDATES))
        return found

    async def healthy() -> Any:
        return [0, 0, 0]

    with capture_logs() as logs:
        found = run(scene())

    assert [[None] * 3] * 21 == found
    assert ["inbound_unlimited"] * 2 == [entry["event"] for entry in logs]
    assert "hidden" not in str(logs)
