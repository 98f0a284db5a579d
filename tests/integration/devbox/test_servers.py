"""The embedded servers: killed, left behind, started again, never as root."""

import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import psutil  # type: ignore[import-untyped]  # carries no types
import pytest
from redis.asyncio import Redis

from devbox.errors import CannotBegin, PortTaken
from devbox.servers import embedded_postgres, embedded_valkey
from devbox.servers.postgresql import start_postgres
from devbox.servers.valkey import start_valkey

PASSWORD = secrets.token_urlsafe(32)

# A process that starts both servers and then hangs, to be killed.
STARTER = """
import asyncio, sys, time
from pathlib import Path
from devbox.servers.postgresql import start_postgres
from devbox.servers.valkey import start_valkey
folder, password = Path(sys.argv[1]), sys.argv[2]
async def main():
    postgres = await start_postgres(folder / "pg", owner_password=password, durable=False)
    valkey = await start_valkey(folder / "valkey", password=password)
    print(postgres.process.pid, valkey.process.pid, flush=True)
    time.sleep(60)
asyncio.run(main())
"""


async def test_data_outlives_the_server(tmp_path: Path) -> None:
    """The second start finds what the first one committed."""
    for turn in (0, 1):
        async with embedded_postgres(tmp_path, owner_password=PASSWORD, durable=False) as server:
            connection = await asyncpg.connect(server.owner_url())
            await connection.execute("CREATE TABLE IF NOT EXISTS kept (turn int)")
            assert await connection.fetchval("SELECT count(*) FROM kept") == turn
            await connection.execute("INSERT INTO kept VALUES (1)")
            await connection.close()


def test_a_killed_parent_takes_the_servers_along(tmp_path: Path) -> None:
    """Nobody is left behind, so that a test run that was killed costs nothing."""
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path), PASSWORD], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    pids = [int(word) for word in starter.stdout.readline().split()]
    assert all(psutil.pid_exists(pid) for pid in pids)
    starter.kill()
    starter.wait()
    starter.stdout.close()
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []


async def test_a_server_left_behind_is_ended_before_the_next_one_starts(tmp_path: Path) -> None:
    """Two postmasters in one folder would be the end of the data."""
    left = await start_postgres(tmp_path / "pg", owner_password=PASSWORD, durable=False)
    left_too = await start_valkey(tmp_path / "valkey", password=PASSWORD)
    async with (
        embedded_postgres(tmp_path / "pg", owner_password=PASSWORD, durable=False) as server,
        embedded_valkey(tmp_path / "valkey", password=PASSWORD),
    ):
        assert left.process.poll() is not None
        assert left_too.process.poll() is not None
        await (await asyncpg.connect(server.owner_url())).close()


async def test_a_killed_postmaster_is_no_obstacle(tmp_path: Path) -> None:
    """Its stale pid file and its children do not keep the next one from starting."""
    first = await start_postgres(tmp_path, owner_password=PASSWORD, durable=False)
    connection = await asyncpg.connect(first.owner_url())
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    async with embedded_postgres(tmp_path, owner_password=PASSWORD, durable=False) as server:
        again = await asyncpg.connect(server.owner_url())
        assert await again.fetchval("SELECT 1") == 1
        await again.close()
    connection.terminate()


async def test_an_unreadable_file_of_valkey_is_set_aside(tmp_path: Path) -> None:
    """It starts empty rather than not at all."""
    async with (
        embedded_valkey(tmp_path, password=PASSWORD) as server,
        Redis.from_url(server.url()) as redis,
    ):
        await redis.set("a", "b")
    for file in (tmp_path / "appendonlydir").glob("*.incr.aof"):
        file.write_bytes(b"nonsense\r\n" * 10)
    async with (
        embedded_valkey(tmp_path, password=PASSWORD) as server,
        Redis.from_url(server.url()) as redis,
    ):
        assert await redis.dbsize() == 0
    assert (tmp_path / "appendonlydir.unreadable").is_dir()


async def test_the_run_forgets_nothing_and_tests_do_not_wait_for_disks(tmp_path: Path) -> None:
    """`durable` is fsync and synchronous_commit: the promises assume them on."""
    for durable, expected in ((True, "on"), (False, "off")):
        async with embedded_postgres(tmp_path, owner_password=PASSWORD, durable=durable) as server:
            connection = await asyncpg.connect(server.owner_url())
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                assert await connection.fetchval(f"SHOW {setting}") == expected
            await connection.close()


async def test_a_given_port_that_is_taken_names_its_variable(tmp_path: Path) -> None:
    """One sentence, before anything starts."""
    async with embedded_valkey(tmp_path / "first", password=PASSWORD, durable=False) as server:
        with pytest.raises(PortTaken, match="DEVBOX_REDIS_PORT"):
            await start_valkey(tmp_path / "second", password=PASSWORD, port=server.port)
        with pytest.raises(PortTaken, match="DEVBOX_DATABASE_PORT"):
            await start_postgres(tmp_path / "pg", owner_password=PASSWORD, port=server.port)


async def test_passwords_are_in_no_command_line(tmp_path: Path) -> None:
    """Everybody on the machine can read those."""
    async with (
        embedded_postgres(tmp_path / "pg", owner_password=PASSWORD, durable=False) as postgres,
        embedded_valkey(tmp_path / "valkey", password=PASSWORD) as valkey,
    ):
        for server in (postgres, valkey):
            assert PASSWORD not in " ".join(psutil.Process(server.process.pid).cmdline())
            assert PASSWORD not in repr(server)
    assert (tmp_path / "valkey" / "valkey.conf").stat().st_mode & 0o777 == 0o600


async def test_where_no_other_user_may_enter_it_is_said(tmp_path: Path) -> None:
    """Without user namespaces root needs folders that another user may enter."""
    # pytest makes tmp_path for us alone.
    with pytest.raises(CannotBegin, match="run as a user that is not root"):
        await start_postgres(tmp_path / "pg", owner_password=PASSWORD, identity="user:nobody")
