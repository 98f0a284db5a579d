"""An agent of the node that dies is started again."""

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.cluster.children import Child
from tests.cluster.node.watching import START_SPACING_SECONDS, watched

PATIENCE_SECONDS = 20.0
SAYS_WHO_IT_IS = ("sh", "-c", "echo $$; exec sleep 1000")
ENDS_AT_ONCE = ("sh", "-c", "echo again; exit 3")


def until(condition: Callable[[], bool]) -> None:
    """Wait for something."""
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def lives(pid: int) -> bool:
    """Whether there is such a process."""
    return Path("/proc", str(pid)).exists()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What the agents print."""
    return tmp_path / "agent.log"


def numbers(log: Path) -> list[int]:
    """The processes that said who they are."""
    return [int(line) for line in log.read_text().split()]


def has_said(log: Path, count: int) -> bool:
    """Whether so many have."""
    return len(numbers(log)) == count


def test_one_that_is_killed_is_started_again_and_the_last_one_is_stopped(log: Path) -> None:
    """As often as it is killed, with the same command and the same log."""
    told: list[str] = []
    with watched(Child("agent", SAYS_WHO_IT_IS, log), told.append):
        for count in (1, 2, 3):
            until(partial(has_said, log, count))
            if count < 3:
                os.kill(numbers(log)[-1], signal.SIGKILL)

    assert [False] * 3 == [lives(pid) for pid in numbers(log)]
    assert ["agent ended with status -9; it is started again."] * 2 == told


def test_one_that_ends_at_once_is_not_started_all_the_time(log: Path) -> None:
    """Its log would be what fills the disk."""
    began = time.monotonic()
    with watched(Child("agent", ENDS_AT_ONCE, log), lambda _sentence: None):
        until(lambda: log.read_text().count("again") >= 3)

    assert time.monotonic() - began >= 2 * START_SPACING_SECONDS


def test_one_that_is_told_to_end_is_not_started_again(log: Path) -> None:
    """Nobody hears of it either."""
    told: list[str] = []
    with watched(Child("agent", SAYS_WHO_IT_IS, log), told.append):
        until(partial(has_said, log, 1))

    (pid,) = numbers(log)
    assert not lives(pid)
    assert told == []
