"""`python -m wallet` serves; `python -m wallet migrate` brings the schema up to date and ends.

`python -m wallet make-key FILE` makes a key-encryption key in a file that is not there yet.
"""

import asyncio
import sys
from pathlib import Path

from chassis import process
from chassis.errors import CannotStart
from chassis.migrations import folder_of, migrate
from chassis.settings import load


async def _serve(stop: asyncio.Event) -> None:
    # Here rather than above: migrating needs none of it.
    from wallet.main import run
    from wallet.settings import Settings

    await run(load(Settings, "WALLET"), stop)


async def _migrate(_stop: asyncio.Event) -> None:
    from wallet.settings import MigrationSettings

    settings = load(MigrationSettings, "WALLET")
    await migrate(settings.migration_database_url.reveal(), "wallet", folder_of("wallet"))


def _make_key(path: Path) -> None:
    from wallet.key_encryption import make_key_file

    try:
        key_id = make_key_file(path)
    except CannotStart as error:
        sys.exit(str(error))
    print(  # noqa: T201 (for the person who typed it)
        f"made the key-encryption key {key_id} in {path}; keep a copy: no wallet opens without it"
    )


def main(arguments: list[str]) -> None:
    """Do what the verb says."""
    match arguments:
        case [] | ["serve"]:
            process.run(_serve)
        case ["migrate"]:
            process.run(_migrate)
        case ["make-key", path]:
            _make_key(Path(path))
        case _:
            sys.exit("usage: python -m wallet [serve | migrate | make-key FILE]")


if __name__ == "__main__":
    main(sys.argv[1:])
