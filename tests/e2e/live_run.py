"""A real `devbox run` in a process of its own, driven by signals and the control API."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec

from devbox.data_folder import DataFolder, RunReport
from devbox.keyring import ensure_secret
from devbox.servers.postgresql import OWNER, make_url

READY_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 40.0
NOTED_TIMEOUT_SECONDS = 5.0
DATABASE_GONE = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
"""What a connection may say whose server is killed, frozen or restarted in the middle."""
AUDITOR = "auditor"
"""The name under which a test's own connections to the database are known there."""
_UNNOTED = """
SELECT EXISTS (SELECT FROM gateway.outbox o JOIN gateway.users u USING (user_id)
    WHERE u.telegram_id = $1 AND o.state = 0)
"""
# What a person would have set; a test must not inherit it.
PERSONAL = ("TELEGRAM_BOT_TOKEN", "PURSER_", "DEVBOX_", "GATEWAY_", "USER_WORKER_")

Json = Any


def environment() -> dict[str, str]:
    """Our environment without any setting of Purser's."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PERSONAL)}


async def devbox(*arguments: str, **environ: str) -> tuple[int, str]:
    """Run a verb to its end; its exit status and all it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "devbox",
        *arguments,
        env=environment() | environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(READY_TIMEOUT_SECONDS):
        output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


class LiveRun:
    """One run. Made by `running`."""

    def __init__(
        self, folder: DataFolder, process: asyncio.subprocess.Process, http: aiohttp.ClientSession
    ) -> None:
        self.folder = folder
        self.process = process
        self.lines: list[str] = []
        self.owner_url: str | None = None
        """Where the owner finds a database that was given to the run; None means the embedded one.
        """
        self._http = http
        self._killed: dict[str, int] = {}
        """The newest process of each name that we ended."""

    @property
    def report(self) -> RunReport:
        """What the run says of itself."""
        report = self.folder.read_report()
        assert report is not None
        return report

    @property
    def pricing_target(self) -> str:
        """Where pricing is called."""
        return f"127.0.0.1:{self.report.ports['pricing']}"

    def pid(self, name: str) -> int | None:
        """The process called `name`, while there is one."""
        return next((p.pid for p in self.report.processes if p.name == name), None)

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """End a process, as the kernel's memory killer would unless said otherwise."""
        pid = self.pid(name)
        assert pid is not None, f"{name} has no process"
        self._killed[name] = pid
        os.kill(pid, how)

    async def until_serving_again(self, name: str) -> None:
        """Wait until another process serves in the place of the one that was killed."""
        async with asyncio.timeout(READY_TIMEOUT_SECONDS):
            while not self._serves_again(name):  # noqa: ASYNC110  # it is another process
                await asyncio.sleep(0.1)

    async def until_ready(self) -> None:
        """Read what the run prints until it is ready."""
        assert self.process.stdout is not None
        async with asyncio.timeout(READY_TIMEOUT_SECONDS):
            while line := (await self.process.stdout.readline()).decode():
                self.lines.append(line.rstrip())
                if line.startswith("Purser is ready"):
                    return
        raise AssertionError("the run ended before it was ready:\n" + "\n".join(self.lines))

    async def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Send a signal, as Ctrl-C does; the exit status."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(how)
        assert self.process.stdout is not None
        async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
            self.lines += (await self.process.stdout.read()).decode().splitlines()
            return await self.process.wait()

    async def say(self, user_id: int, text: str = "/start") -> int:
        """A user sends a message; its id."""
        sent = await self._control("POST", "messages", json={"user_id": user_id, "text": text})
        return int(sent["message_id"])

    async def ask(self, user_id: int, text: str, answer: str = "") -> Json:
        """A user sends a message; the bot's first one after it that holds `answer`."""
        sent = await self.say(user_id, text)
        return await self.until_said(user_id, answer, after=sent)

    async def faults(self, **faults: float) -> None:
        """Set the simulated Telegram's faults."""
        await self._control("POST", "faults", json=faults)

    async def stats(self) -> Json:
        """The simulated Telegram's counters."""
        return await self._control("GET", "stats")

    async def chat(self, user_id: int, after: int = 0, wait: float = 0.0) -> list[Json]:
        """The chat of a user, oldest first."""
        asked = {"user_id": user_id, "after": after, "wait": wait}
        messages: list[Json] = await self._control("GET", "messages", params=asked)
        return messages

    async def answers(self, user_id: int, count: int, timeout_seconds: float = 30.0) -> list[str]:
        """The bot's messages to a user once there are `count`, or those there were in time."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            chat = await self.chat(user_id)
            texts = [message["text"] for message in chat if message["from"] == "bot"]
            left = deadline - time.monotonic()
            if len(texts) >= count or left <= 0:
                return texts
            newest = max((message["message_id"] for message in chat), default=0)
            await self.chat(user_id, after=newest, wait=min(left, 5.0))

    async def press(self, user_id: int, data: str, message_id: int | None = None) -> Json:
        """A user presses the button whose data begin with `data`, under the newest message that has
        one or under the given one; the message as it was.
        """
        for message in reversed(await self.chat(user_id)):
            found = [d for d in buttons_of(message) if d.startswith(data)]
            if found and message_id in (None, message["message_id"]):
                await self._until_noted(user_id)
                await self.click(user_id, message["message_id"], found[0])
                return message
        raise AssertionError(f"user {user_id} sees no button {data}")

    async def click(self, user_id: int, message_id: int, data: str) -> None:
        """A user sends any data as a button of any message."""
        click = {"user_id": user_id, "message_id": message_id, "data": data}
        await self._control("POST", "clicks", json=click)

    async def until_said(
        self, user_id: int, words: str, *, after: int = 0, timeout_seconds: float = 30.0
    ) -> Json:
        """The first message of the bot after message id `after` that holds `words`, edits included,
        once it is there.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            chat = await self.chat(user_id)
            for message in chat:
                is_new = message["from"] == "bot" and message["message_id"] > after
                if is_new and words in message["text"]:
                    return message
            if time.monotonic() > deadline:
                told = "\n---\n".join(m["text"] for m in chat)
                raise AssertionError(f"nobody said {words!r} to {user_id}:\n{told}")
            await asyncio.sleep(0.05)

    async def database(self) -> asyncpg.Connection:
        """A connection as the owner of everything; the caller closes it."""
        url = self.owner_url
        if url is None:
            password = ensure_secret(self.folder.secrets, f"{OWNER}.password")
            url = make_url(OWNER, password, self.report.ports["database"], "purser")
        return await asyncpg.connect(url, server_settings={"application_name": AUDITOR})

    async def _until_noted(self, user_id: int) -> None:
        """Wait until the gateway has noted what it sent to a user: which of our messages is pressed
        it knows from then on, and no person is as fast as a test.
        """
        with contextlib.suppress(*DATABASE_GONE):
            async with asyncio.timeout(NOTED_TIMEOUT_SECONDS):
                books = await self.database()
                try:
                    while await books.fetchval(_UNNOTED, user_id):  # noqa: ASYNC110 (another process)
                        await asyncio.sleep(0.02)
                finally:
                    books.terminate()

    def _serves_again(self, name: str) -> bool:
        return any(
            p.name == name and p.state == "ready" and p.pid not in (None, self._killed[name])
            for p in self.report.processes
        )

    async def _control(self, verb: str, what: str, **options: Json) -> Json:
        url = f"{self.report.address}/sim/{what}"
        async with self._http.request(verb, url, **options) as response:
            body = await response.read()
            assert response.status == 200, body
            return msgspec.json.decode(body)


def buttons_of(message: Json) -> list[str]:
    """The data of a message's buttons."""
    return [button["data"] for row in message.get("buttons") or [] for button in row]


@contextlib.asynccontextmanager
async def running(data_dir: Path, *options: str, **environ: str) -> AsyncIterator[LiveRun]:
    """Start a run and wait until it is ready; ended, whatever happens, at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "devbox",
        "run",
        "--data-dir",
        str(data_dir),
        *(options or ("--port", "0")),
        env=environment() | environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with aiohttp.ClientSession() as http:
        run = LiveRun(DataFolder(data_dir), process, http)
        try:
            await run.until_ready()
            yield run
        finally:
            if process.returncode is None:
                await run.stop()
