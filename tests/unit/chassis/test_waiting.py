"""A program that waits at its start: when it looks again, and what the log has of it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from chassis.errors import CannotStart, NotYet
from chassis.process import Main, patient
from chassis.reminders import TELL_AGAIN_SECONDS

pytestmark = pytest.mark.virtual_time

Lack = Callable[[float], Exception | None]


def _lacking(lack: Lack) -> Main:
    """A program that begins when `lack(seconds since its start)` gives nothing."""

    async def main(_stop: asyncio.Event) -> None:
        error = lack(asyncio.get_running_loop().time())
        if error is not None:
            raise error

    return main


async def _log_of(lack: Lack, timeout_seconds: float = 1000.0) -> list[dict[str, Any]]:
    with capture_logs() as lines:
        await patient(_lacking(lack), timeout_seconds)(asyncio.Event())
    return [dict(line) for line in lines]


async def test_what_stays_missing_is_told_once_a_minute() -> None:
    """It looks each half second, and a schema may take minutes."""
    lines = await _log_of(lambda now: NotYet("no schema.") if now < 150 else None)
    assert [("waiting", "no schema.")] * 3 == [(line["event"], line["why"]) for line in lines]
    assert [0, TELL_AGAIN_SECONDS, 2 * TELL_AGAIN_SECONDS] == [
        line["waited_seconds"] for line in lines
    ]


async def test_another_reason_is_told_at_once() -> None:
    """What it waited for came, and something else is missing."""

    def lack(now: float) -> Exception | None:
        return None if now >= 20 else NotYet("no server." if now < 10 else "no schema.")

    lines = await _log_of(lack)
    assert [("no server.", 0), ("no schema.", 10)] == [
        (line["why"], line["waited_seconds"]) for line in lines
    ]


async def test_what_is_missing_in_a_group_of_tasks_is_waited_for_too() -> None:
    """A TaskGroup wraps what is raised inside it, at whatever depth."""

    def lack(now: float) -> Exception | None:
        inner = ExceptionGroup("tasks", [NotYet("no certificate.")])
        return ExceptionGroup("tasks", [inner]) if now < 10 else None

    (line,) = await _log_of(lack)
    assert line["why"] == "no certificate."


async def test_nobody_waits_when_something_else_is_the_matter_beside_it() -> None:
    """That will not come by waiting."""
    group = ExceptionGroup("tasks", [NotYet("no certificate."), CannotStart("the port is taken.")])
    with pytest.raises(ExceptionGroup) as raised:
        await _log_of(lambda _now: group)
    assert raised.value is group


async def test_the_time_to_wait_is_bounded() -> None:
    """Then it is the error it always was."""
    with pytest.raises(NotYet):
        await _log_of(lambda _now: NotYet("no schema."), timeout_seconds=30.0)
    assert 30 <= asyncio.get_running_loop().time() <= 31
