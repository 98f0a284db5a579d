"""What the devbox and those who listen do behind a real transaction pooler.

Each role has several sessions and the pooler takes them in turn: whatever leaves something in one
session and looks for it in the next fails at once.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path

import asyncpg
import pytest
import structlog.testing
from tests.conftest import Cluster
from tests.load.pooler import pooler

from chassis.settings import Secret
from devbox.database import Database, ensure_logins, ensure_shard, migrate_rooms
from devbox.given_servers import require_database
from devbox.readiness import Placement
from devbox.servers.postgresql import OWNER
from shard_operator.postgres import listen_placement
from user_worker.domain.pauses import Pauses
from user_worker.postgres import listen

pytestmark = pytest.mark.long

SESSIONS = 3
TIMES = 4
POOL, SHARD = "default.main", 7
LISTEN_SECONDS = 1.0


@pytest.fixture
async def pooled(
    database: Database, postgres_cluster: Cluster, tmp_path: Path
) -> AsyncIterator[Database]:
    """The test's database through a pooler, each role with several sessions open."""
    server = postgres_cluster.server
    name = database.owner_url.rpartition("/")[2].partition("?")[0]
    async with pooler(
        tmp_path / "pooler",
        database=name,
        server_port=server.port,
        passwords={**database.passwords, OWNER: server.owner_password},
        in_turn=True,
    ) as pooling:
        url = database.owner_url.replace(f":{server.port}/", f":{pooling.port}/")
        behind = Database(url, database.passwords)
        for address in (url, behind.url("purser_worker"), behind.url("purser_operator")):
            await _open_sessions(address)
        yield behind


async def test_the_devbox_keeps_nothing_in_a_session(pooled: Database) -> None:
    """Looking, migrating, letting the roles in and asking placement: again and again."""
    placement = Placement(pooled.owner_url)
    try:
        for _ in range(TIMES):
            await require_database(Secret(pooled.owner_url))
            await migrate_rooms(pooled.owner_url)
            await ensure_logins(pooled.owner_url, pooled.passwords)
            await ensure_shard(pooled.owner_url, POOL, SHARD)
            assert await placement.has_worker(POOL, "nobody", 1.0) is False
            assert await placement.owns_shard(POOL, SHARD) is False
            assert await _answers(placement)
    finally:
        placement.close()


async def test_who_listens_through_a_pooler_hears_nothing_and_is_content(pooled: Database) -> None:
    """No error, no warning each second: the poll is the net."""
    woken = asyncio.Event()
    with structlog.testing.capture_logs() as logs:
        for _ in range(TIMES):
            await _for_a_while(
                listen(Secret(pooled.url("purser_worker")), POOL, woken.set, Pauses(0.1, 0.1))
            )
            await _for_a_while(listen_placement(Secret(pooled.url("purser_operator")), woken))
    assert logs == []
    assert woken.is_set(), "it did not even begin to listen"


async def _answers(placement: Placement) -> bool:
    """Whether the question itself was answered: an error would have said no as well."""
    return bool(await placement._says("SELECT $1::boolean", True))


async def _open_sessions(address: str) -> None:
    connections = [await asyncpg.connect(address, statement_cache_size=0) for _ in range(SESSIONS)]
    async with contextlib.AsyncExitStack() as stack:
        for connection in connections:  # at once, so that they cannot share one
            await stack.enter_async_context(connection.transaction())
            await connection.execute("SELECT 1")
    for connection in connections:
        await connection.close()


async def _for_a_while(listening: Coroutine[object, object, None]) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(listening, LISTEN_SECONDS)
