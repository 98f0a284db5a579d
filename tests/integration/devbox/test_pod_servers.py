"""The servers of a trial's pods: each a program, ended by SIGTERM, its password unseen."""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil  # type: ignore[import-untyped]  # carries no types
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from tests.conftest import Cluster

from devbox.database import ensure_database, migrate_rooms
from devbox.ports import free_port
from devbox.programs import launched, unprivileged_identity
from devbox.roles import ROLES
from devbox.servers import PostgresServer
from devbox.servers.postgresql import OWNER

READY_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.05


@contextlib.contextmanager
def pod(
    log: Path, *words: str, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m devbox …` as in a pod, killed with its children at the end; never as root."""
    command = launched(
        [sys.executable, "-m", "devbox", *words], signal.SIGKILL, unprivileged_identity()
    )
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=os.environ | (environment or {})
        )
    try:
        yield process
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        process.kill()
        process.wait()


def write_password(folder: Path, name: str) -> tuple[Path, str]:
    """A mounted Secret's file."""
    file, password = folder / name, secrets.token_urlsafe(32)
    file.write_text(password)
    return file, password


async def connect(
    port: int, password: str, process: subprocess.Popen[bytes]
) -> "asyncpg.Connection[asyncpg.Record]":
    """Connect as the owner once the server is there."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            assert process.poll() is None, "the server ended"
            try:
                return await asyncpg.connect(
                    host="127.0.0.1",
                    port=port,
                    user=OWNER,
                    password=password,
                    database="purser",
                    ssl=False,
                )
            except (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError):
                await asyncio.sleep(POLL_SECONDS)


async def wait_for_answer(client: Redis) -> None:
    """Until it is there."""
    while True:
        with contextlib.suppress(OSError, RedisError):
            await client.ping()
            return
        await asyncio.sleep(POLL_SECONDS)


async def stop(process: subprocess.Popen[bytes]) -> int:
    """SIGTERM, as a kubelet sends it; the exit status."""
    process.send_signal(signal.SIGTERM)
    return await asyncio.to_thread(process.wait, STOP_SECONDS)


async def test_postgres_keeps_its_data_and_takes_the_password_of_today(tmp_path: Path) -> None:
    """SIGTERM ends it at once though somebody is connected; a new Secret opens the old volume."""
    words = ["postgres", "--data", str(tmp_path / "volume")]
    for turn in (0, 1):
        file, password = write_password(tmp_path, f"password-{turn}")
        port = free_port()
        asked = [*words, "--password-file", str(file), "--port", str(port)]
        with pod(tmp_path / "log", *asked) as process:
            connection = await connect(port, password, process)
            await connection.execute("CREATE TABLE IF NOT EXISTS kept (turn int)")
            assert turn == await connection.fetchval("SELECT count(*) FROM kept")
            await connection.execute("INSERT INTO kept VALUES (1)")
            assert await stop(process) == 0
            connection.terminate()
        assert password not in (tmp_path / "log").read_text()


async def test_a_second_server_on_the_volume_is_refused(tmp_path: Path) -> None:
    """Two postmasters in one folder would be the end of the data."""
    file, password = write_password(tmp_path, "password")
    port = free_port()
    words = ["postgres", "--data", str(tmp_path / "volume"), "--password-file", str(file)]
    with pod(tmp_path / "log", *words, "--port", str(port)) as process:
        connection = await connect(port, password, process)
        with pod(tmp_path / "second", *words, "--port", str(port)) as second:
            assert await asyncio.to_thread(second.wait, READY_SECONDS) == 1
        assert "Another server works in" in (tmp_path / "second").read_text()
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
        assert await stop(process) == 0


async def test_valkey_takes_its_password_unseen_and_evicts_nothing(tmp_path: Path) -> None:
    """Neither its arguments nor its log hold the password; it keeps what it was given."""
    file, password = write_password(tmp_path, "password")
    port = free_port()
    words = ["valkey", "--data", str(tmp_path / "volume"), "--password-file", str(file)]
    for turn in (0, 1):
        asked = [*words, "--port", str(port), "--memory-megabytes", "30"]
        with pod(tmp_path / "log", *asked) as process:
            async with (
                Redis(port=port, password=password, decode_responses=True) as client,
                asyncio.timeout(READY_SECONDS),
            ):
                await wait_for_answer(client)
                assert await client.incr("turns") == turn + 1
                limits = await client.config_get("maxmemory*")
                assert str(30 * 1024 * 1024) == limits["maxmemory"]
                assert limits["maxmemory-policy"] == "noeviction"
            assert password not in " ".join(psutil.Process(process.pid).cmdline())
            assert await stop(process) == 0
        assert password not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("server", ["postgres", "valkey"])
def test_a_password_that_is_not_there_is_told_in_a_sentence(server: str, tmp_path: Path) -> None:
    """A Secret without the key is the usual mistake."""
    words = [server, "--data", str(tmp_path / "volume"), "--password-file", str(tmp_path / "none")]
    with pod(tmp_path / "log", *words) as process:
        assert process.wait(READY_SECONDS) == 1
    said = (tmp_path / "log").read_text()
    assert said.count("\n") == 1
    assert "cannot be read: No such file or directory." in said


async def test_the_roles_get_the_passwords_of_the_mounted_folder(
    postgres_cluster: Cluster, tmp_path: Path
) -> None:
    """After it each role can log in; asked again it is content."""
    server, name = postgres_cluster.server, f"test_{secrets.token_hex(6)}"
    await ensure_database(server.owner_url(), name)
    await migrate_rooms(server.owner_url(name))
    # The roles belong to the server and to all tests: they get the passwords they have.
    for role in ROLES:
        (tmp_path / role).write_text(postgres_cluster.passwords[role] + "\n")
    settings = {"PURSER_MIGRATION_DATABASE_URL": server.owner_url(name)}
    for _ in range(2):
        with pod(
            tmp_path / "log", "passwords", "--folder", str(tmp_path), environment=settings
        ) as process:
            assert await asyncio.to_thread(process.wait, READY_SECONDS) == 0
    for role in ROLES:
        await log_in(server, role, postgres_cluster.passwords[role], name)
    owner = await asyncpg.connect(server.owner_url())
    await owner.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await owner.close()


async def log_in(server: PostgresServer, role: str, password: str, database: str) -> None:
    """Come and go as a role."""
    connection = await asyncpg.connect(server.url(role, database, password))
    assert await connection.fetchval("SELECT current_user") == role
    await connection.close()
