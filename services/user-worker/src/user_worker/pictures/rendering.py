"""Draws in a process of its own, so that users whose answers have no picture never wait for one.

resvg keeps Python's interpreter lock for as long as it draws (some 65 ms), so in a thread it would
stop the event loop all the same. The painter (`painter`) starts with the first picture and ends by
itself after `idle_seconds` without one: a worker that draws nothing pays nothing, and the memory
of drawing goes back whole. It draws one picture at a time; others wait in line.

A painter that is gone is replaced, once per picture; one that takes longer than `timeout_seconds`
is killed. It gets nothing of the worker: no environment, no open files.
"""

import asyncio
import sys
from types import TracebackType
from typing import Self, cast

from user_worker.domain.pictures import PICTURE_BYTES_MAX, CandlesPicture, PortfolioPicture
from user_worker.errors import PictureFailed
from user_worker.pictures import painter
from user_worker.pictures.candles import draw_candles
from user_worker.pictures.portfolio import draw_portfolio

IDLE_SECONDS = 60.0
"""Longer than a user looks at one chart before he asks for the next."""
TIMEOUT_SECONDS = 5.0
"""Fifty times what a picture takes, and less than an attempt at a job may take."""
WAITING_MAX = 32
"""Pictures in line, the one being drawn included: some two seconds of drawing."""


class ResvgPictures:
    """Pictures drawn by resvg. Leaving the context ends the painter, after the picture it is at."""

    def __init__(
        self, *, idle_seconds: float = IDLE_SECONDS, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._idle_seconds = idle_seconds
        self._timeout_seconds = timeout_seconds
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0
        self._process: asyncio.subprocess.Process | None = None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_closed = True  # those in line are refused
        async with self._one_at_a_time:
            await self._end()

    @property
    def painter_pid(self) -> int | None:
        """The painter's process, if one is alive."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    async def candles(self, picture: CandlesPicture) -> bytes:
        """Draw a price over time."""
        return await self._painted(draw_candles(picture))

    async def portfolio(self, picture: PortfolioPicture) -> bytes:
        """Draw the value over time and what it is made of."""
        return await self._painted(draw_portfolio(picture))

    async def _painted(self, svg: str) -> bytes:
        request = svg.encode()
        if len(request) > painter.SVG_BYTES_MAX:
            raise PictureFailed(f"the drawing takes {len(request)} bytes")
        if self._waiting >= WAITING_MAX:
            raise PictureFailed(f"{WAITING_MAX} pictures wait already")
        self._waiting += 1
        try:
            async with self._one_at_a_time:
                kind, answer = await self._asked_twice(request)
        finally:
            self._waiting -= 1
        if kind != painter.PNG:
            raise PictureFailed(answer.decode())
        if len(answer) > PICTURE_BYTES_MAX:
            raise PictureFailed(f"the picture takes {len(answer)} bytes")
        return answer

    async def _asked_twice(self, request: bytes) -> tuple[int, bytes]:
        try:
            return await self._asked(request)
        except (OSError, EOFError):  # it had just gone for want of work, or was killed
            try:
                return await self._asked(request)
            except (OSError, EOFError) as error:
                raise PictureFailed("the painter ended while it drew") from error

    async def _asked(self, request: bytes) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._exchanged(request)
        except TimeoutError:
            await self._end()
            raise PictureFailed(f"not drawn within {self._timeout_seconds} s") from None
        except BaseException:
            await self._end()  # whoever asks next must not get this picture
            raise

    async def _exchanged(self, request: bytes) -> tuple[int, bytes]:
        requests, answers = await self._pipes()
        requests.write(painter.REQUEST.pack(len(request)) + request)
        await requests.drain()
        kind, size = painter.ANSWER.unpack(await answers.readexactly(painter.ANSWER.size))
        return kind, await answers.readexactly(size)

    async def _pipes(self) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
        if self._is_closed:
            raise PictureFailed("the worker is ending")
        process = self._process
        if process is None or process.returncode is not None:
            await self._end()
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                painter.__file__,
                str(self._idle_seconds),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=PICTURE_BYTES_MAX,
                env={},
            )
        return cast("asyncio.StreamWriter", process.stdin), cast(
            "asyncio.StreamReader", process.stdout
        )

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.communicate()  # closes the pipes and waits for the end
