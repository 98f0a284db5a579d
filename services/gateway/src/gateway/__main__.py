"""`python -m gateway` serves; `python -m gateway migrate` brings the schema up to date and ends."""

import asyncio
import sys

from chassis import process
from chassis.migrations import folder_of, migrate
from chassis.settings import load


async def _serve(stop: asyncio.Event) -> None:
    # Here rather than above: migrating needs none of it.
    from gateway.main import run
    from gateway.settings import Settings

    await run(load(Settings, "GATEWAY"), stop)


async def _migrate(_stop: asyncio.Event) -> None:
    from gateway.settings import MigrationSettings

    settings = load(MigrationSettings, "GATEWAY")
    await migrate(settings.migration_database_url.reveal(), "gateway", folder_of("gateway"))


def main(arguments: list[str]) -> None:
    """Do what the verb says."""
    match arguments:
        case [] | ["serve"]:
            process.run(_serve)
        case ["migrate"]:
            process.run(_migrate)
        case _:
            sys.exit("usage: python -m gateway [serve | migrate]")


if __name__ == "__main__":
    main(sys.argv[1:])
