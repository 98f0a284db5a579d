"""`python -m ledger` serves; `python -m ledger migrate` brings the schema up to date and ends."""

import asyncio
import sys

from chassis import command_line
from chassis.settings import load


async def _serve(stop: asyncio.Event) -> None:
    from ledger.main import run
    from ledger.settings import Settings

    await run(load(Settings, "LEDGER"), stop)


if __name__ == "__main__":
    command_line.run(sys.argv[1:], package="ledger", prefix="LEDGER", serve=_serve)
