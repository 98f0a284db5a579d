"""Two UserShards with two StatefulSets and one bot: users are admitted to either pool and moved
between them, while an operator serves both.

The second pool is opened as the runbook says (docs/second-pool.md): its own commands are run. The
workers are pods; the other services and the simulated Telegram stand beside the cluster.
"""

import asyncio
import itertools
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.cluster.api import KubernetesApi, resource_path
from tests.cluster.beside import Beside, standing_beside
from tests.cluster.conftest import Kubectl
from tests.cluster.operators import SAMPLES, TARGET, TREE, OperatorFactory
from tests.cluster.subject import Subject
from tests.cluster.waiting import WITHIN_SECONDS, until

from devbox.database import Database
from shard_operator.controller import STATUS_REFRESH_SECONDS

FAST_TARGET = "purser-fast-worker"
STANDARD_USERS, INVITED = range(1001, 1005), 2001
MOVED = STANDARD_USERS[0]
START_SAYS = "Welcome aboard"
CHAT_PERIOD_SECONDS = 0.2
_SECOND_SET = re.compile(r"(sed -e .*?)\| kubectl -n purser apply -f -", re.DOTALL)


@dataclass
class Bot:
    """What users wrote to the bot, and what it must say to each message."""

    beside: Beside
    expected: dict[int, list[str]] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def start(self, user: int) -> None:
        """Write /start, and wait for the answer."""
        await self._write(user, "/start", START_SAYS)
        await self.until_answered()

    async def ask(self, user: int) -> None:
        """Write a command unlike any other, whose answer names it."""
        name = f"never_heard_{next(self._numbers):04}"
        await self._write(user, f"/{name}", name)

    async def until_answered(self) -> None:
        """Wait until everybody has as many answers as messages."""

        async def missing() -> int:
            there = [len(await self.beside.answers(user)) for user in self.expected]
            return sum(map(len, self.expected.values())) - sum(there)

        await until(missing, lambda count: count <= 0, "every message answered")

    async def differences(self) -> dict[int, list[str]]:
        """The answers of those who were not answered once per message, in order."""
        said = {user: await self.beside.answers(user) for user in self.expected}
        return {
            user: answers
            for user, answers in said.items()
            if len(answers) != len(self.expected[user])
            or not all(map(str.__contains__, answers, self.expected[user]))
        }

    @asynccontextmanager
    async def chatting(self, *users: int) -> AsyncIterator[None]:
        """Let users ask all the time, whatever happens to their shards."""

        async def chat() -> None:
            for user in itertools.cycle(users):
                await self.ask(user)
                await asyncio.sleep(CHAT_PERIOD_SECONDS)

        task = asyncio.create_task(chat())
        yield
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    async def _write(self, user: int, text: str, answer: str) -> None:
        await self.beside.say(user, text)
        self.expected.setdefault(user, []).append(answer)


@pytest.mark.timeout(240)
async def test_a_second_pool_is_opened_filled_and_emptied(
    node: str,
    namespace: str,
    api: KubernetesApi,
    kubectl: Kubectl,
    operators: OperatorFactory,
    database: Database,
    redis_url: str,
    tmp_path: Path,
) -> None:
    """Everybody is answered once per message, by the workers of the pool they are in."""
    standard, fast = f"{namespace}.main", f"{namespace}.fast"
    users = UsersCommand(database.url("purser_user_mover"))
    async with (
        asyncpg.create_pool(database.owner_url, min_size=1, max_size=2) as sql,
        standing_beside(tmp_path, database, redis_url, standard) as beside,
    ):
        await operators.start().until("leading")
        await _apply(api, kubectl, namespace, database, redis_url, beside, tmp_path)
        subject = Subject(api, namespace)
        for name in ("main", "fast"):
            await subject.named(name).until_condition("Ready", "True", "ShardsServed")
        bot = Bot(beside)
        for user in STANDARD_USERS:
            await bot.start(user)
        assert f"{INVITED} will be admitted" in await users("admit", str(INVITED), "--pool", fast)
        await bot.start(INVITED)
        assert await _pools(sql) == {standard: len(STANDARD_USERS), fast: 1}
        assert await _owners(sql, fast) == {FAST_TARGET}

        async with bot.chatting(MOVED, STANDARD_USERS[1], INVITED):
            await users("move", str(MOVED), "--pool", fast)
            assert await _pools(sql) == {standard: len(STANDARD_USERS) - 1, fast: 2}
            await subject.named("fast").until_condition("Progressing", "False", "Settled")
            await users("move", "--from", fast, "--pool", standard)
        await bot.until_answered()

        assert await _pools(sql) == {standard: len(STANDARD_USERS) + 1}
        assert await bot.differences() == {}
        assert await sql.fetchval("SELECT count(*) FROM gateway.inbox WHERE done_at IS NULL") == 0
        assert await _owners(sql, standard) == {TARGET}
        await _until_told(subject, {"main": len(STANDARD_USERS) + 1, "fast": 0})
        for target in (TARGET, FAST_TARGET):
            kubectl("delete", "statefulset", target, "--cascade=foreground", "--timeout=50s")


@dataclass(frozen=True)
class UsersCommand:
    """`python -m gateway users`, as whoever may move users."""

    url: str = field(repr=False)

    async def __call__(self, *arguments: str) -> str:
        """What it prints when it has done what it was asked for."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "gateway", "users", *arguments),
            env={"PATH": os.environ["PATH"], "GATEWAY_USERS_DATABASE_URL": self.url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
        return said.decode()


async def _apply(
    api: KubernetesApi,
    kubectl: Kubectl,
    namespace: str,
    database: Database,
    redis_url: str,
    beside: Beside,
    folder: Path,
) -> None:
    """Both StatefulSets and both UserShards."""
    secret = {
        "metadata": {"name": TARGET},
        "stringData": {"database-url": database.url("purser_worker"), "redis-url": redis_url},
    }
    addresses = {"metadata": {"name": "purser-addresses"}, "data": beside.addresses}
    await api.create(resource_path("v1", "secrets", namespace), secret)
    await api.create(resource_path("v1", "configmaps", namespace), addresses)
    kubectl("apply", "-f", str(TREE / "k8s/dev/user-worker-statefulset.yaml"))
    second = folder / "fast-worker.yaml"
    second.write_text(_second_set())
    kubectl("apply", "-f", str(second))
    kubectl("apply", "-f", str(SAMPLES / "usershard-two-pools.yaml"))


def _second_set() -> str:
    """The second StatefulSet, as the runbook makes it of the first."""
    found = _SECOND_SET.search((TREE / "docs/second-pool.md").read_text())
    assert found is not None
    return subprocess.check_output(found[1], shell=True, cwd=TREE, text=True)  # noqa: S602 (ours)


async def _pools(sql: Any) -> Counter[str]:
    """How many users each pool has."""
    return Counter(row["pool"] for row in await sql.fetch("SELECT pool FROM gateway.users"))


async def _owners(sql: Any, pool: str) -> set[str]:
    """Whose pods own the pool's shards with users."""
    rows = await sql.fetch("SELECT owner FROM placement.shards WHERE pool = $1 AND users > 0", pool)
    return {str(row["owner"]).rpartition("-")[0] for row in rows}


async def _until_told(subject: Subject, users: dict[str, int]) -> None:
    """Wait until each UserShard says how many users it has."""

    async def told() -> dict[str, int | None]:
        return {name: (await subject.named(name).read())["status"].get("users") for name in users}

    within = STATUS_REFRESH_SECONDS + WITHIN_SECONDS
    await until(told, lambda found: found == users, "the users told", within)
