"""Schema changes against a real PostgreSQL: wholly or not at all, once, and never taken back."""

# ruff: noqa: D103 (a test's name is its claim)

import asyncio
from pathlib import Path

import pytest

from chassis.errors import CannotStart
from chassis.migrations import (
    PLACEMENT_NEEDED,
    folder_of,
    migrate,
    newest_applied,
    read_folder,
    require_applied,
    require_placement,
)
from chassis.postgres import (
    Pool,
    PostgresSettings,
    open_pool,
    transaction,
)
from chassis.settings import Secret
from devbox.database import Database


def _folder(parent: Path, *files: str) -> Path:
    folder = parent / "migrations"
    folder.mkdir(exist_ok=True)
    for number, sql in enumerate(files, start=1):
        (folder / f"{number:04d}_step.sql").write_text(sql)
    return folder


async def test_migrations_are_applied_once_each_in_order(
    database: Database, pool: Pool, tmp_path: Path
) -> None:
    folder = _folder(tmp_path, "CREATE SCHEMA room;", "CREATE TABLE room.things (id integer);")
    assert await migrate(database.owner_url, "room", folder) == [1, 2]
    assert await migrate(database.owner_url, "room", folder) == []
    _folder(
        tmp_path, *["CREATE SCHEMA room;", "CREATE TABLE room.things (id integer);"], "SELECT 1;"
    )
    assert await newest_applied(pool, "room") == 2
    with pytest.raises(CannotStart, match="at migration 0002 and this program needs 0003"):
        await require_applied(pool, "room", folder)
    assert await migrate(database.owner_url, "room", folder) == [3]
    await require_applied(pool, "room", folder)


async def test_a_file_that_fails_changes_nothing_and_stops_there(
    database: Database, pool: Pool, tmp_path: Path
) -> None:
    folder = _folder(
        tmp_path, "CREATE SCHEMA room;", "CREATE TABLE room.a (); SELECT 1/0;", "SELECT 1;"
    )
    with pytest.raises(CannotStart, match=r"0002_step\.sql of room failed and changed nothing"):
        await migrate(database.owner_url, "room", folder)
    assert await newest_applied(pool, "room") == 1
    async with transaction(pool) as connection:
        assert await connection.fetchval("SELECT to_regclass('room.a')") is None


async def test_a_file_changed_after_it_was_applied_is_an_error(
    database: Database, tmp_path: Path
) -> None:
    await migrate(database.owner_url, "room", _folder(tmp_path, "CREATE SCHEMA room;"))
    with pytest.raises(CannotStart, match="was changed after it had been applied"):
        await migrate(database.owner_url, "room", _folder(tmp_path, "CREATE SCHEMA room; "))


async def test_a_database_ahead_of_its_code_is_left_alone(
    database: Database, pool: Pool, tmp_path: Path
) -> None:
    folder = _folder(tmp_path, "CREATE SCHEMA room;", "SELECT 1;")
    await migrate(database.owner_url, "room", folder)
    (folder / "0002_step.sql").unlink()
    assert await migrate(database.owner_url, "room", folder) == []
    await require_applied(pool, "room", folder)


async def test_programs_that_migrate_at_the_same_moment_do_it_once(
    database: Database, tmp_path: Path
) -> None:
    folder = _folder(tmp_path, "CREATE SCHEMA room;", "CREATE TABLE room.things (id integer);")
    applied = await asyncio.gather(*(migrate(database.owner_url, "room", folder) for _ in range(4)))
    assert sorted(number for numbers in applied for number in numbers) == [1, 2]


async def test_a_rooms_own_role_may_ask_how_new_its_schema_is(database: Database) -> None:
    settings = PostgresSettings(database_url=Secret(database.url("purser_operator")))
    pool = await open_pool(settings, "operator")
    await require_applied(pool, "placement", folder_of("shard_operator"))
    await pool.close()


async def test_a_database_that_was_never_migrated_is_at_zero(pool: Pool, tmp_path: Path) -> None:
    async with transaction(pool) as connection:
        await connection.execute("DROP TABLE public.purser_migrations")
    assert await newest_applied(pool, "room") == 0
    folder = _folder(tmp_path, "SELECT 1;")
    with pytest.raises(CannotStart, match="run `python -m room migrate` first"):
        await require_applied(pool, "room", folder)
    with pytest.raises(
        CannotStart, match=r"schema of room .* run `python -m package migrate` first"
    ):
        await require_applied(pool, "room", folder, package="package")


async def test_a_room_refuses_a_placement_schema_older_than_it_needs(
    database: Database, pool: Pool
) -> None:
    await require_placement(pool)
    async with transaction(pool) as connection:
        await connection.execute(
            "DELETE FROM public.purser_migrations WHERE room = 'placement' AND number >= $1",
            PLACEMENT_NEEDED,
        )
    with pytest.raises(CannotStart, match=r"placement .* run `python -m shard_operator migrate`"):
        await require_placement(pool)


def test_what_rooms_need_of_placement_is_what_the_operator_brings() -> None:
    assert read_folder(folder_of("shard_operator"))[-1].number == PLACEMENT_NEEDED
