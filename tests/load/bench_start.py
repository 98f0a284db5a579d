"""Start-up, memory per process, updates per second and latency end to end.

It starts a run of its own in a temporary folder, lets every user say hello once (sign-up is not
what is measured), then sends `/start` at a fixed rate. The model is open: the times of sending are
fixed in advance, and a latency counts from the *intended* time, so that a slow system is not asked
less often and does not look better for it (no coordinated omission). An answer is seen by a long
poll on the user's chat, as a phone would see it.

Everything shares the machine's cores: this driver, the simulated Telegram and Purser itself. The
figures compare one state of the code with another on one machine; they are not a capacity.
"""

import argparse
import asyncio
import math
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec
from tests.e2e.live_run import LiveRun, running
from tests.load.figures import tell
from tests.load.latency import percentile

from devbox.status import memory_of

FIRST_USER = 10_000
WARM_UP_PER_SECOND = 25.0
# What is not answered so long after the last message counts as lost.
DRAIN_SECONDS = 30.0
POLL_SECONDS = 10.0
# The bench signs up its users faster than an advertisement would, and few users stand for many.
UNHINDERED = {
    "GATEWAY_SIGN_UPS_PER_MINUTE_MAX": "100000",
    "GATEWAY_INBOUND_PER_USER_PER_SECOND": "1000",
    "GATEWAY_INBOUND_PER_USER_BURST": "1000",
    "GATEWAY_USER_UNDONE_JOBS_MAX": "1000",
    "GATEWAY_SHARD_UNDONE_JOBS_MAX": "100000",
}


@dataclass(slots=True)
class User:
    """One user's side of the measurement: what was meant to be sent when, what came back when."""

    user_id: int
    seen: int = 0
    """The newest message id of the chat that was read."""
    intended: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Result:
    """What one load gave."""

    sent: int
    answered: int
    twice: int
    seconds: float
    """From the first intended sending to the last answer."""
    latencies: list[float]
    late_sends: int
    """Sent more than 50 ms after the intended time: then the driver was the bottleneck."""


class Driver:
    """Sends at intended times and watches the chats."""

    def __init__(self, address: str, http: aiohttp.ClientSession) -> None:
        self._address = address
        self._http = http
        self._late = 0

    async def load(self, users: list[User], rate: float, messages: int) -> Result:
        """Send `messages`, spread over the users in turn, `rate` a second; wait for the answers."""
        for user in users:
            user.intended, user.answered = [], []
        self._late = 0
        stop = asyncio.Event()
        begin = time.monotonic() + 0.5
        watchers = [asyncio.create_task(self._watch(user, stop)) for user in users]
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(messages):
                    user, at = users[number % len(users)], begin + number / rate
                    user.intended.append(at)
                    await asyncio.sleep(max(0.0, at - time.monotonic()))
                    group.create_task(self._send(user, at))
            deadline = time.monotonic() + DRAIN_SECONDS
            while time.monotonic() < deadline and _missing(users):  # noqa: ASYNC110  # watchers
                await asyncio.sleep(0.05)
        finally:
            stop.set()
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
        return self._result(users, begin)

    def _result(self, users: list[User], begin: float) -> Result:
        # The n-th answer belongs to the n-th message: a user's jobs run one after the other.
        latencies = [
            seen - meant
            for user in users
            for meant, seen in zip(user.intended, user.answered, strict=False)
        ]
        last = max((max(user.answered, default=begin) for user in users), default=begin)
        return Result(
            sent=sum(len(user.intended) for user in users),
            answered=len(latencies),
            twice=sum(max(0, len(user.answered) - len(user.intended)) for user in users),
            seconds=last - begin,
            latencies=sorted(latencies),
            late_sends=self._late,
        )

    async def _send(self, user: User, at: float) -> None:
        self._late += time.monotonic() - at > 0.05
        body = {"user_id": user.user_id, "text": "/start"}
        async with self._http.post(f"{self._address}/sim/messages", json=body) as response:
            response.raise_for_status()

    async def _watch(self, user: User, stop: asyncio.Event) -> None:
        url = f"{self._address}/sim/messages"
        while not stop.is_set():
            asked = {"user_id": user.user_id, "after": user.seen, "wait": POLL_SECONDS}
            async with self._http.get(url, params=asked) as response:
                chat = msgspec.json.decode(await response.read())
            now = time.monotonic()
            for message in chat:
                user.seen = max(user.seen, message["message_id"])
                if message["from"] == "bot":
                    user.answered.append(now)


def _missing(users: list[User]) -> bool:
    return any(len(user.answered) < len(user.intended) for user in users)


def options_of(asked: argparse.Namespace) -> tuple[str, ...]:
    """Give the options of the run that is measured."""
    return ("--port", "0", "--gateways", str(asked.gateways), "--workers", str(asked.workers))


async def bench(asked: argparse.Namespace) -> bool:
    """Measure and tell; False when a message was lost or answered twice."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="purser-bench-") as folder:
        async with running(Path(folder), *options_of(asked), **UNHINDERED) as run:
            start_up = time.monotonic() - began
            idle = memory(run)
            connector = aiohttp.TCPConnector(limit=0)
            timeout = aiohttp.ClientTimeout(total=None)
            async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
                driver = Driver(run.report.address, http)
                users = [User(FIRST_USER + number) for number in range(asked.users)]
                warm = await driver.load(users, WARM_UP_PER_SECOND, len(users))
                result = await driver.load(users, asked.rate, int(asked.rate * asked.seconds))
            loaded = memory(run)
    tell("start-up", start_up, "s", of="make run on an empty data folder, after set-up")
    tell_memory("idle", idle)
    tell_memory("after load", loaded)
    tell_load("first contacts", warm, WARM_UP_PER_SECOND)
    tell_load("updates end to end", result, asked.rate)
    return all(load.answered == load.sent and not load.twice for load in (warm, result))


def memory(run: LiveRun) -> dict[str, float]:
    """Read the PSS of each process, in MB."""
    found = {p.name: memory_of(p.pid) for p in run.report.processes}
    found["devbox"] = memory_of(run.report.pid, children=False)
    return {name: 0.0 if memory is None else memory.megabytes for name, memory in found.items()}


def tell_memory(when: str, megabytes: dict[str, float]) -> None:
    """Tell the memory of each process, and of all but the simulator together."""
    for name, size in megabytes.items():
        tell("memory", size, "MB", process=name, when=when, kind="PSS")
    own = sum(size for name, size in megabytes.items() if name != "simulator")
    tell("memory", own, "MB", process="all but the simulator", when=when, kind="PSS")


def tell_load(figure: str, result: Result, rate: float) -> None:
    """Tell one load's figures."""
    p50, p99 = (percentile(result.latencies, share) * 1000 for share in (0.5, 0.99))
    tell(
        figure,
        result.answered / result.seconds if result.seconds > 0 else None,
        "1/s",
        asked_per_second=rate,
        sent=result.sent,
        answered=result.answered,
        answered_twice=result.twice,
        p50_ms=round(p50, 1),
        p99_ms=round(p99, 1),
        worst_ms=round(max(result.latencies, default=math.nan) * 1000, 1),
        sent_late_by_driver=result.late_sends,
    )
