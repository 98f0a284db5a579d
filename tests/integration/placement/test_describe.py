"""`python -m shard_operator describe` against real servers, with parts of them away."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from chassis.redis import RedisSettings, open_redis
from chassis.settings import Secret
from chassis.streams import append
from devbox.database import Database
from kernel.names import jobs_stream
from kernel.sharding import ShardKey

POOL = "default.main"
NOWHERE = "127.0.0.1:1"
LONG_LEASE_SECONDS = 60.0
"""What is described must not change before it is looked at."""


async def describe(
    *arguments: str,
    database_url: str,
    redis_url: str = "",
    columns: int = 100,
    kubeconfig: str = "",
) -> tuple[int, str, str]:
    """Run it as a person does, with no cluster in reach; status, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shard_operator",
        "describe",
        *arguments,
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "COLUMNS": str(columns),
            "KUBECONFIG": kubeconfig,
            "OPERATOR_DATABASE_URL": database_url,
            "OPERATOR_REDIS_URL": redis_url,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


@pytest.fixture
async def settled(stage: Any, redis_url: str) -> None:
    """Three shards: one served with two jobs, one on the move, one whose owner died."""
    await stage.owner.execute(
        "INSERT INTO placement.pools VALUES ($1, 50, true, 40, 20), ('other.vip', 5, false, 9, 20)",
        POOL,
    )
    await stage.make_shards(3)
    first, second = await stage.run_of("w-0"), await stage.run_of("w-1")
    await first.heartbeat(LONG_LEASE_SECONDS)
    await second.heartbeat(LONG_LEASE_SECONDS)
    for shard, run in ((0, first), (1, first), (2, second)):
        await stage.desire(shard, run.name)
        await run.claim(shard)
    await stage.desire(1, "w-2")
    await stage.owner.execute("SELECT placement.tell_users($1, '{0,2}', '{7,3}')", POOL)
    await second.register(0.01)
    redis = open_redis(RedisSettings(redis_url=Secret(redis_url)))
    for _ in range(2):
        await append(redis, jobs_stream(ShardKey(POOL, 0)), b"job")
    await redis.aclose()
    await asyncio.sleep(0.05)


async def test_it_shows_who_owns_what(
    settled: None, stage: Any, database: Database, redis_url: str
) -> None:
    """As JSON, with the operator's own rights: owners, epochs, ages, work."""
    status, output, errors = await describe(
        "main", "-o", "json", database_url=database.url("purser_operator"), redis_url=redis_url
    )

    assert (0, "") == (status, errors)
    (pool,) = json.loads(output)["pools"]
    assert (2, 1, 10) == (pool["backlog"], pool["busy_shards"], pool["users"])
    assert (1, 1) == (pool["moving"], pool["ownerless"])
    dead, moving, served = pool["shards"]
    assert (2, None, "w-1", 1) == (
        dead["shard"],
        dead["owner"],
        dead["last_owner"],
        dead["epoch"],
    )
    assert 0 <= dead["ownerless_seconds"] < 60
    assert ("w-0", "w-2") == (moving["owner"], moving["desired"])
    assert (2, 7, None) == (served["backlog"], served["users"], served["ownerless_seconds"])
    assert 0 <= served["oldest_seconds"] < 60
    workers = {worker["name"]: worker for worker in pool["workers"]}
    assert ("alive", 2, 2) == tuple(workers["w-0"][key] for key in ("state", "shards", "backlog"))
    assert ("dead", 0, 0) == tuple(workers["w-1"][key] for key in ("state", "shards", "backlog"))


async def test_without_kubernetes_the_rest_is_shown(
    settled: None, database: Database, redis_url: str
) -> None:
    """And the page says what is missing, and why."""
    status, output, _ = await describe(
        database_url=database.url("purser_operator"), redis_url=redis_url
    )

    assert 0 == status
    assert "! The Kubernetes API cannot be asked" in output
    assert "cannot log in" in output
    assert "POOL default.main" in output
    assert "POOL other.vip" in output
    assert "2 jobs in 1 shard, the oldest" in output


@pytest.mark.parametrize(
    ("url", "why"),
    [("", "OPERATOR_REDIS_URL is not set"), (f"redis://{NOWHERE}/0", "Redis cannot be reached")],
)
async def test_without_redis_the_backlog_is_unknown(
    settled: None, database: Database, url: str, why: str
) -> None:
    """Never 0."""
    told = database.url("purser_operator")
    status, output, _ = await describe("main", database_url=told, redis_url=url)
    _, as_json, _ = await describe("main", "-o", "json", database_url=told, redis_url=url)

    assert 0 == status
    assert why in " ".join(output.split())
    assert "Backlog     unknown" in output
    (pool,) = json.loads(as_json)["pools"]
    assert pool["backlog"] is None
    assert {None} == {shard["backlog"] for shard in pool["shards"]}


async def test_without_postgresql_it_is_one_sentence(redis_url: str) -> None:
    """With status 1, and no password in it."""
    url = f"postgresql://purser:hidden@{NOWHERE}/purser"
    status, output, errors = await describe(database_url=url, redis_url=redis_url)

    assert (1, "") == (status, output)
    assert 1 == len(errors.splitlines())
    assert "cannot connect to PostgreSQL" in errors
    assert "hidden" not in errors


async def test_a_pool_there_is_not_is_told_with_those_there_are(
    settled: None, database: Database
) -> None:
    """With a status of its own, for scripts."""
    url = database.url("purser_operator")
    status, output, errors = await describe("vip", database_url=url)

    assert (3, "") == (status, output)
    assert "There is no pool default.vip; there are: default.main, other.vip." in errors
    assert 0 == (await describe("vip", "-n", "other", database_url=url))[0]


async def test_it_needs_no_right_beyond_reading(settled: None, database: Database) -> None:
    """A worker's role will do, which can write none of these tables."""
    status, output, _ = await describe("main", database_url=database.url("purser_worker"))

    assert 0 == status
    assert "SHARDS" in output


async def test_a_role_that_may_not_read_is_told_so(settled: None, database: Database) -> None:
    """A refusal of PostgreSQL is a sentence as well."""
    status, output, errors = await describe(database_url=database.url("purser_ledger"))

    assert (1, "") == (status, output)
    assert "it refused (InsufficientPrivilegeError, SQLSTATE 42501)" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("text", ["a: [", "current-context: x", "[]"])
async def test_a_kubeconfig_that_cannot_be_read_hides_nothing_else(
    settled: None, database: Database, tmp_path: Path, text: str
) -> None:
    """The rest is shown, and no stack trace."""
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(text)
    status, output, errors = await describe(
        "main", database_url=database.url("purser_operator"), kubeconfig=str(kubeconfig)
    )

    assert (0, "") == (status, errors)
    assert "! The Kubernetes API cannot be asked" in output
    assert "POOL default.main" in output
