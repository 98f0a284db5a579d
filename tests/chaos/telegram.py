"""The simulated Telegram as a crowd of people sees it: acts go in, changes of the chats come out.

Each group of fifty chats is followed by one long poll; whoever waits for an answer waits on the
chat as it was last seen, so nobody polls for himself.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from tests.history.records import Heard, HistoryFile, Pressed, Said

GROUP_SIZE = 50
POLL_SECONDS = 5.0
PAUSE_SECONDS = 0.1
"""Between two polls of a group: a poll carries the whole group's keyboards and menus."""


class _Button(msgspec.Struct):
    data: str | None = None


class _Message(msgspec.Struct):
    message_id: int
    text: str
    edited: bool
    by: str = msgspec.field(name="from")
    buttons: list[list[_Button]] = []


class _Chat(msgspec.Struct):
    user_id: int
    messages: list[_Message]


class _Changes(msgspec.Struct):
    version: int
    users: list[_Chat]


_DECODER = msgspec.json.Decoder(_Changes)


@dataclass(slots=True)
class Chat:
    """What one user sees: the bot's messages by id, as they are now."""

    messages: dict[int, Heard] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


def patient_http() -> aiohttp.ClientSession:
    """As many requests at once as there are people, each for as long as its answer takes."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
    )


class Telegram:
    """Acts for people and follows their chats; all of it goes into the history."""

    def __init__(self, address: str, http: aiohttp.ClientSession, history: HistoryFile) -> None:
        self._address = address
        self._http = http
        self._history = history
        self._chats: defaultdict[int, Chat] = defaultdict(Chat)

    async def say(self, user: int, text: str) -> Said:
        """Send a text."""
        at = time.time()
        sent = await self._call("messages", {"user_id": user, "text": text})
        said = Said(at, user, sent["update_id"], sent["message_id"], text)
        self._history.add(said)
        return said

    async def press(self, user: int, message_id: int, data: str) -> Pressed:
        """Press a button."""
        at = time.time()
        click = {"user_id": user, "message_id": message_id, "data": data}
        sent = await self._call("clicks", click)
        query_id = sent["callback_query_id"]
        pressed = Pressed(at, user, sent["update_id"], query_id, message_id, data)
        self._history.add(pressed)
        return pressed

    async def misbehave(self, **faults: float) -> None:
        """Set Telegram's faults; without any it behaves."""
        await self._call("faults", faults)

    async def until(
        self, user: int, found: Callable[[Heard], bool], timeout_seconds: float
    ) -> Heard | None:
        """The first message of the bot that is meant, once it is there; None when it is late."""
        chat = self._chats[user]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while True:
                    chat.changed.clear()
                    for heard in chat.messages.values():
                        if found(heard):
                            return heard
                    await chat.changed.wait()
        return None

    async def follow(self, users: Sequence[int]) -> None:
        """Follow these users' chats until cancelled."""
        async with asyncio.TaskGroup() as group:
            for first in range(0, len(users), GROUP_SIZE):
                group.create_task(self._follow(users[first : first + GROUP_SIZE]))

    async def _follow(self, users: Sequence[int]) -> None:
        asked = {"users": ",".join(map(str, users)), "after": "0", "wait": str(POLL_SECONDS)}
        while True:
            async with self._http.get(f"{self._address}/sim/changes", params=asked) as response:
                changes = _DECODER.decode(await response.read())
            for chat in changes.users:
                self._note(chat)
            asked["after"] = str(changes.version)
            await asyncio.sleep(PAUSE_SECONDS)

    def _note(self, seen: _Chat) -> None:
        chat = self._chats[seen.user_id]
        for message in seen.messages:
            if message.by != "bot":
                continue
            buttons = tuple(b.data for row in message.buttons for b in row if b.data)
            heard = Heard(
                time.time(), seen.user_id, message.message_id, message.text, message.edited, buttons
            )
            chat.messages[message.message_id] = heard
            self._history.add(heard)
            chat.changed.set()

    async def _call(self, what: str, body: dict[str, Any]) -> Any:
        async with self._http.post(f"{self._address}/sim/{what}", json=body) as response:
            answer = await response.read()
            assert response.status == 200, answer
            return msgspec.json.decode(answer)
