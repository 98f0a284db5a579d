"""`python -m user_worker` works; `… migrate` brings the schema `worker` up to date and ends.

`python -m user_worker jobs` lists, shows and replays jobs that were set aside.
"""

import asyncio
import sys

from chassis import command_line
from chassis.settings import load
from user_worker.jobs_command import add_verb


async def _serve(stop: asyncio.Event) -> None:
    from user_worker.main import run
    from user_worker.settings import PREFIX, Settings

    await run(load(Settings, PREFIX), stop)


if __name__ == "__main__":
    command_line.run(
        sys.argv[1:],
        package="user_worker",
        prefix="USER_WORKER",
        serve=_serve,
        room="worker",
        add_verbs=add_verb,
    )
