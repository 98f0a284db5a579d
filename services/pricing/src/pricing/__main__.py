"""`python -m pricing` serves; `python -m pricing migrate` brings the schema up to date and ends."""

import asyncio
import sys

from chassis import process
from chassis.migrations import folder_of, migrate
from chassis.settings import load


async def _serve(stop: asyncio.Event) -> None:
    # Here rather than above: migrating needs none of it.
    from pricing.main import run
    from pricing.settings import Settings

    await run(load(Settings, "PRICING"), stop)


async def _migrate(_stop: asyncio.Event) -> None:
    from pricing.settings import MigrationSettings

    settings = load(MigrationSettings, "PRICING")
    await migrate(settings.migration_database_url.reveal(), "pricing", folder_of("pricing"))


def main(arguments: list[str]) -> None:
    """Do what the verb says."""
    match arguments:
        case [] | ["serve"]:
            process.run(_serve)
        case ["migrate"]:
            process.run(_migrate)
        case _:
            sys.exit("usage: python -m pricing [serve | migrate]")


if __name__ == "__main__":
    main(sys.argv[1:])
