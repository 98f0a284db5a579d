"""Clicks on inline buttons and how the bot answered them."""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from devbox.telegram.errors import BadRequest
from devbox.telegram.limits import Limits
from devbox.telegram.shapes import Json


@dataclass(slots=True, eq=False)
class Click:
    """One click: whose, when, and the bot's answer once there is one."""

    user_id: int
    made_at: float
    answer: Json | None = None
    version: int = 0
    """The chat's version when it was answered, for the page."""
    answered: asyncio.Event | None = None


class Clicks:
    """The clicks by callback query id, up to `clicks_max`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_id: OrderedDict[str, Click] = OrderedDict()
        self._prefix = secrets.randbelow(1 << 30) + 1
        self._count = 0
        self.clock: Callable[[], float] = time.time

    def add(self, user_id: int) -> str:
        """A new click of this user; its callback query id."""
        self._count += 1
        query_id = f"{self._prefix}{self._count:09d}"
        self._by_id[query_id] = Click(user_id, self.clock())
        if len(self._by_id) > self._limits.clicks_max:
            self._by_id.popitem(last=False)
        return query_id

    def get(self, query_id: str) -> Click | None:
        """The click, or None if it is unknown or long ago."""
        return self._by_id.get(query_id)

    def answer(self, query_id: str, answer: Json) -> Click:
        """The bot's answer to a click.

        Raises BadRequest for a click that is unknown, too old or answered already.
        """
        click = self._by_id.get(query_id)
        too_old = self.clock() - self._limits.callback_answer_seconds
        if click is None or click.answer is not None or click.made_at < too_old:
            raise BadRequest("query is too old and response timeout expired or query ID is invalid")
        click.answer = answer
        if click.answered is not None:
            click.answered.set()
        return click

    async def wait(self, click: Click, seconds: float) -> None:
        """Return when the click is answered, or after `seconds`."""
        if click.answer is not None or seconds <= 0:
            return
        if click.answered is None:
            click.answered = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await click.answered.wait()
        except TimeoutError:
            pass

    def answers_after(self, user_id: int, version: int) -> list[Json]:
        """This user's answers with a text or an address since a version, oldest first."""
        recent = []
        for query_id, click in reversed(self._by_id.items()):
            if click.user_id == user_id and click.answer and click.version > version:
                recent.append({"callback_query_id": query_id, **click.answer})
            if len(recent) == ANSWERS_SHOWN_MAX:
                break
        return recent[::-1]


ANSWERS_SHOWN_MAX = 20
"""Answers the page is told of at once."""
