"""The roles' passwords, from a mounted Secret to the database.

The migrations make roles that cannot log in. After them this gives each the password that the file
of its name holds; done again, it changes nothing but the verifiers' salt.
"""

import asyncio
from pathlib import Path

import asyncpg

from chassis import process
from chassis.command_line import MigrationSettings, StartSettings
from chassis.errors import CannotStart, NotYet
from chassis.postgres import describe
from chassis.settings import SHARED_PREFIX, load
from devbox.database import ensure_logins
from devbox.keyring import read_password
from devbox.roles import ROLES


def give_passwords(folder: Path) -> None:
    """Let each role log in, waiting for the database as every program does.

    Raises SystemExit when it failed, CannotBegin when a password cannot be used.
    """
    passwords = {role: read_password(folder / role) for role in ROLES}

    async def give(_stop: asyncio.Event) -> None:
        settings = load(MigrationSettings, SHARED_PREFIX, warn_of_unknown=False)
        await _give(settings.migration_database_url.reveal(), passwords)

    async def begin(stop: asyncio.Event) -> None:
        start = load(StartSettings, SHARED_PREFIX)
        await process.patient(give, start.start_timeout_seconds)(stop)

    process.run(begin)


async def _give(url: str, passwords: dict[str, str]) -> None:
    try:
        await ensure_logins(url, passwords)
    except asyncpg.UndefinedObjectError as error:
        raise NotYet(f"a role is not there yet ({error}): run the migrations first.") from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise CannotStart(f"this role may not give passwords to others: {error}.") from None
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise NotYet(
            f"cannot connect to PostgreSQL to give the roles their passwords ({describe(error)}): "
            "look at PURSER_MIGRATION_DATABASE_URL and at whether the server is up."
        ) from None
