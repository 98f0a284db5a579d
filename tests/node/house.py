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
    """Install, wait for the first answer, let people move in."""
    async with AsyncExitStack() as stack:
        await release.prepare()
        await release.make_secrets()
        begun = time.monotonic()
        await release.install(VALUES)

        async def forward(service: str, port: int) -> int:
            """Once the Service has a pod that can be reached."""
            await eventually(lambda: _has_a_running_pod(release, service), ANSWERED_WITHIN_SECONDS)
            target = f"service/purser-{service}"
            way = forwarded(release.kubeconfig, release.namespace, target, port)
            return await stack.enter_async_context(way)

        simulator = await forward("simulator", 8081)
        http = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        )
        history = stack.enter_context(HistoryFile(folder / "history.jsonl"))
        telegram = Telegram(f"http://127.0.0.1:{simulator}", http, history)
        first_answer = await _first_answer(telegram, begun)
        figures.note(
            "install", "helm install to first answer, s", first_answer, FIRST_ANSWER_GOAL_SECONDS
        )

        database = await _database_url(release, await forward("postgres", 5432))

        async def connect() -> Any:
            return await asyncpg.connect(database)

        market = PriceWatch(
            f"127.0.0.1:{await forward('pricing', 50051)}",
            SYMBOLS,
            history,
            await channel_as(release, "user-worker", "pricing"),
        )
        house = NodeHouse(
            release,
            Users(telegram, market.prices),
            PlacementWatch(connect, history),
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


async def _first_answer(telegram: Telegram, begun: float) -> float:
    """How long until somebody who writes /start is answered. What is sent early waits."""
    following = asyncio.create_task(telegram.follow([FIRST_USER]))
    try:
        said = await telegram.say(FIRST_USER, "/start")
        heard = await telegram.until(
            FIRST_USER, lambda heard: heard.message_id > said.message_id, ANSWERED_WITHIN_SECONDS
        )
        assert heard is not None, "nobody answered /start"
        return time.monotonic() - begun
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
