"""`python -m user_worker` works; `python -m user_worker migrate` brings its schema up to date."""

import asyncio
import os
import sys

from chassis import migrations, process, settings
from chassis.errors import BadSettings
from user_worker import main
from user_worker.settings import PREFIX, Settings

MIGRATION_URL = "PURSER_MIGRATION_DATABASE_URL"


async def _serve(stop: asyncio.Event) -> None:
    await main.run(settings.load(Settings, PREFIX), stop)


async def _migrate(_stop: asyncio.Event) -> None:
    url = os.environ.get(MIGRATION_URL, "")
    if not url:
        raise BadSettings(f"{MIGRATION_URL} is missing: set it to the owner's address.")
    await migrations.migrate(url, main.ROOM, migrations.folder_of("user_worker"))


if __name__ == "__main__":
    match sys.argv[1:]:
        case [] | ["serve"]:
            process.run(_serve)
        case ["migrate"]:
            process.run(_migrate)
        case _:
            sys.exit("usage: python -m user_worker [serve | migrate]")
