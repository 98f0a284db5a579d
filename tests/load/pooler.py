"""A real transaction pooler, as managed databases have one in front: Debian's PgBouncer.

Its budget of server connections is for all roles together, as a free tier's is. It is started as
itself, not by a service manager, on a free port of loopback, and knows the passwords from a file
that only we may read. Versions before 1.21 know no prepared statements: so nobody may use them.
"""

import asyncio
import contextlib
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from tests.fakes.authority import Pair

from devbox.ports import free_port
from devbox.programs import start_program, stop_program, unprivileged_identity

SERVER_CONNECTIONS_MAX = 20
"""Of all roles together; free tiers give some 15 to 60."""
CLIENT_CONNECTIONS_MAX = 100
START_SECONDS_MAX = 10.0
STOP_SECONDS_MAX = 5.0
RETRY_SECONDS = 0.02
MISSING = "PgBouncer is not installed: `apt-get install pgbouncer` (the service may stay stopped)."

CONFIGURATION = """\
[databases]
{database} = host=127.0.0.1 port={server_port} dbname={database}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {passwords}
pool_mode = transaction
default_pool_size = {servers}
max_db_connections = {servers}
max_client_conn = {clients}
server_round_robin = {in_turn:d}
server_login_retry = 1
log_connections = 1
log_disconnections = 0
"""

KEY, CERTIFICATE = "server.key", "server.crt"
TLS = """\
client_tls_sslmode = require
client_tls_key_file = {key}
client_tls_cert_file = {certificate}
"""


class Pooler:
    """One PgBouncer in front of one database. Made by `pooler`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it takes connections."""
        self._process = start_program(
            [require_pgbouncer(), self._folder / "pgbouncer.ini"],
            folder=self._folder,
            log=self._folder / "pgbouncer.log",
            death_signal=signal.SIGKILL,
            identity=unprivileged_identity(),
        )
        async with asyncio.timeout(START_SECONDS_MAX):
            while not await self._accepts():
                assert self._process.poll() is None, self.log()
                await asyncio.sleep(RETRY_SECONDS)

    async def kill(self) -> None:
        """End it as the kernel's memory killer would: every connection through it is cut."""
        assert self._process is not None
        await stop_program(self._process, (signal.SIGKILL, STOP_SECONDS_MAX))

    async def stop(self) -> None:
        """Stop it, if it runs."""
        if self._process is not None:
            await stop_program(self._process, (signal.SIGTERM, STOP_SECONDS_MAX))

    def log(self) -> str:
        """Give what it has printed."""
        return (self._folder / "pgbouncer.log").read_text(errors="replace")

    async def _accepts(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True


def require_pgbouncer() -> str:
    """Find the program; skip the test that needs it when there is none."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip(MISSING)
    return program


@contextlib.asynccontextmanager
async def pooler(
    folder: Path,
    *,
    database: str,
    server_port: int,
    passwords: Mapping[str, str],
    in_turn: bool = False,
    servers: int = SERVER_CONNECTIONS_MAX,
    clients: int = CLIENT_CONNECTIONS_MAX,
    certificate: Pair | None = None,
) -> AsyncIterator[Pooler]:
    """Pool the connections of these roles to a database of the server on loopback: at most
    `servers` of them, for `clients` at most, who must speak TLS where there is a certificate.

    `in_turn` gives each transaction another of its role's sessions than the one before, where there
    are several: what wants to find its session again is found out.
    """
    require_pgbouncer()
    port = free_port()
    pooling = Pooler(folder, port)
    configuration = CONFIGURATION.format(
        database=database,
        server_port=server_port,
        port=port,
        passwords=folder / "users.txt",
        servers=servers,
        clients=clients,
        in_turn=in_turn,
    )
    files = {} if certificate is None else _tls_files(folder, certificate)
    if files:
        configuration += TLS.format(key=folder / KEY, certificate=folder / CERTIFICATE)
    _configure(folder, configuration, passwords, files)
    try:
        await pooling.start()
        yield pooling
    finally:
        await pooling.stop()


def _tls_files(folder: Path, certificate: Pair) -> dict[Path, str]:
    return {
        folder / KEY: certificate.key.decode(),
        folder / CERTIFICATE: certificate.certificate.decode(),
    }


def _configure(
    folder: Path, configuration: str, passwords: Mapping[str, str], more: Mapping[Path, str]
) -> None:
    folder.mkdir()
    users = "".join(f'"{role}" "{word}"\n' for role, word in passwords.items())
    files = {folder / "users.txt": users, folder / "pgbouncer.ini": configuration, **more}
    for path, text in files.items():
        _write_private(path, text)
    _hand_over([folder, *files])


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _hand_over(paths: list[Path]) -> None:
    """Let the system user read what is PgBouncer's, where it will not be us."""
    kind, _, name = unprivileged_identity().partition(":")
    if kind == "user":
        for path in paths:
            shutil.chown(path, name)
