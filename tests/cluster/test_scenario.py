"""The whole house on a real Kubernetes API, from `kubectl apply` to a shrunken StatefulSet.

The operator runs as a process under its own service account, the workers as pods of their
StatefulSet, the other services beside the cluster, PostgreSQL and Valkey are real. Users write
throughout. What makes the backlog grow is an outage: the wallet hangs, so every `/start` waits
for it, and whatever the same user writes next waits behind that.
"""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.cluster.api import KubernetesApi
from tests.cluster.beside import standing_beside
from tests.cluster.conftest import Kubectl
from tests.cluster.control_plane import ControlPlane
from tests.cluster.operators import TARGET, OperatorFactory
from tests.cluster.scenario import NOTE_DEPARTURES, WORKERS, WORKERS_MIN, Scenario
from tests.cluster.subject import Subject
from tests.cluster.waiting import until

from devbox.database import Database

WORKERS_MAX = 4
USERS_PER_SHARD = 2
STARTING = range(1001, 1013)
"""Users whose next /start meets the outage."""
CHATTING = range(2001, 2005)
"""Users who ask for what needs no wallet, all the time."""
SHARDS = (len(STARTING) + len(CHATTING)) // USERS_PER_SHARD + 1
"""The last one is the spare that newcomers would meet."""
CHAT_PERIOD_SECONDS = 0.2
STABILIZATION_SECONDS = 5
TARGET_BACKLOG = 8
"""Two workers' worth is one job of each user; the outage makes more than four workers' worth."""

SPEC: dict[str, Any] = {
    "usersPerShard": USERS_PER_SHARD,
    "workers": {"minReplicas": WORKERS_MIN, "maxReplicas": WORKERS_MAX},
    "scaling": {
        "targetBacklogPerReplica": TARGET_BACKLOG,
        "targetOldestJobSeconds": 60,
        "pollPeriodSeconds": 1,
        "scaleDownStabilizationSeconds": STABILIZATION_SECONDS,
    },
}
"""The sample's numbers are made for thousands of users and for hours. Only the backlog counts here:
on a busy machine a job may be old without an outage.
"""

START_SAYS = "Welcome aboard"
UNFINISHED = """
SELECT (SELECT count(*) FROM gateway.inbox WHERE done_at IS NULL)
     + (SELECT count(*) FROM gateway.outbox WHERE state = 0)
"""
"""Jobs that no worker has done and answers of which the gateway does not know yet what became."""
NOT_SENT = "SELECT count(*) FROM gateway.outbox WHERE state <> 1"
COLUMNS = ["NAME", "USERS", "SHARDS", "WORKERS", "DESIRED", "BACKLOG", "OLDEST", "READY", "AGE"]


class Talk:
    """What each user wrote, and what each answer must therefore say."""

    def __init__(self, scenario: Scenario) -> None:
        self._beside = scenario.beside
        self._numbers = itertools.count()
        self._expected: dict[int, list[str]] = {}

    async def start(self, user_id: int) -> None:
        """Write /start."""
        await self._write(user_id, "/start", START_SAYS)

    async def ask(self, user_id: int) -> None:
        """Write a command unlike any other, whose answer names it."""
        name = f"never_heard_{next(self._numbers):04}"
        await self._write(user_id, f"/{name}", name)

    async def chat(self) -> None:
        """Let the chatting users ask, one after the other, until cancelled."""
        for user_id in itertools.cycle(CHATTING):
            await self.ask(user_id)
            await asyncio.sleep(CHAT_PERIOD_SECONDS)

    async def waiting(self, users: range) -> int:
        """How many messages of these users were not answered yet."""
        answered = [len(await self._beside.answers(user_id)) for user_id in users]
        return sum(len(self._expected[user_id]) for user_id in users) - sum(answered)

    async def until_answered(self, users: range) -> None:
        """Wait until these users have as many answers as messages."""
        await until(lambda: self.waiting(users), lambda count: count <= 0, "every message answered")

    async def differences(self) -> dict[int, tuple[list[str], list[str]]]:
        """The users whose answers are not exactly one per message, in order: what should be there,
        what is.
        """
        different = {}
        for user_id, expected in self._expected.items():
            answers = await self._beside.answers(user_id)
            fits = [part in answer for part, answer in zip(expected, answers, strict=False)]
            if len(answers) != len(expected) or not all(fits):
                different[user_id] = (expected, answers)
        return different

    async def _write(self, user_id: int, text: str, answer: str) -> None:
        await self._beside.say(user_id, text)
        self._expected.setdefault(user_id, []).append(answer)


@pytest.fixture
async def scenario(
    control_plane: ControlPlane,
    node: str,
    namespace: str,
    api: KubernetesApi,
    kubectl: Kubectl,
    operators: OperatorFactory,
    database: Database,
    redis_url: str,
    tmp_path: Path,
) -> AsyncIterator[Scenario]:
    """An operator that leads; the definition, the rights and everything beside the cluster."""
    pool = f"{namespace}.main"
    async with (
        asyncpg.create_pool(database.owner_url, min_size=1, max_size=2) as owner,
        standing_beside(tmp_path, database, redis_url, pool) as beside,
    ):
        await owner.execute(NOTE_DEPARTURES)
        await operators.start().until("leading")
        subject = Subject(api, namespace)
        yield Scenario(
            namespace, api, kubectl, subject, operators, beside, owner, control_plane.logs
        )
        # Before what the workers need goes: they are to leave in order.
        kubectl("delete", "statefulset", TARGET, "--cascade=foreground", "--timeout=50s")


@pytest.mark.timeout(240)
async def test_workers_follow_the_backlog_and_every_message_is_answered_once(
    scenario: Scenario, database: Database, redis_url: str, request: pytest.FixtureRequest
) -> None:
    """Two workers, an outage, four workers, two again; users notice nothing but the outage."""
    talk = Talk(scenario)
    async with scenario.explained(request):
        await scenario.come_up(database, redis_url, SPEC)
        await users_come_aboard(scenario, talk)
        async with chatting(talk):
            await a_backlog_makes_the_pool_grow(scenario, talk)
            await without_work_the_pool_shrinks(scenario)
        await everybody_was_answered_once(scenario, talk)
        await an_sre_is_told(scenario)


async def users_come_aboard(scenario: Scenario, talk: Talk) -> None:
    """Their shards are placed on both workers."""
    for user_id in (*STARTING, *CHATTING):
        await talk.start(user_id)
    await talk.until_answered(STARTING)
    await talk.until_answered(CHATTING)
    await scenario.until_spread_over(WORKERS_MIN)
    assert sum((await scenario.shards_of()).values()) == SHARDS


@asynccontextmanager
async def chatting(talk: Talk) -> AsyncIterator[None]:
    """Some users go on writing, whatever happens to the shards."""
    task = asyncio.create_task(talk.chat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.result()


async def a_backlog_makes_the_pool_grow(scenario: Scenario, talk: Talk) -> None:
    """While the wallet hangs the backlog stands, new pods come and take their part of the shards.
    Applying the StatefulSet again does not undo it, and who needs no wallet is answered. When the
    wallet goes on, the backlog drains.
    """
    with scenario.beside.hanging("wallet"):
        for user_id in STARTING:
            await talk.start(user_id)
            await talk.ask(user_id)
            await talk.ask(user_id)
        await scenario.until_workers(WORKERS_MAX)
        await scenario.until_spread_over(WORKERS_MAX)
        limited = await scenario.subject.until_condition(
            "ScalingLimited", "True", "TooManyReplicas"
        )
        assert f"maxReplicas is {WORKERS_MAX}" in limited["message"]
        scenario.kubectl("apply", "-f", str(WORKERS))
        assert (await scenario.workers())["asked"] == WORKERS_MAX
        await talk.until_answered(CHATTING)
        assert await talk.waiting(STARTING) == 3 * len(STARTING)
        assert await scenario.departures() == {}
    await talk.until_answered(STARTING)


async def without_work_the_pool_shrinks(scenario: Scenario) -> None:
    """After the stabilisation window the highest ordinals are emptied, and only then go."""
    await scenario.until_workers(WORKERS_MIN)
    await scenario.until_spread_over(WORKERS_MIN)
    going = {f"{TARGET}-{ordinal}": 0 for ordinal in range(WORKERS_MIN, WORKERS_MAX)}
    assert await scenario.departures() == going


async def everybody_was_answered_once(scenario: Scenario, talk: Talk) -> None:
    """In each chat one answer per message, in order; and nothing is left that could still come."""
    await talk.until_answered(STARTING)
    await talk.until_answered(CHATTING)
    # A user has an answer some time before the gateway has written down that it was sent.
    await until(
        lambda: scenario.owner.fetchval(UNFINISHED), lambda count: count == 0, "nothing unfinished"
    )
    assert await scenario.owner.fetchval(NOT_SENT) == 0
    assert await talk.differences() == {}


async def an_sre_is_told(scenario: Scenario) -> None:
    """Conditions, columns, figures, Events."""
    await scenario.subject.until_condition("Ready", "True", "ShardsServed")
    await scenario.subject.until_condition("Progressing", "False", "Settled")
    await scenario.subject.until_condition("Degraded", "False", "AsExpected")
    status = (await scenario.subject.read())["status"]
    header, row = scenario.kubectl("get", "ush").splitlines()
    told = scenario.kubectl("describe", "ush", "main")

    assert status["users"] == len(STARTING) + len(CHATTING)
    assert (status["shards"], status["replicas"], status["readyReplicas"]) == (
        SHARDS,
        WORKERS_MIN,
        WORKERS_MIN,
    )
    assert [worker["name"] for worker in status["workers"]] == [f"{TARGET}-0", f"{TARGET}-1"]
    assert header.split() == COLUMNS
    assert row.startswith("main ")
    assert "ScaledOut" in told
    # A look of the operator's in the middle of the messages asks for one worker first.
    assert re.search(rf"\d to {WORKERS_MAX} workers", told)
    assert "ScaledIn" in told
    assert "refused" not in scenario.operator.log.read_text()
