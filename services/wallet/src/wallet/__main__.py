"""`python -m wallet` serves; `python -m wallet migrate` brings the schema up to date and ends.

`python -m wallet make-key FILE` makes a key-encryption key in a file that is not there yet.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from chassis import command_line
from chassis.errors import CannotStart
from chassis.settings import load


async def _serve(stop: asyncio.Event) -> None:
    from wallet.main import run
    from wallet.settings import Settings

    await run(load(Settings, "WALLET"), stop)


def _make_key(arguments: argparse.Namespace) -> None:
    from wallet.key_encryption import make_key_file

    path: Path = arguments.file
    try:
        key_id = make_key_file(path)
    except CannotStart as error:
        sys.exit(str(error))
    print(  # noqa: T201 (for the person who typed it)
        f"made the key-encryption key {key_id} in {path}; keep a copy: no wallet opens without it"
    )


def _add_verbs(verbs: command_line.Verbs) -> None:
    make_key = verbs.add_parser("make-key", help="make a key-encryption key in a new file")
    make_key.add_argument("file", type=Path, help="a file that is not there yet")
    make_key.set_defaults(do=_make_key)


if __name__ == "__main__":
    command_line.run(
        sys.argv[1:], package="wallet", prefix="WALLET", serve=_serve, add_verbs=_add_verbs
    )
