"""A room that waits at its start says what for, once: what it says with each look would bury that
line, and everything that was logged before it.
"""

import asyncio
import base64
import json
import os
import secrets
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.conftest import Cluster

from chassis.process import LOOK_AGAIN_SECONDS
from devbox.database import ensure_database
from devbox.roles import Database

ROOMS = {
    "gateway": "purser_gateway",
    "pricing": "purser_pricing",
    "wallet": "purser_wallet",
    "ledger": "purser_ledger",
    "user_worker": "purser_worker",
}
NOBODY = "127.0.0.1:9"
LOOKS = 6


@pytest.fixture
async def empty_database(postgres_cluster: Cluster) -> AsyncIterator[Database]:
    """A database in which no migration ran; the roles are the server's and can log in."""
    name, server = f"test_{secrets.token_hex(6)}", postgres_cluster.server
    await ensure_database(server.owner_url(), name)
    yield Database(server.owner_url(name), postgres_cluster.passwords)
    owner = await asyncpg.connect(server.owner_url())
    await owner.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await owner.close()


async def test_a_room_without_its_database_says_so_once(database: Database, tmp_path: Path) -> None:
    """Whichever it is: the server, its name, the role."""
    said = await _each_while_waiting(database, tmp_path, DATABASE_URL=f"postgresql://{NOBODY}/none")
    assert all("cannot connect to PostgreSQL" in why for why in said.values()), said


async def test_a_room_without_its_schema_says_so_once_and_what_makes_it(
    empty_database: Database, tmp_path: Path
) -> None:
    """The command that it names is one."""
    said = await _each_while_waiting(empty_database, tmp_path)
    assert all(f"`python -m {room} migrate` first" in why for room, why in said.items()), said


async def test_a_room_without_its_certificate_says_so_once_and_begins_nothing(
    database: Database, tmp_path: Path
) -> None:
    """A gateway that began would ask Telegram who it is, with each look."""
    absent = str(tmp_path / "not-there-yet")
    files = {f"TLS_{name}_FILE": absent for name in ("CERTIFICATE", "KEY", "CA")}
    said = await _each_while_waiting(database, tmp_path, **files)
    assert all("TLS cannot be used" in why for why in said.values()), said


async def test_pricing_waits_for_the_database_of_its_venue_too(
    database: Database, tmp_path: Path
) -> None:
    """It has two addresses, and the second is another role's."""
    nowhere = f"postgresql://{NOBODY}/none"
    why = await _said_while_waiting("pricing", database, tmp_path, VENUE_DATABASE_URL=nowhere)
    assert "purser-venue cannot connect to PostgreSQL" in why


async def _each_while_waiting(database: Database, folder: Path, **settings: str) -> dict[str, str]:
    said = [_said_while_waiting(room, database, folder, **settings) for room in ROOMS]
    return dict(zip(ROOMS, await asyncio.gather(*said), strict=True))


async def _said_while_waiting(
    package: str, database: Database, folder: Path, **settings: str
) -> str:
    """Start a room, let it look a few times, end it; gives what it waits for."""
    environ = _environ(package, database, folder)
    environ |= {f"{package.upper()}_{name}": value for name, value in settings.items()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", package),
        env=environ,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    lines: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(60):
            while not lines or lines[-1]["event"] != "waiting":
                lines.append(json.loads(await process.stderr.readline()))
        await asyncio.sleep(LOOKS * LOOK_AGAIN_SECONDS)
        process.send_signal(signal.SIGTERM)
        rest, _ = await asyncio.wait_for(process.stderr.read(), 60), await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines += map(json.loads, rest.splitlines())
    assert {"metrics_served": 1, "waiting": 1} == Counter(line["event"] for line in lines)
    assert process.returncode == 0
    return str(lines[-1]["why"])


def _environ(package: str, database: Database, folder: Path) -> dict[str, str]:
    """What a room needs to serve."""
    key = folder / f"{package}-key"
    key.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    key.chmod(0o600)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        metrics_port = free.getsockname()[1]
    others = ("GATEWAY", "PRICING", "VENUE", "WALLET", "LEDGER")
    return {
        "PATH": os.environ["PATH"],
        f"{package.upper()}_DATABASE_URL": database.url(ROOMS[package]),
        "PRICING_VENUE_DATABASE_URL": database.url("purser_venue"),
        "PURSER_REDIS_URL": f"redis://{NOBODY}/0",
        "PURSER_METRICS_ADDRESS": f"127.0.0.1:{metrics_port}",
        "PURSER_START_TIMEOUT_SECONDS": "100",
        "GATEWAY_BOT_TOKEN": f"1:{'a' * 35}",
        "GATEWAY_TELEGRAM_API_URL": f"http://{NOBODY}",
        "WALLET_KEY_ENCRYPTION_KEY_FILE": str(key),
        "USER_WORKER_NAME": "worker-0",
        "USER_WORKER_POOL": "default.main",
    } | {f"PURSER_{other}_ADDRESS": NOBODY for other in others}
