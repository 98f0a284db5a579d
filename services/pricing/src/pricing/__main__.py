"""`python -m pricing` serves; `python -m pricing migrate` brings the schema up to date and ends."""

import asyncio
import sys

from chassis import command_line
from chassis.settings import load


async def _serve(stop: asyncio.Event) -> None:
    from pricing.main import run
    from pricing.settings import Settings

    await run(load(Settings, "PRICING"), stop)


if __name__ == "__main__":
    command_line.run(sys.argv[1:], package="pricing", prefix="PRICING", serve=_serve)
