"""Reads that may be old come from a real streaming replica while it is young enough, never else."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable
from uuid import UUID

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY
from tests.awake import awake_clock
from tests.integration.ledger.operations import USDT, balances, new_user
from tests.integration.ledger.replica import (
    DATABASE,
    START_SECONDS,
    Pair,
    children_of,
    serving,
    streaming_pair,
)
from tests.integration.ledger.test_reads import trade
from tests.integration.stores import make_claims

from chassis.errors import CannotStart
from chassis.grpc_client import open_channel
from chassis.grpc_server import ServerSettings
from chassis.postgres import PostgresSettings
from chassis.settings import Secret
from chassis.telemetry import TelemetrySettings
from kernel.sharding import Claim
from ledger.main import running
from ledger.settings import ReplicaSettings, Settings
from purser.ledger.v1.ledger_pb2 import GetPerformanceRequest, ListTradesRequest
from purser.ledger.v1.ledger_pb2_grpc import LedgerServiceStub

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

AGE_SECONDS_MAX = 2.0
TIMEOUT_SECONDS = 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """A primary with a copy of itself."""
    async with streaming_pair(tmp_path_factory.mktemp("pair")) as pair:
        yield pair


@contextlib.asynccontextmanager
async def ledger_with_replica(
    pair: Pair, replica_url: str | None = None
) -> AsyncIterator[LedgerServiceStub]:
    """A ledger that was told of the replica."""
    settings = Settings(
        postgres=PostgresSettings(database_url=Secret(pair.database.url("purser_ledger"))),
        server=ServerSettings(drain_timeout_seconds=1),
        telemetry=TelemetrySettings(),
        replica=ReplicaSettings(
            replica_database_url=Secret(replica_url or pair.replica_url("purser_ledger")),
            replica_age_seconds_max=AGE_SECONDS_MAX,
        ),
    )
    async with running(settings) as server, open_channel(server.address) as channel:
        yield LedgerServiceStub(channel)


@pytest_asyncio.fixture(loop_scope="module")
async def claim(pair: Pair) -> Claim:
    """A claim of a shard."""
    return await make_claims(pair.database)(0)


def count(outcome: str) -> float:
    """How many reads ended so."""
    name = "purser_ledger_replica_reads_total"
    return REGISTRY.get_sample_value(name, {"outcome": outcome}) or 0.0


async def trades(ledger: LedgerServiceStub, user: UUID, *, may_be_old: bool) -> int:
    """How many trades a user has, as listed."""
    request = ListTradesRequest(user_id=str(user), page_size=100, may_be_old=may_be_old)
    return len((await ledger.ListTrades(request, timeout=TIMEOUT_SECONDS)).trades)


async def traded(ledger: LedgerServiceStub, user: UUID, *, may_be_old: bool) -> int:
    """How many trades a user has, as measured."""
    request = GetPerformanceRequest(
        user_id=str(user), currency_asset_id=USDT, may_be_old=may_be_old
    )
    answer = await ledger.GetPerformance(request, timeout=TIMEOUT_SECONDS)
    return int(answer.trades)


async def done(writing: Awaitable[UUID]) -> UUID | None:
    """What was written; None where the machine stood still longer than a transaction may last."""
    try:
        return await writing
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return None


def buying(ledger: LedgerServiceStub, claim: Claim, user: UUID) -> Awaitable[UUID]:
    """A trade."""
    return trade(ledger, claim, user, "buy", "10", "0.1", "0")


async def new_trader(ledger: LedgerServiceStub, claim: Claim) -> UUID:
    """A user with one trade."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            user = await done(new_user(ledger, claim))
            if user and await done(buying(ledger, claim, user)):
                return user


async def until_replica_answers(ledger: LedgerServiceStub, user: UUID) -> None:
    """Until the ledger reads from the replica, which it may have left alone for a while, and the
    replica has all of a user's trades."""
    wanted = await trades(ledger, user, may_be_old=False)
    async with asyncio.timeout(START_SECONDS):
        while True:
            before = count("answered")
            found = await trades(ledger, user, may_be_old=True)
            if found == wanted and count("answered") > before:
                return
            await asyncio.sleep(0.1)


def freeze(postmaster: int) -> None:
    """Stop a server with all its processes, each of which is a group of its own."""
    for pid in [postmaster, *children_of(postmaster)]:
        os.kill(pid, signal.SIGSTOP)


@contextlib.asynccontextmanager
async def replay_paused(pair: Pair) -> AsyncIterator[None]:
    """What is committed inside the block the replica shows afterwards only."""
    await pair.on_replica("SELECT pg_wal_replay_pause()")
    try:
        yield
    finally:
        await pair.on_replica("SELECT pg_wal_replay_resume()")


async def a_new_trade_is_not_seen(
    pair: Pair, ledger: LedgerServiceStub, claim: Claim, user: UUID
) -> bool:
    """Trade once more while replay is paused: two reads that may be old do not see it.

    False when so much time passed that they may have been too old.
    """
    began = time.monotonic()
    age_seconds = await pair.on_replica(
        "SELECT extract(epoch FROM clock_timestamp() - marked_at)::float8 FROM ledger.freshness"
    )
    assert isinstance(age_seconds, float)
    if not await done(buying(ledger, claim, user)):
        return False
    answered = count("answered")
    seen = [
        await trades(ledger, user, may_be_old=True),
        await traded(ledger, user, may_be_old=True),
    ]
    # A mark is a second old at most, and looks older by the time that marking took.
    if age_seconds + time.monotonic() - began >= AGE_SECONDS_MAX - 0.5:
        return False
    assert seen == [1, 1]
    assert count("answered") == answered + 2
    return True


async def test_a_read_is_as_old_as_it_may_be_and_no_older(pair: Pair, claim: Claim) -> None:
    """Replay stands still: what came since is not seen by reads that may be old, for two seconds;
    by all others, and by everybody afterwards, it is."""
    async with serving(pair), ledger_with_replica(pair) as ledger:
        is_proven = False
        while not is_proven:  # again when the machine stood still
            user = await new_trader(ledger, claim)
            await until_replica_answers(ledger, user)
            assert [1, 1] == [
                await trades(ledger, user, may_be_old=True),
                await traded(ledger, user, may_be_old=True),
            ]

            async with replay_paused(pair):
                if not await a_new_trade_is_not_seen(pair, ledger, claim, user):
                    continue
                answered = count("answered")
                assert await trades(ledger, user, may_be_old=False) == 2
                assert await traded(ledger, user, may_be_old=False) == 2
                assert (await balances(ledger, user))["BTC"][0] == "0.2"

                await asyncio.sleep(AGE_SECONDS_MAX)
                assert await trades(ledger, user, may_be_old=True) == 2
                assert await traded(ledger, user, may_be_old=True) == 2
                assert count("answered") == answered
                assert count("too_old") >= 1
                is_proven = True
        await until_replica_answers(ledger, user)
        assert await trades(ledger, user, may_be_old=True) == 2


async def test_a_replica_that_is_away_frozen_or_late_costs_one_wait(
    pair: Pair, claim: Claim
) -> None:
    """The ledger starts without it, uses it when it comes, and goes on when it hangs and dies."""
    async with ledger_with_replica(pair) as ledger:
        user = await new_trader(ledger, claim)
        assert await trades(ledger, user, may_be_old=True) == 1
        assert count("away") >= 1

        async with serving(pair) as process:
            await until_replica_answers(ledger, user)
            freeze(process.pid)
            with awake_clock() as clock:
                assert await trades(ledger, user, may_be_old=True) == 1
                assert clock() < 5
            with awake_clock() as clock:
                for _ in range(20):
                    assert await traded(ledger, user, may_be_old=True) == 1
                assert clock() < 3
        assert await trades(ledger, user, may_be_old=True) == 1


@pytest.mark.parametrize("url", ["nonsense", "postgresql://u:hidden@h:x/db", "redis://h:6379"])
async def test_what_can_be_no_address_is_refused_at_the_start(pair: Pair, url: str) -> None:
    """In one sentence that does not show it."""
    with pytest.raises(CannotStart, match="LEDGER_REPLICA_DATABASE_URL must") as refused:
        async with ledger_with_replica(pair, url):
            pass
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("wrong", ["password", "database"])
async def test_an_address_that_leads_nowhere_leaves_the_primary(
    pair: Pair, claim: Claim, wrong: str
) -> None:
    """Whatever is wrong with it: the books can be read."""
    right = pair.database.url("purser_ledger")
    url = {
        "password": right.replace(pair.database.passwords["purser_ledger"], "guessed"),
        "database": right.replace(f"/{DATABASE}?", "/postgres?"),
    }[wrong]
    before = count("away")
    async with ledger_with_replica(pair, url) as ledger:
        user = await new_trader(ledger, claim)
        assert await trades(ledger, user, may_be_old=True) == 1
    assert count("away") == before + 1
