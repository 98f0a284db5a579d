"""Raises the epochs, says so, gives the exit status."""

import asyncio
import os
from collections.abc import Mapping

from chassis.command_line import MigrationSettings
from chassis.errors import BadSettings, CannotStart
from chassis.settings import load
from chassis.terminal import complain, tell
from shard_operator.restoring.postgres import fence_off

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_BAD_SETTINGS = 2


def do(environ: Mapping[str, str] = os.environ) -> int:
    """Do it; every expected failure is one sentence on stderr and a status."""
    try:
        settings = load(MigrationSettings, "OPERATOR", environ, warn_of_unknown=False)
        fenced = asyncio.run(fence_off(settings.migration_database_url))
    except BadSettings as error:
        complain(str(error))
        return EXIT_BAD_SETTINGS
    except CannotStart as error:
        complain(str(error))
        return EXIT_FAILED
    tell(
        f"Database {fenced.database}, {fenced.shards} shards: nobody owns them, their newest epoch "
        f"is {fenced.newest_epoch}; whoever held one before this is refused from now on."
    )
    return EXIT_DONE
