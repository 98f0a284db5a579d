"""`python -m shard_operator` serves; `… migrate` brings the schema `placement` up to date and ends.

Not `kopf run`: settings, the Lease and the end of the process belong to `main`, and kopf is a guest
in it.
"""

import asyncio
import sys

from chassis import process
from chassis.migrations import folder_of, migrate
from chassis.settings import load


async def _serve(stop: asyncio.Event) -> None:
    # Here rather than above: migrating needs none of it.
    from shard_operator.main import run
    from shard_operator.settings import Settings

    await run(load(Settings, "OPERATOR"), stop)


async def _migrate(_stop: asyncio.Event) -> None:
    from shard_operator.settings import MigrationSettings

    settings = load(MigrationSettings, "OPERATOR")
    url = settings.migration_database_url.reveal()
    await migrate(url, "placement", folder_of("shard_operator"))


def main(arguments: list[str]) -> None:
    """Do what the verb says."""
    match arguments:
        case [] | ["serve"]:
            process.run(_serve)
        case ["migrate"]:
            process.run(_migrate)
        case _:
            sys.exit("usage: python -m shard_operator [serve | migrate]")


if __name__ == "__main__":
    main(sys.argv[1:])
