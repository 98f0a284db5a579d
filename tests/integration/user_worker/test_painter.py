"""The painter's process: the same bytes each time, out of everybody's way, and replaceable."""

import asyncio
import io
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.load.process_memory import memory_of
from tests.unit.user_worker.drawn import candles_picture, equity, portfolio_picture, walk

from user_worker.domain.pictures import PICTURE_BYTES_MAX
from user_worker.errors import PictureFailed
from user_worker.pictures import ResvgPictures, painter, rendering

PNG_BEGINS = b"\x89PNG\r\n\x1a\n"
FULLEST = candles_picture(walk(240))
SMALL = candles_picture(walk(3))


@pytest.fixture
async def pictures() -> AsyncIterator[ResvgPictures]:
    """A painter that is ended after the test."""
    async with ResvgPictures() as drawing:
        yield drawing


def environment_of(pid: int) -> bytes:
    """Read what a process was started with."""
    return Path(f"/proc/{pid}/environ").read_bytes()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    with suppress(OSError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


async def until_gone(pid: int) -> None:
    """Wait for the end of a process, ten seconds at most."""
    async with asyncio.timeout(10):
        while is_alive(pid):  # noqa: ASYNC110  # somebody else's process tells nobody
            await asyncio.sleep(0.02)


async def painter_of(pictures: ResvgPictures) -> int:
    """Draw once; give the painter's process."""
    await pictures.candles(SMALL)
    assert pictures.painter_pid is not None
    return pictures.painter_pid


async def test_pictures_are_png_of_the_promised_size(pictures: ResvgPictures) -> None:
    """1000 by 600 pixels, and even the fullest far below what the gateway takes."""
    worth = portfolio_picture(
        equity([10_000 + number % 97 for number in range(400)]),
        [(f"C{number}", "1") for number in range(9)],
    )

    for image in (await pictures.candles(FULLEST), await pictures.portfolio(worth)):
        assert image.startswith(PNG_BEGINS)
        assert (1000, 600) == struct.unpack(">II", image[16:24])
        assert len(image) < PICTURE_BYTES_MAX / 4


async def test_the_same_picture_is_the_same_bytes_from_any_painter() -> None:
    """An answer that is made again after a crash is the answer that was made before."""
    images = set()
    for _ in range(2):
        async with ResvgPictures() as pictures:
            images |= {await pictures.candles(FULLEST), await pictures.candles(FULLEST)}

    assert 1 == len(images)
    async with ResvgPictures() as pictures:
        assert images != {await pictures.candles(SMALL)}


async def test_the_event_loop_goes_on_while_a_picture_is_drawn(pictures: ResvgPictures) -> None:
    """Users without a picture do not wait for those with one."""
    await painter_of(pictures)
    turns = 0
    drawing = asyncio.create_task(pictures.candles(FULLEST))
    while not drawing.done():
        await asyncio.sleep(0.002)
        turns += 1

    assert turns >= 8


async def test_a_worker_never_loads_the_renderer() -> None:
    """Neither importing nor drawing brings resvg into the worker's own memory."""
    program = (
        "import asyncio, sys\n"
        "from tests.unit.user_worker.drawn import candles_picture, walk\n"
        "from user_worker.pictures import ResvgPictures\n"
        "async def draw():\n"
        "    async with ResvgPictures() as pictures:\n"
        "        assert pictures.painter_pid is None\n"
        "        return await pictures.candles(candles_picture(walk(9)))\n"
        "assert asyncio.run(draw())\n"
        "assert 'resvg_py' not in sys.modules\n"
    )
    run = await asyncio.create_subprocess_exec(sys.executable, "-c", program)

    assert 0 == await run.wait()


async def test_a_painter_without_work_ends_and_the_next_picture_starts_another() -> None:
    """The memory of drawing goes back whole."""
    async with ResvgPictures(idle_seconds=0.1) as pictures:
        first = await painter_of(pictures)
        await until_gone(first)

        second = await painter_of(pictures)
        assert first != second


async def test_a_killed_painter_is_replaced(pictures: ResvgPictures) -> None:
    """Before a picture or in the middle of one: the picture comes all the same."""
    expected = await pictures.candles(FULLEST)
    os.kill(await painter_of(pictures), signal.SIGKILL)
    assert expected == await pictures.candles(FULLEST)

    pid = await painter_of(pictures)
    os.kill(pid, signal.SIGSTOP)
    drawing = asyncio.create_task(pictures.candles(FULLEST))
    await asyncio.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    assert expected == await drawing


async def test_a_painter_that_hangs_is_killed_and_the_next_picture_is_drawn() -> None:
    """A picture that takes too long is refused, and blocks no other."""
    async with ResvgPictures(timeout_seconds=2.0) as pictures:
        pid = await painter_of(pictures)
        os.kill(pid, signal.SIGSTOP)

        with pytest.raises(PictureFailed, match=r"within 2\.0 s"):
            await pictures.candles(FULLEST)

        assert not is_alive(pid)
        assert await pictures.candles(SMALL)


async def test_who_gives_up_does_not_leave_his_picture_to_the_next(
    pictures: ResvgPictures,
) -> None:
    """A cancelled attempt's answer is still in the pipe: the next one must not take it."""
    expected = await pictures.candles(SMALL)
    given_up = asyncio.create_task(pictures.candles(FULLEST))
    await asyncio.sleep(0.01)
    given_up.cancel()

    assert expected == await pictures.candles(SMALL)
    with pytest.raises(asyncio.CancelledError):
        await given_up


async def test_many_at_once_each_get_their_own(pictures: ResvgPictures) -> None:
    """One painter draws them one after the other."""
    asked = [candles_picture(walk(3, seed=seed)) for seed in range(6)]
    alone = [await pictures.candles(picture) for picture in asked]

    assert alone == await asyncio.gather(*(pictures.candles(picture) for picture in asked))
    assert 6 == len(set(alone))


async def test_a_line_that_is_too_long_refuses(
    pictures: ResvgPictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of waiting pictures refuses the one too many, and nobody else."""
    monkeypatch.setattr(rendering, "WAITING_MAX", 2)
    answers = await asyncio.gather(
        *(pictures.candles(SMALL) for _ in range(3)), return_exceptions=True
    )

    assert ["bytes", "bytes", "PictureFailed"] == [type(answer).__name__ for answer in answers]
    assert await pictures.candles(SMALL)


async def test_a_picture_that_is_too_large_is_refused(
    pictures: ResvgPictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway would refuse the whole answer; this way it goes without the picture."""
    monkeypatch.setattr(rendering, "PICTURE_BYTES_MAX", 1000)

    with pytest.raises(PictureFailed, match="bytes"):
        await pictures.candles(SMALL)


async def test_leaving_finishes_the_picture_refuses_the_line_and_ends_the_painter() -> None:
    """Nobody starts a new painter, nothing is left behind."""
    async with ResvgPictures() as pictures:
        pid = await painter_of(pictures)
        drawing = asyncio.create_task(pictures.candles(FULLEST))
        in_line = asyncio.create_task(pictures.candles(SMALL))
        await asyncio.sleep(0.01)

    assert not is_alive(pid)
    assert (await drawing).startswith(PNG_BEGINS)
    for late in (in_line, pictures.candles(SMALL)):
        with pytest.raises(PictureFailed, match="ending"):
            await late
    assert pictures.painter_pid is None


async def test_a_painter_ends_with_its_worker_and_knows_nothing_of_it() -> None:
    """A worker killed outright leaves none behind; its secrets are in no other environment."""
    program = (
        "import asyncio\n"
        "from tests.unit.user_worker.drawn import candles_picture, walk\n"
        "from user_worker.pictures import ResvgPictures\n"
        "async def draw():\n"
        "    pictures = ResvgPictures()\n"
        "    await pictures.candles(candles_picture(walk(9)))\n"
        "    print(pictures.painter_pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(draw())\n"
    )
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=subprocess.PIPE, env={**os.environ, "SECRET": "x"}
    )
    assert worker.stdout is not None
    pid = int(await worker.stdout.readline())
    assert b"SECRET" not in environment_of(pid)

    worker.kill()
    await worker.wait()

    await until_gone(pid)


async def test_drawing_takes_less_than_twenty_megabytes(pictures: ResvgPictures) -> None:
    """The painter at its largest and what the worker grew by; and many pictures add nothing."""
    own = os.getpid()
    before = memory_of(own).written
    pid = await painter_of(pictures)
    for _ in range(10):
        await pictures.candles(FULLEST)
    early = memory_of(own).written + memory_of(pid).private
    for _ in range(20):
        await pictures.candles(FULLEST)

    painter_now = memory_of(pid)
    late = memory_of(own).written + painter_now.private
    assert late - before + painter_now.peak - painter_now.resident < 20
    assert late - early < 2


def test_a_painter_whose_worker_died_in_the_middle_ends_without_a_word() -> None:
    """A picture nobody takes any more is no error."""
    process = subprocess.Popen(
        [sys.executable, painter.__file__, "60"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()
    svg = b"no picture"
    process.stdin.write(painter.REQUEST.pack(len(svg)) + svg)
    process.stdin.flush()
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (0, b"")


def test_what_is_no_picture_is_answered_with_a_reason_and_ends_nothing() -> None:
    """The painter says what is wrong and paints the next one; it ends when its input does."""
    requests_end, requests_begin = os.pipe()
    answers_end, answers_begin = os.pipe()
    with (
        io.FileIO(requests_end) as requests,
        io.BufferedWriter(io.FileIO(answers_begin, "w")) as answers,
        io.BufferedReader(io.FileIO(answers_end)) as heard,
    ):
        serving = threading.Thread(target=painter.serve, args=(requests, answers, 5.0))
        serving.start()
        with io.FileIO(requests_begin, "w") as asking:
            kinds = []
            small = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
            for svg in (b"<svg", b"\xff", small):
                asking.write(painter.REQUEST.pack(len(svg)) + svg)
                kind, size = painter.ANSWER.unpack(heard.read(painter.ANSWER.size))
                kinds.append((kind, heard.read(size).startswith(PNG_BEGINS)))
        serving.join(timeout=10)

    assert [(painter.FAILED, False), (painter.FAILED, False), (painter.PNG, True)] == kinds
    assert not serving.is_alive()
