"""`python -m gateway` serves; `python -m gateway migrate` brings the schema up to date and ends.

`python -m gateway users` says which pool users are in, and moves them.
"""

import asyncio
import sys

from chassis import command_line
from chassis.settings import load
from gateway.users_command import add_verb


async def _serve(stop: asyncio.Event) -> None:
    from gateway.main import run
    from gateway.settings import Settings

    await run(load(Settings, "GATEWAY"), stop)


if __name__ == "__main__":
    command_line.run(
        sys.argv[1:], package="gateway", prefix="GATEWAY", serve=_serve, add_verbs=add_verb
    )
