"""The pool, transactions, the fence and migrations against a real PostgreSQL."""

# ruff: noqa: D103 (a test's name is its claim)

import asyncio
import gc
import os
import signal
import time
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from tests.integration.chassis.conftest import owner_settings

from chassis.errors import CannotStart, StaleClaim, TryAgain
from chassis.postgres import (
    TRANSACTION_TRIES_MAX,
    Connection,
    Pool,
    PostgresSettings,
    fence,
    fence_batch,
    open_pool,
    retry_transaction,
    transaction,
)
from chassis.settings import Secret
from devbox.database import Database
from kernel.sharding import Claim

RENEWED = "role_of_this_test_alone"
"""Roles are the server's, and other tests use theirs."""


async def _count(pool: Pool) -> int:
    async with transaction(pool) as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM public.notes")
    return count


async def test_a_block_that_fails_writes_nothing(pool: Pool) -> None:
    async def write_and_fail() -> None:
        async with transaction(pool) as connection:
            await connection.execute("INSERT INTO public.notes VALUES (1, 'one')")
            raise KeyError

    with pytest.raises(KeyError):
        await write_and_fail()
    assert await _count(pool) == 0


async def test_each_transaction_is_read_committed_whatever_the_session_says(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await connection.execute("SET default_transaction_isolation = 'serializable'")
    async with transaction(pool) as connection:
        level = await connection.fetchval("SELECT current_setting('transaction_isolation')")
    assert level == "read committed"


async def test_nothing_is_left_in_the_session_for_a_pooler_to_mix_up(
    pool: Pool, database: Database
) -> None:
    async with transaction(pool) as connection:
        await connection.fetchval("SELECT $1::integer", 1)
        named = await connection.fetchval("SELECT count(*) FROM pg_prepared_statements")
        session = await connection.fetchval("SELECT pg_backend_pid()")
    assert named == 0
    onlooker = await asyncpg.connect(database.owner_url)
    last = await onlooker.fetchval("SELECT query FROM pg_stat_activity WHERE pid = $1", session)
    await onlooker.close()
    assert last == "COMMIT;", "nothing follows the transaction, no reset either"


async def test_prepared_statements_are_kept_when_the_settings_say_so(database: Database) -> None:
    pool = await open_pool(
        PostgresSettings(database_url=Secret(database.owner_url), prepared_statements=True), "test"
    )
    async with transaction(pool) as connection:
        await connection.fetchval("SELECT $1::integer", 1)
        assert await connection.fetchval("SELECT count(*) > 0 FROM pg_prepared_statements")
    await pool.close()


async def test_waiting_for_a_connection_is_bounded(database: Database) -> None:
    settings = owner_settings(database, connections_max=1, acquire_timeout_seconds=0.1)
    pool = await open_pool(settings, "test")
    async with transaction(pool):
        with pytest.raises(TryAgain):
            async with transaction(pool):
                pass
    async with transaction(pool):
        pass
    await pool.close()


async def test_a_statement_that_takes_too_long_is_cancelled(database: Database) -> None:
    pool = await open_pool(owner_settings(database, statement_timeout_seconds=0.2), "test")
    with pytest.raises(TryAgain):
        async with transaction(pool) as connection:
            await connection.execute("SELECT pg_sleep(60)")
    async with transaction(pool) as connection:
        sleeping = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' "
            "AND state = 'active'"
        )
    assert sleeping == 0
    await pool.close()


async def test_a_session_that_is_killed_says_try_again_and_the_next_one_works(pool: Pool) -> None:
    with pytest.raises(TryAgain):
        async with transaction(pool) as connection:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert await _count(pool) == 0


async def test_a_role_whose_password_was_changed_says_try_again_until_it_fits(
    database: Database,
) -> None:
    """A password is changed before the programs that use it are started anew; a job that meets the
    time between must not count that as its own failure.
    """
    owner = await open_pool(owner_settings(database), "test")
    await _execute(owner, f"CREATE ROLE {RENEWED} LOGIN PASSWORD 'old'")
    try:
        passwords = {**database.passwords, RENEWED: "old"}
        url = Database(database.owner_url, passwords).url(RENEWED)
        settings = PostgresSettings(database_url=Secret(url))
        pool = await open_pool(settings, "test", connect_at_once=False)
        await _execute(owner, f"ALTER ROLE {RENEWED} PASSWORD 'new'")
        with pytest.raises(TryAgain):
            await _execute(pool, "SELECT 1")
        await _execute(owner, f"ALTER ROLE {RENEWED} PASSWORD 'old'")
        await _execute(pool, "SELECT 1")
        await pool.close()
    finally:
        await _execute(owner, f"DROP ROLE {RENEWED}")
        await owner.close()


async def _execute(pool: Pool, statement: str) -> None:
    async with transaction(pool) as connection:
        await connection.execute(statement)


async def test_a_statement_cancelled_while_the_server_hangs_leaves_no_trace(
    database: Database,
) -> None:
    settings = owner_settings(
        database, connections_max=1, acquire_timeout_seconds=0.3, statement_timeout_seconds=1
    )
    pool = await open_pool(settings, "test")
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, what: unheard.append(what))
    session: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def sleep() -> None:
        async with transaction(pool) as connection:
            session.set_result(await connection.fetchval("SELECT pg_backend_pid()"))
            await connection.execute("SELECT pg_sleep(60)")

    async def hang() -> None:
        task = asyncio.create_task(sleep())
        os.kill(await session, signal.SIGSTOP)
        for _ in ("the statement", "the rollback", "the release"):  # the server answers none
            task.cancel()
            await asyncio.sleep(0.1)
        with pytest.raises(asyncio.CancelledError):
            await task

    try:
        await hang()
        await asyncio.sleep(0.5)  # the wait for the server's answer has ended by now
        gc.collect()
        assert not unheard
    finally:
        os.kill(session.result(), signal.SIGCONT)
    async with transaction(pool) as connection:
        assert session.result() != await connection.fetchval("SELECT pg_backend_pid()")
    await pool.close()


async def test_a_deadlock_is_tried_again_from_the_beginning(pool: Pool) -> None:
    async with transaction(pool) as connection:
        await connection.execute("INSERT INTO public.notes VALUES (1, ''), (2, '')")
    both = asyncio.Barrier(2)
    tries = 0

    async def write(first: int, second: int) -> None:
        first_time = True

        async def work(connection: Connection) -> None:
            nonlocal first_time, tries
            tries += 1
            change = "UPDATE public.notes SET text = text || 'x' WHERE id = $1"
            await connection.execute(change, first)
            if first_time:
                first_time = False
                await both.wait()
            await connection.execute(change, second)

        await retry_transaction(pool, work)

    await asyncio.gather(write(1, 2), write(2, 1))
    assert 3 <= tries  # again where the one that gave way was back before the other had its lock
    async with transaction(pool) as connection:
        texts = await connection.fetchval("SELECT array_agg(text) FROM public.notes")
    assert texts == ["xx", "xx"]


async def test_trying_again_is_bounded(pool: Pool) -> None:
    tries = 0

    async def work(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        await connection.execute("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$")

    with pytest.raises(TryAgain):
        await retry_transaction(pool, work)
    assert tries == TRANSACTION_TRIES_MAX


async def _end_it(connection: Connection) -> None:
    await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def _take_too_long(connection: Connection) -> None:
    await connection.execute("SET LOCAL transaction_timeout = '0.1s'")
    await connection.execute("SELECT pg_sleep(60)")


async def _stand_still(connection: Connection) -> None:
    """As a process does on a busy machine: it asks on, and has not heard the farewell."""
    await connection.execute("SET LOCAL transaction_timeout = '0.1s'")
    time.sleep(0.4)  # noqa: ASYNC251 (it is what this is about)
    await connection.execute("SELECT 1")


async def _hear_of_it(connection: Connection) -> None:
    """The farewell comes between two statements."""
    await connection.execute("SET LOCAL transaction_timeout = '0.1s'")
    await asyncio.sleep(0.4)
    await connection.execute("SELECT 1")


LOSSES = {
    "ended": _end_it,
    "takes too long": _take_too_long,
    "stands still": _stand_still,
    "hears of it": _hear_of_it,
}


@dataclass
class Losing:
    """Work that writes a note and loses its session, as often as the test says."""

    how: str
    losses: int
    tries: int = 0

    async def work(self, connection: Connection) -> str:
        """Write, and lose the session before the commit is asked for."""
        self.tries += 1
        await connection.execute("INSERT INTO public.notes VALUES (1, 'one')")
        if self.tries <= self.losses:
            await LOSSES[self.how](connection)
        return "written"


@pytest.mark.parametrize("how", LOSSES)
async def test_a_session_lost_before_the_commit_is_begun_anew_once(pool: Pool, how: str) -> None:
    """Nothing was written, so nobody need hear of it; lost twice, it is for the caller to wait."""
    losing = Losing(how, losses=1)
    assert "written" == await retry_transaction(pool, losing.work)
    assert (2, 1) == (losing.tries, await _count(pool))
    losing = Losing(how, losses=2)
    await _execute(pool, "DELETE FROM public.notes")
    with pytest.raises(TryAgain):
        await retry_transaction(pool, losing.work)
    assert (2, 0) == (losing.tries, await _count(pool))


async def test_a_session_lost_while_committing_is_not_begun_anew(pool: Pool) -> None:
    """Its outcome is unknown."""
    tries = 0
    await _execute(
        pool,
        "CREATE FUNCTION public.end_session() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$; "
        "CREATE CONSTRAINT TRIGGER end_session AFTER INSERT ON public.notes "
        "INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.end_session()",
    )

    async def work(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        await connection.execute("INSERT INTO public.notes VALUES (1, '')")

    with pytest.raises(TryAgain):
        await retry_transaction(pool, work)
    assert tries == 1


async def test_a_session_the_server_ended_says_with_which_sqlstate(pool: Pool) -> None:
    """Whoever reads the log sees that it was the limit of a transaction's time."""
    with pytest.raises(TryAgain, match="lost \\(25P04\\)"):
        async with transaction(pool) as connection:
            await _take_too_long(connection)


async def test_what_a_statement_says_about_data_stays_asyncpgs(pool: Pool) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        async with transaction(pool) as connection:
            await connection.execute("INSERT INTO public.notes VALUES (1, ''), (1, '')")


async def test_a_server_that_is_not_there_is_one_sentence_without_the_password() -> None:
    settings = PostgresSettings(database_url=Secret("postgresql://u:hidden@127.0.0.1:1/x"))
    with pytest.raises(CannotStart, match="room cannot connect to PostgreSQL") as caught:
        await open_pool(settings, "room")
    assert "hidden" not in str(caught.value)


async def _claim(pool: Pool) -> Claim:
    """Make a shard with one claim on it."""
    async with transaction(pool) as connection:
        await connection.execute(
            "INSERT INTO placement.shards (pool, shard, epoch) VALUES ('default.main', 0, 7)"
        )
    return Claim("default.main", 0, 7)


async def test_the_fence_lets_only_the_newest_claim_through(pool: Pool) -> None:
    claim = await _claim(pool)
    async with transaction(pool) as connection:
        await fence(connection, claim)
    for stale in (Claim("default.main", 0, 6), Claim("default.main", 1, 7), Claim("d.o", 0, 0)):
        with pytest.raises(StaleClaim) as caught:
            async with transaction(pool) as connection:
                await fence(connection, stale)
        assert caught.value.reason == "STALE_EPOCH"


async def test_a_batch_of_claims_is_answered_one_by_one(pool: Pool) -> None:
    claim = await _claim(pool)
    claims = [Claim("default.main", 0, 6), claim, Claim("default.main", 9, 1), claim]
    async with transaction(pool) as connection:
        assert await fence_batch(connection, claims) == [False, True, False, True]
        assert await fence_batch(connection, []) == []


async def test_an_epoch_a_write_was_fenced_with_stays_the_newest_until_it_ends(pool: Pool) -> None:
    claim = await _claim(pool)
    raised = asyncio.Event()

    async def raise_epoch() -> None:
        async with transaction(pool) as connection:
            await connection.execute(
                "SELECT pg_advisory_xact_lock(placement.lock_key('default.main', 0))"
            )
            await connection.execute("UPDATE placement.shards SET epoch = epoch + 1")
        raised.set()

    async with transaction(pool) as connection:
        await fence(connection, claim)
        raising = asyncio.create_task(raise_epoch())
        await asyncio.sleep(0.1)
        assert not raised.is_set()
    await raising
    with pytest.raises(StaleClaim):
        async with transaction(pool) as connection:
            await fence(connection, claim)
