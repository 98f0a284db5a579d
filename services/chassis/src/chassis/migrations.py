"""Schema changes: numbered files of plain SQL that only go forward.

A room's folder holds `0001_name.sql`, `0002_name.sql` and so on without a gap. Each file runs in
one transaction together with its row in `public.purser_migrations`, so it is applied wholly or not
at all. The first statement of each such transaction is an advisory lock, so that any number of
programs may migrate at the same moment; being a transaction's lock it works behind a transaction
pooler too. A file that was applied must stay as it was: its checksum is compared each time. A
database that is ahead of the folder is left alone: the version before must go on working while the
next one comes.
"""

import hashlib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from chassis.errors import CannotStart, NotYet
from chassis.postgres import Connection, Pool, describe, retry_transaction
from chassis.telemetry import get_logger

LOCK_TIMEOUT_SECONDS = 60
"""How long to wait while another program migrates."""
CONNECT_TIMEOUT_SECONDS = 10
PLACEMENT_NEEDED = 3
"""The number of the migration of `placement` that the rooms are written for. Its files are the
operator's and come in no other image, so the number stands here."""

_NEWEST = "SELECT max(number) FROM public.purser_migrations WHERE room = $1"
_LOCK_KEY = 0x50555253_45520001  # "PURSER", 1
_FILE = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z0-9_]+)\.sql")
_TABLE = """
CREATE TABLE IF NOT EXISTS public.purser_migrations (
    room text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    checksum bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (room, number)
);
GRANT SELECT ON public.purser_migrations TO PUBLIC;
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> bytes:
        """SHA-256 of the file's text."""
        return hashlib.sha256(self.sql.encode()).digest()


async def migrate(url: str, room: str, folder: Path) -> list[int]:
    """Apply what `room` has not applied yet; return the numbers applied.

    Raises CannotStart with one sentence.

    `url` is that of a role that may create schemas and roles (`PURSER_MIGRATION_DATABASE_URL`).
    """
    migrations = read_folder(folder)
    try:
        connection = await asyncpg.connect(
            url, timeout=CONNECT_TIMEOUT_SECONDS, statement_cache_size=0
        )
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise NotYet(
            f"cannot connect to PostgreSQL to migrate {room} ({describe(error)}): "
            "look at PURSER_MIGRATION_DATABASE_URL and at whether the server is up."
        ) from None
    applied: list[int] = []
    try:
        for migration in migrations:
            if await _apply(connection, room, migration):
                applied.append(migration.number)
                get_logger(__name__).info(
                    "migrated", room=room, number=migration.number, name=migration.name
                )
    finally:
        await connection.close()
    return applied


async def newest_applied(pool: Pool, room: str) -> int:
    """Give the number of the newest migration `room` has applied; 0 when there is none."""

    async def look(connection: Connection) -> int:
        return await connection.fetchval(_NEWEST, room) or 0

    try:
        return await retry_transaction(pool, look, readonly=True)
    except asyncpg.UndefinedTableError:
        return 0


async def require_applied(
    pool: Pool, room: str, folder: Path, *, package: str | None = None
) -> None:
    """Raise NotYet unless the schema of `room` is as new as the files of `folder`; newer is fine.

    `package` is what brings the schema up to date, named like the room unless said.
    """
    needed = read_folder(folder)[-1].number
    await _require(pool, room, needed, f"python -m {package or room} migrate")


async def require_placement(pool: Pool) -> None:
    """Raise NotYet unless the schema `placement` is as new as this program; newer is fine.

    Whoever writes for shards asks its functions in every transaction: with an older one each of
    those would fail, one after another, while the program looks well.
    """
    await _require(pool, "placement", PLACEMENT_NEEDED, "python -m shard_operator migrate")


async def _require(pool: Pool, room: str, needed: int, command: str) -> None:
    newest = await newest_applied(pool, room)
    if newest < needed:
        raise NotYet(
            f"the schema of {room} is at migration {newest:04d} and this program needs "
            f"{needed:04d}: run `{command}` first."
        )


def folder_of(package: str) -> Path:
    """Find the migrations of a package without importing it: beside its `src` in the tree, inside
    it in a wheel.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise CannotStart(f"the package {package} is not installed.")
    inside = Path(spec.origin).parent
    for folder in (inside / "migrations", inside.parent.parent / "migrations"):
        if folder.is_dir():
            return folder
    raise CannotStart(f"the package {package} came without its folder of migrations.")


def read_folder(folder: Path) -> list[Migration]:
    """Read a folder of migrations in order.

    Raises CannotStart about a gap, a duplicate or a stray file.
    """
    migrations: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise CannotStart(f"{path.name} in {folder} is not named like 0001_what_it_does.sql.")
        number = int(match["number"])
        if number != len(migrations) + 1:
            raise CannotStart(
                f"{path.name} in {folder} should be number {len(migrations) + 1:04d}: "
                "migrations are numbered from 0001 without gaps or duplicates."
            )
        migrations.append(Migration(number, match["name"], path.read_text(encoding="utf-8")))
    if not migrations:
        raise CannotStart(f"{folder} holds no migrations.")
    return migrations


async def _apply(connection: Connection, room: str, migration: Migration) -> bool:
    """Apply one file unless it is applied already, and name what goes wrong."""
    file = f"{migration.number:04d}_{migration.name}.sql of {room}"
    try:
        async with connection.transaction():
            if await _is_applied(connection, room, migration, file):
                return False
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO public.purser_migrations (room, number, name, checksum) "
                "VALUES ($1, $2, $3, $4)",
                room,
                migration.number,
                migration.name,
                migration.checksum,
            )
    except asyncpg.LockNotAvailableError:
        raise CannotStart(
            f"another program has been migrating for {LOCK_TIMEOUT_SECONDS} s: "
            "wait for it, then try again."
        ) from None
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
        raise CannotStart(
            f"the connection was lost while {file} was applied ({describe(error)}): "
            "migrate again, it goes on where it was."
        ) from None
    except asyncpg.PostgresError as error:
        raise CannotStart(f"{file} failed and changed nothing: {error}") from error
    return True


async def _is_applied(connection: Connection, room: str, migration: Migration, file: str) -> bool:
    """Take the lock that orders all programs that migrate, then look."""
    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK_KEY)
    if await connection.fetchval("SELECT to_regclass('public.purser_migrations')") is None:
        await connection.execute(_TABLE)
    checksum = await connection.fetchval(
        "SELECT checksum FROM public.purser_migrations WHERE room = $1 AND number = $2",
        room,
        migration.number,
    )
    if checksum is not None and checksum != migration.checksum:
        raise CannotStart(
            f"{file} was changed after it had been applied: "
            "undo the change and write a new migration."
        )
    return checksum is not None
