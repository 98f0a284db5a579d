"""What the tests of the fenced stores share: claims to act under, a look at the rows, the room as a
process.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg

from chassis.postgres import Pool, PostgresSettings, open_pool
from chassis.settings import Secret
from devbox.database import Database
from kernel.sharding import Claim

POOL = "default.main"
ClaimShard = Callable[[int], Awaitable[Claim]]


def make_claims(database: Database) -> ClaimShard:
    """Claim shards as a worker would, through placement's own functions; each claim is newer."""

    async def claim(shard: int) -> Claim:
        run = (POOL, f"worker-{uuid4()}", uuid4())
        connection = await asyncpg.connect(database.owner_url)
        try:
            await connection.execute("SELECT placement.ensure_shard($1, $2)", POOL, shard)
            await connection.execute("UPDATE placement.shards SET desired_owner = $1", run[1])
            await connection.execute("SELECT placement.register_worker($1, $2, $3, 60)", *run)
            epoch = await connection.fetchval(
                "SELECT placement.claim_shard($1, $4, $2, $3, 3)", *run, shard
            )
            # Gone without a word: its shard is free for the next claim, its epoch the newest.
            await connection.execute("SELECT placement.deregister_worker($1, $2, $3)", *run)
        finally:
            await connection.close()
        return Claim(POOL, shard, epoch)

    return claim


@asynccontextmanager
async def pool_of(
    database: Database, role: str, *, connections_max: int = 10
) -> AsyncIterator[Pool]:
    """A store's connections. How long the machine stands still in a transaction must decide
    nothing: whoever would ask again is not there."""
    owner = await asyncpg.connect(database.owner_url)
    try:
        statement = await owner.fetchval(
            "SELECT format('ALTER ROLE %I IN DATABASE %I SET transaction_timeout = 20000',"
            " $1::text, current_database())",
            role,
        )
        await owner.execute(statement)
    finally:
        await owner.close()
    settings = PostgresSettings(
        database_url=Secret(database.url(role)), connections_max=connections_max
    )
    pool = await open_pool(settings, "test")
    try:
        yield pool
    finally:
        await pool.close()


async def rows(database: Database, statement: str) -> list[tuple[object, ...]]:
    """What the database's owner sees."""
    connection = await asyncpg.connect(database.owner_url)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def run_program(package: str, *arguments: str, **environ: str) -> tuple[int | None, str]:
    """Run `python -m <package>` to its end; give its exit status and what it wrote."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", package, *arguments,
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await program.communicate()
    return program.returncode, output.decode()


async def first_line_until_sigterm(package: str, **environ: str) -> tuple[bytes, int | None]:
    """Start `python -m <package>`, end it with SIGTERM at its first line; that line, its status."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", package,
        env={**os.environ, **environ},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert program.stderr is not None
    try:
        async with asyncio.timeout(30):
            line = await program.stderr.readline()
    finally:
        program.terminate()
        await program.communicate()
    return line, program.returncode
