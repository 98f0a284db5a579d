"""The statements of `after-restore`, as the owner of the schema: no role of Purser may do this."""

from dataclasses import dataclass

import asyncpg

from chassis.errors import CannotStart, NotYet
from chassis.postgres import describe
from chassis.settings import Secret

EPOCH_STEP = 1_000_000
"""Above any number of claims of one shard between a dump and its restoring: each claim raises the
epoch by one, and a claim a second would take eleven days to get there. An epoch has 63 bits."""
CONNECT_TIMEOUT_SECONDS = 10.0
STATEMENT_TIMEOUT_SECONDS = 60.0

# Until the end of the transaction nobody can register or claim. A write that has passed the fence
# by then may still commit: it was in time, and the next claim waits for it.
_LOCK = "LOCK TABLE placement.workers, placement.shards IN SHARE ROW EXCLUSIVE MODE"
_ALIVE = "SELECT count(*) FROM placement.workers WHERE lease_until > clock_timestamp()"
_FORGET_WORKERS = "DELETE FROM placement.workers"
# `revoked_in` is a transaction's number of the server that was dumped. This server counts anew and
# will give the same number out once more: a move of users in that transaction would be taken for
# one that has raised the epochs already.
_FENCE_OFF = """
UPDATE placement.shards
SET epoch = epoch + $1, owner = NULL, owner_incarnation = NULL, revoked_in = NULL,
    ownerless_since = clock_timestamp()
"""
_FENCED = """
SELECT current_database() AS database, count(*) AS shards, coalesce(max(epoch), 0) AS newest_epoch
FROM placement.shards
"""


@dataclass(frozen=True, slots=True)
class Fenced:
    """What was fenced off."""

    database: str
    shards: int
    newest_epoch: int


async def fence_off(database_url: Secret) -> Fenced:
    """Raise every epoch, forget every lease and owner, in one transaction.

    Raises CannotStart with one sentence: unreachable, not restored, or in use.
    """
    try:
        connection = await asyncpg.connect(
            database_url.reveal(),
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=STATEMENT_TIMEOUT_SECONDS,
            statement_cache_size=0,
        )
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise NotYet(
            f"cannot connect to PostgreSQL ({describe(error)}): look at "
            "PURSER_MIGRATION_DATABASE_URL and at whether the server is up."
        ) from None
    try:
        return await _fence_off(connection)
    except (
        asyncpg.UndefinedTableError,
        asyncpg.UndefinedColumnError,
        asyncpg.InvalidSchemaNameError,
    ):
        raise CannotStart(
            "this database has no placement, or one of an older Purser: restore the dump, run "
            "`python -m shard_operator migrate`, then this again."
        ) from None
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotStart(f"nothing was changed: PostgreSQL refuses ({describe(error)}).") from None
    finally:
        connection.terminate()


async def _fence_off(connection: "asyncpg.Connection[asyncpg.Record]") -> Fenced:
    async with connection.transaction():
        await connection.execute(_LOCK)
        if alive := await connection.fetchval(_ALIVE):
            raise CannotStart(
                f"nothing was changed: this database is in use, leases of workers: {alive}; stop "
                "the workers first, or name the database that was restored."
            )
        await connection.execute(_FORGET_WORKERS)
        await connection.execute(_FENCE_OFF, EPOCH_STEP)
        (fenced,) = await connection.fetch(_FENCED)
    return Fenced(**fenced)
