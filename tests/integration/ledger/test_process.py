"""The ledger as a process."""

import asyncpg
from tests.integration.stores import first_line_until_sigterm, run_program

from devbox.database import Database


async def test_it_serves_and_a_sigterm_ends_it_well(database: Database) -> None:
    """Says `ready` with its address; status 0."""
    line, status = await first_line_until_sigterm(
        "ledger", LEDGER_DATABASE_URL=database.url("purser_ledger")
    )

    assert b'"ready"' in line
    assert b'"address":"127.0.0.1:' in line
    assert status == 0


async def test_it_refuses_a_schema_older_than_its_code(database: Database) -> None:
    """One sentence that says what to run, and after running it the ledger serves."""
    connection = await asyncpg.connect(database.owner_url)
    await connection.execute("DROP SCHEMA ledger CASCADE")
    await connection.execute("DELETE FROM public.purser_migrations WHERE room = 'ledger'")
    await connection.close()
    environ = {"LEDGER_DATABASE_URL": database.url("purser_ledger")}

    status, output = await run_program("ledger", **environ)
    migrated, _ = await run_program(
        "ledger", "migrate", PURSER_MIGRATION_DATABASE_URL=database.owner_url
    )

    assert (status, output.strip().count("\n")) == (1, 0)
    assert "python -m ledger migrate" in output
    assert migrated == 0
    connection = await asyncpg.connect(database.owner_url)
    assert await connection.fetchval("SELECT count(*) FROM ledger.assets") > 0
    await connection.close()


async def test_it_refuses_to_start_without_settings_naming_them() -> None:
    """Exit status 2, and nothing of a stack trace."""
    status, output = await run_program("ledger", LEDGER_DATABASE_URL="", PURSER_DATABASE_URL="")

    assert status == 2
    assert output.startswith("LEDGER_DATABASE_URL is missing")
    assert "Traceback" not in output


async def test_it_tells_how_it_is_used() -> None:
    """A word it does not know is answered with those it does."""
    status, output = await run_program("ledger", "serv")

    assert status == 2
    assert output.startswith("usage: python -m ledger")
    assert "choose from" in output
    assert "migrate" in output
