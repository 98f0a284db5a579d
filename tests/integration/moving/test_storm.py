"""Movers, gateways, owners and an operator at the same time: nobody waits in a circle, every count
is right, and every job is where its user is.
"""

import asyncio
import contextlib
import random
from typing import Any
from uuid import uuid4

from tests.integration.moving.household import (
    AWAY,
    BOT,
    FAST,
    HOME,
    MAIN,
    OTHER,
    settle,
)

from chassis.errors import LimitReached, StaleClaim, TryAgain
from chassis.postgres import Pool, PostgresSettings, fence, open_pool, transaction
from chassis.settings import Secret
from devbox.database import Database
from gateway.admission_rules import parse_rules
from gateway.domain import Incoming, ShardRoom
from gateway.errors import MoveOvertaken
from gateway.postgres import AdmissionLimits, BacklogLimits, Directory, Inbox, Moves, Places
from kernel.sharding import Claim, ShardKey
from purser.gateway.v1 import job_pb2

Sql = Any
KNOWN = 12
STORM_SECONDS = 8.0
SHARDS = (HOME, AWAY, OTHER)
"""Of two pools, two of them in one."""


async def test_a_storm_of_moves_and_everything_else(sql: Sql, database: Database) -> None:
    """No deadlock is met, and at the end the directory agrees with itself and with the inbox."""
    # Whoever waits in a circle is found before a limit of waiting ends it.
    name = await sql.fetchval("SELECT current_database()")
    await sql.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '10ms'")
    for number in range(KNOWN):
        await settle(sql, number + 1, SHARDS[number % 2])
    gateway = await _role(database, "purser_gateway")
    movers = [await _role(database, "purser_user_mover") for _ in range(2)]
    ledger = await _role(database, "purser_ledger")
    moved, accepted = [0], [0]
    async with asyncio.TaskGroup() as group:
        for seed, mover in enumerate(movers):
            group.create_task(_for_a_while(_move_somebody(sql, mover, seed, moved)))
        for seed in range(2):
            group.create_task(_for_a_while(_accept_some(gateway, seed, accepted)))
        for key in SHARDS:
            group.create_task(_for_a_while(_own(sql, ledger, key)))
        group.create_task(_for_a_while(_assign(sql)))
    for pool in (gateway, ledger, *movers):
        await pool.close()
    assert moved[0] > 20
    assert accepted[0] > 100
    assert 0 == await sql.fetchval(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    wrong = await sql.fetch(
        "SELECT s.pool, s.shard, s.users FROM gateway.shards s JOIN placement.shards p"
        " USING (pool, shard) WHERE s.users <> (SELECT count(*) FROM gateway.users u"
        " WHERE (u.pool, u.shard) = (s.pool, s.shard)) OR s.users <> p.users"
    )
    assert wrong == []
    rows = await sql.fetch(
        "SELECT i.job_id FROM gateway.inbox i JOIN gateway.users u USING (user_id)"
        " WHERE i.done_at IS NULL AND (u.pool, u.shard) <> (i.pool, i.shard)"
    )
    assert rows == []


async def _for_a_while(step: Any) -> None:
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + STORM_SECONDS
    async for _ in step:
        if loop.time() > ends_at:
            return


async def _move_somebody(sql: Sql, mover: Pool, seed: int, moved: list[int]) -> Any:
    chance, moves = random.Random(seed), Moves(mover)
    while True:
        source, target = chance.sample(SHARDS, 2)
        rows = await sql.fetch(
            "SELECT user_id FROM gateway.users WHERE pool = $1 AND shard = $2 ORDER BY random()"
            " LIMIT 3",
            *(source.pool, source.shard),
        )
        # What comes of not getting a lock in time, or of users who are gone, is no failure.
        with contextlib.suppress(TryAgain, MoveOvertaken):
            if rows:
                users = [row["user_id"] for row in rows]
                await moves.move(users, source, ShardRoom(target, 50, 50))
                moved[0] += 1
        yield


async def _accept_some(gateway: Pool, seed: int, accepted: list[int]) -> Any:
    chance = random.Random(seed)
    directory = Directory(
        gateway, MAIN, AdmissionLimits(10_000, 10_000, 50), parse_rules([f"{FAST}:premium"])
    )
    inbox = Inbox(gateway, BOT, Places(BOT, directory, BacklogLimits(1000, 5, 100_000, 60.0)))
    update_id = seed * 1_000_000
    while True:
        batch = []
        for _ in range(chance.randint(1, 6)):
            update_id += 1
            # Now and then a stranger, who is admitted to one of the pools.
            user = chance.randint(1, KNOWN) if chance.random() < 0.9 else 1_000 + update_id
            draft = job_pb2.Job(text=job_pb2.TextInput(text="x"))
            batch.append(Incoming(update_id, user, draft, is_premium=chance.random() < 0.5))
        with contextlib.suppress(TryAgain, LimitReached):
            accepted[0] += len(await inbox.accept(batch))
        yield


async def _own(sql: Sql, ledger: Pool, key: ShardKey) -> Any:
    """Claim again and again, and write under the claim in between."""
    worker, run = f"worker-{key.shard}", uuid4()
    await sql.execute("SELECT placement.register_worker($1, $2, $3, 60)", key.pool, worker, run)
    while True:
        epoch = await sql.fetchval(
            "SELECT placement.claim_shard($1, $2, $3, $4, 0)", key.pool, key.shard, worker, run
        )
        for _ in range(5 if epoch else 0):
            with contextlib.suppress(StaleClaim, TryAgain):
                async with transaction(ledger) as connection:
                    await fence(connection, Claim(key.pool, key.shard, epoch))
                    await asyncio.sleep(0.002)
        yield


async def _assign(sql: Sql) -> Any:
    """Wish for shards as an operator does, and make new ones as a gateway does."""
    while True:
        for key in SHARDS:
            await sql.execute(
                "UPDATE placement.shards SET desired_owner = $3 WHERE pool = $1 AND shard = $2",
                *(key.pool, key.shard, f"worker-{key.shard}"),
            )
        await asyncio.sleep(0.05)
        yield


async def _role(database: Database, role: str) -> Pool:
    settings = PostgresSettings(database_url=Secret(database.url(role)), connections_max=4)
    return await open_pool(settings, "storm")
