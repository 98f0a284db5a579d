"""The whole of Purser as a newcomer starts it: `/start` is answered, whatever is killed meanwhile.

One run with two gateways serves most tests, since starting takes seconds; each test uses users of
its own.
"""

import asyncio
import secrets
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # carries no types
import pytest
import pytest_asyncio
from redis.asyncio import Redis
from tests.e2e.chromium import launched
from tests.e2e.live_run import LiveRun, devbox, running
from tests.e2e.reconciling import assert_reconciled
from tests.e2e.trading_page import trade_from_start_to_profit
from tests.fakes.authority import Authority, put_into
from tests.fakes.tls_front import tls_front

from devbox.database import ensure_database
from devbox.keyring import ensure_secret
from devbox.servers import ValkeyServer, embedded_postgres
from devbox.servers.postgresql import start_postgres, stop_postgres

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

# Longer than a lease (3 s) and a gateway's start together.
RECOVERY_SECONDS = 30.0
# Long enough for an answer that should not come to come.
QUIET_SECONDS = 1.5

KILLED = [
    "gateway-0",
    "gateway-1",
    "purser-user-worker-0",
    "purser-user-worker-1",
    "pricing",
    "wallet",
    "ledger",
    "postgres",
    "valkey",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveRun]:
    """A run with two gateways."""
    folder = tmp_path_factory.mktemp("run")
    async with running(folder, "--port", "0", "--gateways", "2") as live:
        yield live


async def test_start_is_answered(run: LiveRun) -> None:
    """The first message of a new user gets exactly one answer."""
    await run.say(1000)
    assert len(await run.answers(1000, 1)) == 1
    await asyncio.sleep(QUIET_SECONDS)
    assert len(await run.answers(1000, 2, timeout_seconds=0)) == 1


async def test_a_trade_in_the_browser_from_start_to_profit(run: LiveRun) -> None:
    """What a newcomer sees: no script fails, and every book agrees."""
    problems: list[str] = []
    async with launched() as browser:
        page = await browser.new_page(viewport={"width": 460, "height": 1000})
        page.on("pageerror", lambda error: problems.append(str(error)))
        await trade_from_start_to_profit(page, run.report.address)
    assert problems == []
    connection = await run.database()
    try:
        await assert_reconciled(connection)
    finally:
        await connection.close()


async def test_duplicates_and_reordering_give_one_answer_per_message(run: LiveRun) -> None:
    """Telegram delivers some updates twice and some late; two gateways receive them."""
    users, messages = range(2000, 2020), 3
    await run.faults(duplicate_updates=0.3, reorder_updates=0.3)
    try:
        for _ in range(messages):
            await asyncio.gather(*(run.say(user) for user in users))
        await asyncio.gather(*(run.answers(user, messages) for user in users))
        await asyncio.sleep(QUIET_SECONDS)
        counts = {user: len(await run.answers(user, 99, timeout_seconds=0)) for user in users}
    finally:
        await run.faults(duplicate_updates=0, reorder_updates=0)
    assert counts == dict.fromkeys(users, messages)
    stats = await run.stats()
    assert stats["updates_duplicated"] > 0
    assert stats["updates_reordered"] > 0


@pytest.mark.parametrize("name", KILLED)
async def test_a_killed_process_loses_no_message(run: LiveRun, name: str) -> None:
    """Messages sent before, at and after the kill are all answered."""
    users = [3000 + 10 * KILLED.index(name) + place for place in range(6)]
    await asyncio.gather(*(run.say(user) for user in users[:3]))
    run.kill(name)
    await asyncio.gather(*(run.say(user) for user in users[3:]))
    answered = await asyncio.gather(*(run.answers(user, 1, RECOVERY_SECONDS) for user in users))
    assert [user for user, texts in zip(users, answered, strict=True) if not texts] == []
    await run.until_serving_again(name)


async def test_an_emptied_redis_loses_no_message(run: LiveRun) -> None:
    """The inbox is the truth; the streams only push."""
    users = range(4000, 4010)
    password = ensure_secret(run.folder.secrets, "redis.password")
    async with Redis(port=run.report.ports["redis"], password=password) as redis:
        for user in users:
            await run.say(user)
            await redis.flushall()
    answered = await asyncio.gather(*(run.answers(user, 1, RECOVERY_SECONDS) for user in users))
    assert [user for user, texts in zip(users, answered, strict=True) if not texts] == []


async def test_status_lists_each_process_with_its_memory(run: LiveRun) -> None:
    """A row for each process, and a sum without the simulator."""
    status, table = await devbox("status", "--data-dir", str(run.folder.root))
    assert status == 0
    listed = {line.split()[0] for line in table.splitlines()}
    assert {*KILLED, "simulator", "devbox", "sum"} <= listed


async def test_a_job_that_was_set_aside_is_replayed_from_the_command_line(run: LiveRun) -> None:
    """`make jobs` finds the gateways; the replay is worked by the shard's owner and answered."""
    await run.say(7000)
    assert len(await run.answers(7000, 1)) == 1
    database = await run.database()
    try:
        # As if it had failed three times: what the worker then says differs, not what is kept.
        job_id = await database.fetchval(
            "UPDATE gateway.inbox SET outcome = 2, error = 'KeyError' WHERE user_id ="
            " (SELECT user_id FROM gateway.users WHERE telegram_id = 7000) RETURNING job_id::text"
        )
    finally:
        await database.close()
    there = ("--data-dir", str(run.folder.root))

    listed = await devbox("jobs", *there)
    replayed = await devbox("jobs", *there, "--", "replay", job_id)
    again = await devbox("jobs", *there, "--", "replay", job_id)

    assert listed[0] == replayed[0] == 0
    assert job_id in listed[1]
    assert len(await run.answers(7000, 2)) == 2
    assert again[0] == 4
    await asyncio.sleep(QUIET_SECONDS)
    assert len(await run.answers(7000, 3, timeout_seconds=0)) == 2


async def test_a_second_run_says_that_one_is_there(run: LiveRun) -> None:
    """One sentence, and the first run goes on."""
    status, said = await devbox("run", "--data-dir", str(run.folder.root))
    assert status == 1
    assert said.count("\n") == 1
    assert "already runs" in said
    assert run.report.address in said


async def test_a_run_after_a_killed_one_finds_its_data(tmp_path: Path) -> None:
    """kill -9 of the run itself: nobody survives it for long, and the next run has the users."""
    async with running(tmp_path) as first:
        await first.say(5000)
        assert len(await first.answers(5000, 1)) == 1
        users_before = await count_users(first)
        orphans = [process.pid for process in first.report.processes if process.pid]
        await first.stop(signal.SIGKILL)
    async with running(tmp_path) as second:
        assert [pid for pid in orphans if psutil.pid_exists(pid)] == []
        assert await count_users(second) == users_before == 1
        await second.say(5000)
        assert len(await second.answers(5000, 1)) == 1
        assert await count_users(second) == 1
        await assert_it_ends_quietly_and_whole(second)


async def test_without_a_run_there_are_no_jobs_to_ask_for(tmp_path: Path) -> None:
    """One sentence."""
    status, said = await devbox("jobs", "--data-dir", str(tmp_path))
    assert status == 1
    assert said.count("\n") == 1
    assert "does not run" in said


async def test_servers_of_ones_own_are_used(tmp_path: Path, redis_url: str) -> None:
    """`PURSER_DATABASE_URL` and `PURSER_REDIS_URL`: nothing embedded is started beside them."""
    # Not the tests' own: a run gives the roles new passwords, and roles are the whole server's.
    async with embedded_postgres(
        tmp_path / "given", owner_password=secrets.token_urlsafe(), durable=False
    ) as server:
        await ensure_database(server.owner_url(), "given")
        given = {"PURSER_DATABASE_URL": server.owner_url("given"), "PURSER_REDIS_URL": redis_url}
        async with running(tmp_path / "data", **given) as run:
            assert {run.pid("postgres"), run.pid("valkey")} == {None}
            await run.say(6000)
            assert len(await run.answers(6000, 1)) == 1


async def test_servers_of_ones_own_may_speak_tls(
    tmp_path: Path, redis_url: str, valkey_server: ValkeyServer
) -> None:
    """Every process believes the authority that was named, and trades; another one is refused."""
    authority = Authority()
    file = put_into(tmp_path / "ca.crt", authority.certificate)
    other = put_into(tmp_path / "other.crt", Authority().certificate)
    async with (
        embedded_postgres(
            tmp_path / "given", owner_password=secrets.token_urlsafe(), durable=False
        ) as server,
        tls_front(server.port, authority.issue(), postgres=True) as postgres,
        tls_front(valkey_server.port, authority.issue()) as redis,
    ):
        await ensure_database(server.owner_url(), "given")
        login = server.owner_url("given").rpartition("@")[0]
        database = f"{login}@127.0.0.1:{postgres.port}/given?sslmode=verify-full"
        given = {
            "PURSER_DATABASE_URL": f"{database}&sslrootcert={file}",
            "PURSER_REDIS_URL": f"rediss://:{valkey_server.password}@127.0.0.1:{redis.port}/0",
        }
        options = ("run", "--port", "0", "--data-dir", str(tmp_path / "data"))
        status, said = await devbox(*options, **given, PURSER_REDIS_CA_FILE=str(other))
        assert status == 1
        assert "does not answer (its certificate is not believed" in said.splitlines()[-1]
        assert "Traceback" not in said

        async with running(tmp_path / "data", **given, PURSER_REDIS_CA_FILE=str(file)) as run:
            await run.say(6001)
            assert len(await run.answers(6001, 1)) == 1
            for front in (postgres, redis):
                await front.cut()
            await run.say(6001)
            assert len(await run.answers(6001, 2)) == 2
            # A gateway, pricing, two workers and the control loop.
            assert len(redis.versions) >= 5
            assert b"not believed" not in b"".join(
                log.read_bytes() for log in (tmp_path / "data/logs").glob("*.log")
            )


async def test_stop_ends_what_a_killed_run_left(tmp_path: Path) -> None:
    """And says that nothing runs when nothing does."""
    left = await start_postgres(
        tmp_path / "postgres", owner_password=secrets.token_urlsafe(), durable=False
    )
    try:
        said_first = await devbox("stop", "--data-dir", str(tmp_path))
        assert left.process.wait(timeout=5) == 0
    finally:
        await stop_postgres(left)
    assert said_first == (0, "Stopped what a killed run left.\n")
    assert await devbox("stop", "--data-dir", str(tmp_path)) == (0, "Nothing runs.\n")
    status, said = await devbox("status", "--data-dir", str(tmp_path))
    assert status == 3
    assert "make run" in said


async def test_a_taken_port_is_one_sentence_with_the_variable(tmp_path: Path) -> None:
    """No stack trace, nothing started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, said = await devbox("run", "--data-dir", str(tmp_path), PURSER_PORT=str(port))
    assert status == 1
    assert said == (
        f"Port {port} is taken by another program; "
        "choose another one with `make run PORT=…` or PURSER_PORT=…\n"
    )


async def test_a_wrong_database_is_one_sentence_without_its_password(tmp_path: Path) -> None:
    """The address in the environment is wrong: say which variable, never the password."""
    url = "postgresql://owner:very-secret@127.0.0.1:1/purser"
    status, said = await devbox(
        "run", "--port", "0", "--data-dir", str(tmp_path), PURSER_DATABASE_URL=url
    )
    assert status == 1
    assert "PURSER_DATABASE_URL" in said.splitlines()[-1]
    assert "very-secret" not in said
    assert "Traceback" not in said


async def assert_it_ends_quietly_and_whole(run: LiveRun) -> None:
    """Ctrl-C: exit status 0, a word, and nobody is left."""
    before = len(run.lines)
    pids = [process.pid for process in run.report.processes if process.pid]
    assert await run.stop() == 0
    assert run.lines[before:] == ["Stopping …"]
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []


async def count_users(run: LiveRun) -> int:
    """How many users the gateway knows."""
    connection = await run.database()
    try:
        count: int = await connection.fetchval("SELECT count(*) FROM gateway.users")
        return count
    finally:
        await connection.close()
