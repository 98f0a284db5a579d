"""Purser on real pods with people who trade, and a judge: what `tests.cluster.house` is for the pod
runner.

People write to the simulator in the cluster through a forwarded port; placement, prices and books
are read the same way. A house stands for all tests of a session: an installation takes half a
minute.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import grpc
import grpc.aio
import pytest
from tests.chaos.crowd import SYMBOLS
from tests.chaos.figures import percentile, updates_of
from tests.chaos.run import MARKET, PLANS
from tests.chaos.telegram import Telegram
from tests.chaos.watching import PlacementWatch, PriceWatch
from tests.cluster.figures import Figures
from tests.cluster.house import SPEC
from tests.cluster.judging import Judge
from tests.cluster.podrunner.runner import cancel_until_done
from tests.cluster.users import Users
from tests.cluster.waiting import eventually, until
from tests.history.records import HistoryFile, Phase, Struck
from tests.node.forwarding import forwarded
from tests.node.pod_logs import PodLogs
from tests.node.release import Release, Values, is_ready

FIRST_ANSWER_GOAL_SECONDS = 60.0
FIRST_USER = 699_999
ANSWERED_WITHIN_SECONDS = 180.0
VALUES: Values = {
    "gateway": {"replicas": 2},  # so that there is a budget to honour
    "pricing": {"settings": MARKET},
    "userWorker": {
        "settings": PLANS,
        # As much as makes one that runs out of memory quickly made.
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
    },
    "pools": [{"name": "main", "userShard": {"spec": SPEC}}],
}
"""Over values-dev.yaml: the restless market of chaos, and small shards."""


@dataclass
class NodeHouse:
    """What stands, and what was seen of it."""

    release: Release
    telegram: Telegram
    users: Users
    placement: PlacementWatch
    history: HistoryFile
    figures: Figures
    judge: Judge
    logs: PodLogs
    first_answer_seconds: float
    _watching: list["asyncio.Task[None]"] = field(default_factory=list)
    _test: str = ""

    @asynccontextmanager
    async def under_load(self, request: pytest.FixtureRequest) -> AsyncIterator[None]:
        """People trade for as long as the context lasts; then everything must have been right."""
        self._test = request.node.name.removeprefix("test_")
        self.history.add(Phase(time.time(), self._test))
        async with self.users.trading():
            await self.users.act()
            yield
            await self.users.act()
        for task in self._watching:
            if task.done():
                task.result()
        records, books = await self.judge.judge(self.logs.files())
        updates = [update for update in updates_of(records, books) if update.phase == self._test]
        answered = [update.seconds for update in updates if update.seconds is not None]
        self.note("updates answered", len(answered))
        self.note("update to answer, s, p50", percentile(answered, 0.5))
        self.note("update to answer, s, longest", max(answered, default=None))
        self.note("impatient people", self.users.impatient, 0)

    def strike(self, kind: str, target: str) -> float:
        """Write down that a fault is done now; when that is."""
        at = time.time()
        self.history.add(Struck(at, kind, target, at))
        return at

    def note(self, figure: str, value: float | None, goal: float | None = None) -> None:
        """Write down what the present test has measured."""
        self.figures.note(self._test, figure, value, goal)

    async def until_all_ready(self, part: str = "", count: int | None = None) -> None:
        """Wait until each pod of a part, or of all, is Ready, and there are so many."""

        async def ready() -> list[bool]:
            pods = await self.release.pods(part)
            return [is_ready(pod) for pod in pods if pod["status"].get("phase") != "Succeeded"]

        await until(
            ready,
            lambda pods: bool(pods) and all(pods) and count in (None, len(pods)),
            f"{count or 'all'} pods of {part or 'the release'} are ready",
            ANSWERED_WITHIN_SECONDS,
        )

    def watch(self, work: Any) -> None:
        """Let something go on until the house closes."""
        self._watching.append(asyncio.create_task(work))

    async def close(self) -> None:
        """Watch no longer."""
        ends = [cancel_until_done(task) for task in self._watching]
        await asyncio.gather(*ends, return_exceptions=True)


@asynccontextmanager
async def standing_house(
    release: Release, folder: Path, figures: Figures
) -> AsyncIterator[NodeHouse]:
    """Install the trial with its servers, wait for the first answer, let people move in."""
    await release.prepare()
    await release.make_secrets()
    begun = time.monotonic()
    await release.install(VALUES)
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(forwarded_to(release, "simulator", 8081))
        postgres = await stack.enter_async_context(forwarded_to(release, "postgres", 5432))
        address = f"http://127.0.0.1:{simulator}"
        database = await _database_url(release, postgres)
        house = inhabited(release, folder, figures, begun, address, database)
        yield await stack.enter_async_context(house)


@asynccontextmanager
async def inhabited(
    release: Release, folder: Path, figures: Figures, begun: float, address: str, database: str
) -> AsyncIterator[NodeHouse]:
    """Wait for the first answer to a release that is being installed since `begun`, and let people
    move in: by the simulator at this address, into this database.
    """
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        )
        history = stack.enter_context(HistoryFile(folder / "history.jsonl"))
        telegram = Telegram(address, http, history)
        await hello(telegram, FIRST_USER)
        first_answer = time.monotonic() - begun
        figures.note(
            f"install, {release.plan}",
            "helm install to first answer, s",
            first_answer,
            FIRST_ANSWER_GOAL_SECONDS,
        )

        async def connect() -> Any:
            return await asyncpg.connect(database)

        pricing = await stack.enter_async_context(forwarded_to(release, "pricing", 50051))
        market = PriceWatch(
            f"127.0.0.1:{pricing}",
            SYMBOLS,
            history,
            await channel_as(release, "user-worker", "pricing"),
        )
        house = NodeHouse(
            release,
            telegram,
            Users(telegram, market.prices),
            PlacementWatch(connect, history, f"{release.namespace}.main"),
            history,
            figures,
            Judge(history, connect, folder),
            PodLogs(release, folder / "pods"),
            first_answer,
        )
        stack.push_async_callback(house.close)
        users, placement, logs = house.users, house.placement, house.logs
        for watched in (users.follow(), placement.watch(), market.watch(), logs.follow()):
            house.watch(watched)
        await users.move_in()
        yield house


@asynccontextmanager
async def forwarded_to(release: Release, part: str, port: int) -> AsyncIterator[int]:
    """A way to a part's Service once that has a pod that can be reached; the local port."""
    await eventually(lambda: _has_a_running_pod(release, part), ANSWERED_WITHIN_SECONDS)
    target = f"service/purser-{part}"
    async with forwarded(release.kubeconfig, release.namespace, target, port) as local:
        yield local


async def hello(telegram: Telegram, user: int, text: str = "/start") -> None:
    """Let somebody write; returns when he is answered. What is sent early waits."""
    following = asyncio.create_task(telegram.follow([user]))
    try:
        said = await telegram.say(user, text)
        heard = await telegram.until(
            user, lambda heard: heard.message_id > said.message_id, ANSWERED_WITHIN_SECONDS
        )
        assert heard is not None, f"nobody answered {text}"
    finally:
        await cancel_until_done(following)


async def _has_a_running_pod(release: Release, part: str) -> bool:
    return any(is_ready(pod) for pod in await release.pods(part))


async def _database_url(release: Release, port: int) -> str:
    """The owner's address, through the forwarded port."""
    parts = urlsplit(await release.secret("purser-migrations", "database-url"))
    login = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{login}@127.0.0.1:{port}").geturl()


async def channel_as(release: Release, part: str, server: str) -> Callable[[str], grpc.aio.Channel]:
    """Opens a channel to a part of the release as another part would."""
    authority, key, certificate = [
        (await release.secret(f"purser-{part}-tls", name)).encode()
        for name in ("ca.crt", "tls.key", "tls.crt")
    ]
    credentials = grpc.ssl_channel_credentials(authority, key, certificate)
    options = (("grpc.ssl_target_name_override", f"purser-{server}"),)
    return lambda target: grpc.aio.secure_channel(target, credentials, options)
