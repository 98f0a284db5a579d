"""`python -m shard_operator` serves; `… migrate` brings the schema `placement` up to date and ends.

`… describe` shows who owns what, `… simulate` what the scaler would have done, `… record` writes
what it needs for that; `… after-restore` fences a restored database off. Not `kopf run`: settings,
the Lease and the end of the process belong to `main`, and kopf is a guest in it.
"""

import asyncio
import sys

from chassis import command_line
from chassis.settings import load
from shard_operator import describing, restoring, simulating


async def _serve(stop: asyncio.Event) -> None:
    from shard_operator.main import run
    from shard_operator.settings import Settings

    await run(load(Settings, "OPERATOR"), stop)


def _add_verbs(verbs: command_line.Verbs) -> None:
    describing.add_verb(verbs)
    simulating.add_verbs(verbs)
    restoring.add_verb(verbs)


if __name__ == "__main__":
    command_line.run(
        sys.argv[1:],
        package="shard_operator",
        prefix="OPERATOR",
        serve=_serve,
        room="placement",
        add_verbs=_add_verbs,
    )
