"""A house that can be restored: dumped under load, its dump brought to a server of its own.

Telegram outlives every database, so the simulator is a process beside the houses: what was sent
stays sent, whatever a dump knows of it. A second house gets the first one's secrets (the key and
the bot's token are not in a dump) and nothing else: its PostgreSQL is fresh, its Redis empty.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
from tests.e2e.live_run import READY_TIMEOUT_SECONDS, environment

from devbox.data_folder import DataFolder
from devbox.database import ensure_database, migrate_rooms
from devbox.servers import embedded_postgres
from devbox.servers.postgresql import OWNER, PostgresServer, postgres_program
from devbox.world import DATABASE, owner_password

BOT_TOKEN = "1000000001:restored-bot-of-the-tests-000000000"
SCRATCH = "purser_roles"
PROGRAM_TIMEOUT_SECONDS = 60.0


@contextlib.asynccontextmanager
async def telegram_beside(host: str = "127.0.0.1", **environ: str) -> AsyncIterator[str]:
    """The simulator as a process of its own on an address of this machine; its URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "devbox.telegram",
        f"--host={host}",
        "--port=0",
        env=environment() | {"SIMULATOR_TOKEN": BOT_TOKEN} | environ,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_TIMEOUT_SECONDS):
            line = (await process.stdout.readline()).decode()
        yield line.removeprefix("Telegram simulator:").strip()
    finally:
        process.terminate()
        await process.wait()


def talking_to(telegram: str) -> dict[str, str]:
    """The settings of a house whose Telegram is that simulator."""
    return {"TELEGRAM_BOT_TOKEN": BOT_TOKEN, "GATEWAY_TELEGRAM_API_URL": telegram}


async def dump(folder: DataFolder, port: int, to: Path) -> None:
    """Dump a house's database while it serves, as docs/back-up.md says."""
    arguments = ["--format=custom", "--no-owner", f"--file={to}", DATABASE]
    await _run_as_owner("pg_dump", owner_password(folder), port, *arguments)


async def restore(dumped: Path, old: DataFolder, new: DataFolder) -> None:
    """Bring a dump to a fresh server in another folder, as docs/back-up.md says, but for
    `after-restore`. The server is stopped again.
    """
    new.ensure()
    shutil.copytree(old.secrets, new.secrets, dirs_exist_ok=True)
    async with fresh_postgres(new) as server:
        # Roles belong to the server and are in no dump: the migrations make them.
        await ensure_database(server.owner_url(), SCRATCH)
        await migrate_rooms(server.owner_url(SCRATCH))
        await _administer(server, f"DROP DATABASE {SCRATCH}")
        await ensure_database(server.owner_url(), DATABASE)
        arguments = ["--no-owner", "--exit-on-error", f"--dbname={DATABASE}", str(dumped)]
        await _run_as_owner("pg_restore", server.owner_password, server.port, *arguments)


@contextlib.asynccontextmanager
async def fresh_postgres(folder: DataFolder) -> AsyncIterator[PostgresServer]:
    """The PostgreSQL of a house that does not run."""
    password = owner_password(folder)
    async with embedded_postgres(folder.postgres, owner_password=password) as server:
        yield server


async def verb(package: str, *arguments: str, **environ: str) -> tuple[int, str]:
    """Run a part's verb to its end; its exit status and all it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        package,
        *arguments,
        env=environment() | environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(PROGRAM_TIMEOUT_SECONDS):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def _run_as_owner(name: str, password: str, port: int, *arguments: str) -> None:
    """Run one of PostgreSQL's programs as the owner; the password is no argument."""
    environ = os.environ | {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(port),
        "PGUSER": OWNER,
        "PGPASSWORD": password,
        "PGSSLMODE": "disable",
    }
    process = await asyncio.create_subprocess_exec(
        postgres_program(name),
        *arguments,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PROGRAM_TIMEOUT_SECONDS):
        _, said = await process.communicate()
    assert process.returncode == 0, f"{name}: {said.decode()}"
    assert said == b"", f"{name}: {said.decode()}"


async def _administer(server: PostgresServer, statement: str) -> None:
    """Run a statement about databases as the owner."""
    connection = await asyncpg.connect(server.owner_url())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
