"""Keeping real processes alive."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from devbox.errors import ServerFailed
from devbox.keeper import Keeper, Kept, Limits, State
from devbox.programs import start_program

LIMITS = Limits(restart_delay_first_seconds=0.01, restart_delay_max_seconds=0.02)
SAY_READY = "open('ready', 'w').close(); "
STAY = f"import time; {SAY_READY}time.sleep(60)"
IGNORE = (
    f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SAY_READY}time.sleep(60)"
)

MakeKeeper = Callable[..., Keeper]


async def until_state(keeper: Keeper, state: State) -> None:
    """Wait until the keeper is in a state."""
    async with asyncio.timeout(5):
        while keeper.state is not state:  # noqa: ASYNC110  # a test may look often
            await asyncio.sleep(0.001)


@pytest.fixture
async def make_keeper(tmp_path: Path) -> AsyncIterator[MakeKeeper]:
    """Makes keepers of a line of Python; stops them at the end."""
    keepers = []

    def make(
        code: str, patience_seconds: float = 5.0, needs: asyncio.Event | None = None
    ) -> Keeper:
        log = tmp_path / "program.log"

        async def start() -> subprocess.Popen[bytes]:
            (tmp_path / "ready").unlink(missing_ok=True)
            return start_program([sys.executable, "-c", code], folder=tmp_path, log=log)

        async def serves(started: float) -> None:
            while not (tmp_path / "ready").exists():  # noqa: ASYNC110  # a test may look often
                await asyncio.sleep(0.01)

        steps = ((signal.SIGTERM, patience_seconds),)
        kept = Kept("program", log, start, serves, stop_steps=steps, needs=needs)
        keepers.append(Keeper(kept, lambda keeper: None, LIMITS))
        return keepers[-1]

    yield make
    for keeper in keepers:
        await keeper.stop()


async def test_a_killed_process_is_started_again(make_keeper: MakeKeeper) -> None:
    """Another process, the same name, one restart counted."""
    keeper = make_keeper(STAY)
    keeper.begin()
    await keeper.serving()
    first = keeper.process
    assert first is not None
    first.kill()
    await until_state(keeper, State.BACKOFF)
    await until_state(keeper, State.READY)
    assert keeper.restarts == 1
    assert keeper.pid not in (None, first.pid)
    assert keeper.why_ended == "signal 9"


async def test_a_process_that_cannot_start_is_given_up_with_its_last_words(
    make_keeper: MakeKeeper,
) -> None:
    """The person reads why, in one sentence."""
    keeper = make_keeper("raise SystemExit('the schema is older than the code')")
    keeper.begin()
    with pytest.raises(ServerFailed, match=r"exit status 1.*schema is older than the code"):
        await keeper.serving()
    assert LIMITS.starts_without_ready_max == keeper.restarts + 1


async def test_stopping_waits_its_bound_and_no_longer(make_keeper: MakeKeeper) -> None:
    """A process that ignores SIGTERM is killed."""
    keeper = make_keeper(IGNORE, patience_seconds=0.1)
    keeper.begin()
    await keeper.serving()
    process = keeper.process
    await keeper.stop()
    assert process is not None
    assert process.returncode == -signal.SIGKILL
    assert State.STOPPED is keeper.state


async def test_a_process_stopped_while_it_waits_to_start_again_stays_away(
    make_keeper: MakeKeeper,
) -> None:
    """A stop during the backoff is a stop."""
    keeper = make_keeper(STAY)
    keeper.begin()
    await keeper.serving()
    assert keeper.process is not None
    keeper.process.kill()
    await until_state(keeper, State.BACKOFF)
    await keeper.stop()
    assert keeper.pid is None
    await asyncio.sleep(0.1)
    assert State.STOPPED is keeper.state


async def test_a_lost_bet_is_no_failure(make_keeper: MakeKeeper, tmp_path: Path) -> None:
    """Started before what it needs is there, it waits for that and starts once more."""
    needs = asyncio.Event()
    keeper = make_keeper(f"open({str(tmp_path / 'schema')!r}).close(); {STAY}", needs=needs)
    keeper.begin()
    await asyncio.sleep(0.5)
    assert keeper.pid is None
    (tmp_path / "schema").touch()
    needs.set()
    await keeper.serving()
    assert keeper.restarts == 0
