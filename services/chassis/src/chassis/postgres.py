"""A pool of PostgreSQL connections that works behind a transaction pooler, and the fence.

Behind a pooler two statements of one connection may meet two sessions unless they are in one
transaction. So: every statement runs inside `transaction(pool)`, nothing is left in the session (no
SET, no LISTEN, no session lock; asyncpg's reset on release, which would cost a round trip, is off),
startup sends no parameter but the application's name, and statements are unnamed unless
`prepared_statements` says that the server, or the pooler, keeps them.

Every failure that is nobody's mistake (no connection, not let in, a server going down, a deadlock,
a time limit) becomes `TryAgain`; SQLSTATE PF001 becomes `StaleClaim`. What a statement says about
its data (unique violations and so on) stays asyncpg's exception for the room's `postgres.py` to
translate.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, TypeAlias, TypeVar

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from chassis.errors import NotYet, StaleClaim, TryAgain
from chassis.postgres_tls import why_no_tls, without_trust
from chassis.settings import Secret
from kernel.sharding import Claim

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

TRANSACTION_TRIES_MAX = 4
"""Deadlocks among transactions that lock in one order are rare; four in a row mean a bug, not bad
luck."""

_STALE_EPOCH = "PF001"
_NOTHING_WAS_WRITTEN = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
_TRY_AGAIN = _NOTHING_WAS_WRITTEN | {
    "25006",  # read_only_sql_transaction: connected to a standby during a failover
    "25P03",  # idle_in_transaction_session_timeout
    "25P04",  # transaction_timeout
    # At login alone, so nothing was written: a role's password changes before its programs know.
    "28000",  # invalid_authorization_specification
    "28P01",  # invalid_password
    "53100",  # disk_full
    "53200",  # out_of_memory
    "53300",  # too_many_connections
    "53400",  # configuration_limit_exceeded
    "55P03",  # lock_not_available
    "57014",  # query_canceled: statement_timeout
    "57P01",  # admin_shutdown
    "57P02",  # crash_shutdown
    "57P03",  # cannot_connect_now
    "57P05",  # idle_session_timeout
}

Result = TypeVar("Result")


class PostgresSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a room reaches its schema."""

    database_url: Secret
    """`postgresql://role:password@host:port/database`, with the room's own role: it can do no more
    than the room must. With `?sslmode=verify-full&sslrootcert=FILE` certificate and name of the
    server are checked against the authorities of the file; without, a server that offers no TLS is
    spoken to in plaintext."""

    connections_max: Annotated[int, msgspec.Meta(ge=1, le=200)] = 10
    """Per process. Group commit needs few; ten times five rooms stays below PostgreSQL's default of
    100."""

    connect_timeout_seconds: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    """A server that takes longer to say hello is down; the caller is told so and tries again."""

    acquire_timeout_seconds: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    """How long to queue for a free connection. Longer than any transaction may last, shorter than
    callers' deadlines."""

    statement_timeout_seconds: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    """Kept on this side (a cancel is sent), since a pooler would not carry a session's setting. The
    roles of stores are bounded tighter still by `transaction_timeout`, in the database."""

    idle_connection_seconds: Annotated[float, msgspec.Meta(ge=0)] = 300.0
    """Give back what a burst opened."""

    prepared_statements: bool = False
    """Name and keep statements: fewer round trips per statement. Right on a direct connection or
    with a PgBouncer of 1.21 or newer whose `max_prepared_statements` is above 0; wrong behind any
    other transaction pooler, hence off."""


class _BoundedPool(asyncpg.Pool):
    """A pool in which nobody waits for a connection longer than the settings say."""

    def __init__(self, settings: PostgresSettings, **options: Any) -> None:
        url, self._trust = without_trust(settings.database_url.reveal())
        super().__init__(
            url,
            connect=self._open,
            connection_class=asyncpg.Connection,
            record_class=asyncpg.Record,
            max_queries=50_000,
            loop=None,
            **options,
        )
        self._acquire_timeout_seconds = settings.acquire_timeout_seconds

    async def _open(self, *arguments: Any, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
        if self._trust is not None:
            options["ssl"] = self._trust.context()
        return await asyncpg.connect(*arguments, **options)

    def acquire(self, *, timeout: float | None = None) -> Any:
        return super().acquire(
            timeout=self._acquire_timeout_seconds if timeout is None else timeout
        )


async def open_pool(
    settings: PostgresSettings, application_name: str, *, connect_at_once: bool = True
) -> Pool:
    """Connect. Raises NotYet with one sentence if the server does not let us in.

    Without `connect_at_once` nobody is asked before the first transaction is.
    """
    try:
        return await _BoundedPool(
            settings,
            min_size=int(connect_at_once),
            max_size=settings.connections_max,
            max_inactive_connection_lifetime=settings.idle_connection_seconds,
            timeout=settings.connect_timeout_seconds,
            command_timeout=settings.statement_timeout_seconds,
            statement_cache_size=100 if settings.prepared_statements else 0,
            server_settings={"application_name": application_name},
            reset=_keep_nothing_so_reset_nothing,
        )
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as e:
        # Never the exception's own text: it may quote the address with its password.
        raise NotYet(
            f"{application_name} cannot connect to PostgreSQL ({describe(e)}): "
            "look at its DATABASE_URL and at whether the server is up."
        ) from None


@asynccontextmanager
async def transaction(pool: Pool, *, readonly: bool = False) -> AsyncIterator[Connection]:
    """Give a connection inside one READ COMMITTED transaction; commit at the end, roll back on an
    exception.

    Raises TryAgain when there is no connection in time or the server is away: when that happens
    while committing, the outcome is unknown, so repeat only what carries a key. Raises StaleClaim
    when the fence refused.
    """
    try:
        async with (
            _acquired(pool) as connection,
            connection.transaction(isolation="read_committed", readonly=readonly),
        ):
            yield connection
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
    ) as error:
        translated = translate(error)
        if translated is error:
            raise
        raise translated from error


@asynccontextmanager
async def _acquired(pool: Pool) -> AsyncIterator[Connection]:
    connection = await pool.acquire()
    try:
        yield connection
    except BaseException:
        # What went wrong first is what is told: a connection that cannot be had back is ended.
        with suppress(Exception):
            await _release_in_any_case(pool, connection)
        raise
    await pool.release(connection)


async def _release_in_any_case(
    pool: Pool, connection: "PoolConnectionProxy[asyncpg.Record]"
) -> None:
    """Release a connection whose statement may have been cancelled, which takes a moment.

    asyncpg goes on with that when whoever waits is cancelled too; somebody must hear how it ended,
    or asyncio logs a trace.
    """
    releasing = asyncio.create_task(pool.release(connection))
    releasing.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.shield(releasing)


async def retry_transaction(
    pool: Pool, work: Callable[[Connection], Awaitable[Result]], *, readonly: bool = False
) -> Result:
    """Do `work` in a transaction of its own, anew after a deadlock or a serialization failure, and
    once after its session was lost before the commit was asked for.

    `work` must have no effect outside the database. Other failures are not repeated: their outcome
    may be unknown, or the server is away.
    """
    may_lose_session = True
    for tries_left in reversed(range(TRANSACTION_TRIES_MAX)):
        committing = False
        try:
            async with transaction(pool, readonly=readonly) as connection:
                result = await work(connection)
                committing = True
        except TryAgain as error:
            if not tries_left:
                raise
            if getattr(error.__cause__, "sqlstate", None) in _NOTHING_WAS_WRITTEN:
                continue
            if committing or not may_lose_session or not _session_was_lost(error.__cause__):
                raise
            may_lose_session = False
        else:
            return result
    raise AssertionError("unreachable")


def _session_was_lost(error: BaseException | None) -> bool:
    """Say whether there was a session and it ended: by `transaction_timeout` while this process or
    the server stood still, or with its server.
    """
    return isinstance(
        error,
        asyncpg.InterfaceError | asyncpg.InternalClientError | asyncpg.ConnectionDoesNotExistError,
    )


async def fence(connection: Connection, claim: Claim) -> None:
    """Refuse with StaleClaim unless the claim is the shard's newest, and keep it so until this
    transaction ends.

    Call it first in the transaction: what waits for a claim should hold no locks yet.
    """
    try:
        await connection.execute(
            "SELECT placement.fence($1, $2, $3)", claim.pool, claim.shard, claim.epoch
        )
    except asyncpg.PostgresError as error:
        if error.sqlstate == _STALE_EPOCH:
            raise StaleClaim(f"the claim {claim} is not the newest of its shard") from None
        raise


async def fence_batch(connection: Connection, claims: Sequence[Claim]) -> list[bool]:
    """Say of each claim, in order, whether it is its shard's newest; those stay so until this
    transaction ends.
    """
    if not claims:
        return []
    result: list[bool] = await connection.fetchval(
        "SELECT placement.fence_batch($1::text[], $2::integer[], $3::bigint[])",
        [claim.pool for claim in claims],
        [claim.shard for claim in claims],
        [claim.epoch for claim in claims],
    )
    return result


def translate(error: BaseException) -> BaseException:
    """Name what the caller should do:

    TryAgain, StaleClaim, or the error itself when it is about the data.
    """
    if isinstance(error, asyncpg.PostgresError):
        if error.sqlstate == _STALE_EPOCH:
            return StaleClaim()
        if error.sqlstate in _TRY_AGAIN or isinstance(error, asyncpg.PostgresConnectionError):
            return TryAgain(f"the database cannot answer now ({error.sqlstate})")
        return error
    if isinstance(error, OSError | TimeoutError):
        why = why_no_tls(error) or type(error).__name__
        return TryAgain(f"the database cannot be reached ({why})")
    # asyncpg says of misuse and of a lost connection alike that it is an InterfaceError.
    if isinstance(error, asyncpg.InterfaceError) and "clos" in str(error):
        farewell = _farewell(error)
        why = f" ({farewell})" if farewell else ""
        return TryAgain(f"the connection to the database was lost{why}")
    # The server ended the session between two statements (transaction_timeout while this process
    # stood still): asyncpg has read the farewell and then cannot begin the next statement.
    if isinstance(error, asyncpg.InternalClientError) and "cannot switch to state" in str(error):
        return TryAgain("the server ended the transaction")
    return error


def _farewell(error: BaseException) -> str | None:
    """Give the SQLSTATE with which the server ended the session.

    asyncpg tells it to the statement under way; what leaves the transaction's block is that it
    could not be rolled back.
    """
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, asyncpg.ConnectionDoesNotExistError):
            return getattr(link.__cause__, "sqlstate", None)
        link = link.__context__
    return None


def describe(error: BaseException) -> str:
    """Say what kind of failure to reach a server this is, in words that hold no secret."""
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate:
        return f"{type(error).__name__}, SQLSTATE {sqlstate}"
    if said := why_no_tls(error):
        return said
    if isinstance(error, asyncpg.ClientConfigurationError):
        return "its address cannot be understood, or asks for verify-full without sslrootcert"
    if isinstance(error, FileNotFoundError):
        return "a file that its address names is not there"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{type(error).__name__}, errno {error.errno}"
    return type(error).__name__


async def _keep_nothing_so_reset_nothing(connection: Connection) -> None:
    """asyncpg still ends an open transaction by itself; there is nothing else to reset."""
