"""A real PostgreSQL with a streaming replica of it, made by pg_basebackup."""

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import asyncpg
import pytest

from devbox.database import ensure_database, ensure_logins, migrate_rooms
from devbox.ports import free_port
from devbox.programs import start_program, stop_program, unprivileged_identity, wait_for_end
from devbox.roles import ROLES, Database
from devbox.servers import PostgresServer, embedded_postgres
from devbox.servers.postgresql import (
    FORGETFUL,
    OWNER,
    SETTINGS,
    make_url,
    postgres_command,
    postgres_program,
)

DATABASE = "purser"
START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Pair:
    """A primary, and a replica that follows it."""

    primary: PostgresServer
    replica_folder: Path
    replica_port: int
    database: Database

    def replica_url(self, role: str) -> str:
        """Where a role finds the replica."""
        return make_url(role, self.database.passwords[role], self.replica_port, DATABASE)

    async def on_replica(self, statement: str) -> object:
        """Ask the replica as its owner."""
        url = make_url(OWNER, self.primary.owner_password, self.replica_port, DATABASE)
        connection = await asyncpg.connect(url, timeout=2)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()


@contextlib.asynccontextmanager
async def streaming_pair(folder: Path) -> AsyncIterator[Pair]:
    """A primary with every schema and role, and a copy of it that `serving` starts."""
    passwords = {role: secrets.token_hex(16) for role in ROLES}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SETTINGS, "wal_level", "replica")
        patch.setitem(SETTINGS, "max_wal_senders", "4")
        async with embedded_postgres(
            folder / "primary", owner_password=secrets.token_hex(16), durable=False
        ) as primary:
            await ensure_database(primary.owner_url(), DATABASE)
            await migrate_rooms(primary.owner_url(DATABASE))
            await ensure_logins(primary.owner_url(DATABASE), passwords)
            # Beside the primary's cluster, where the server's own user may write.
            copy = folder / "primary" / "replica"
            await _copy(primary, copy)
            database = Database(primary.owner_url(DATABASE), passwords)
            yield Pair(primary, copy, free_port(), database)


@contextlib.asynccontextmanager
async def serving(pair: Pair) -> AsyncIterator[Popen[bytes]]:
    """The replica serves inside the block."""
    settings = SETTINGS | FORGETFUL | {"port": str(pair.replica_port)}
    process = start_program(
        postgres_command(pair.replica_folder, settings),
        folder=pair.replica_folder.parent,
        log=pair.replica_folder.parent / "replica.log",
        death_signal=signal.SIGINT,
        identity=unprivileged_identity(),
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            while True:
                with contextlib.suppress(OSError, asyncpg.PostgresError):
                    assert await pair.on_replica("SELECT pg_is_in_recovery()")
                    break
                await asyncio.sleep(0.05)
        yield process
    finally:
        for pid in [*children_of(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        await stop_program(process, (signal.SIGINT, 10.0), (signal.SIGQUIT, 3.0))


def children_of(postmaster: int) -> list[int]:
    """The processes of a server; PostgreSQL makes each of them a group of its own."""
    tasks = Path(f"/proc/{postmaster}/task")
    return [int(pid) for task in tasks.glob("*/children") for pid in task.read_text().split()]


async def _copy(primary: PostgresServer, folder: Path) -> None:
    command: list[str | Path] = [
        postgres_program("pg_basebackup"),
        f"--pgdata={folder}",
        "--host=127.0.0.1",
        f"--port={primary.port}",
        f"--username={OWNER}",
        "--write-recovery-conf",
        "--checkpoint=fast",
        "--no-sync",
    ]
    log = folder.with_suffix(".copy.log")
    process = start_program(
        command,
        folder=folder.parent,
        log=log,
        identity=unprivileged_identity(),
        environ=os.environ | {"PGPASSWORD": primary.owner_password, "PGSSLMODE": "disable"},
    )
    assert await wait_for_end(process, START_SECONDS)
    assert process.returncode == 0, log.read_text()
