"""Looks, prints, gives the exit status."""

import argparse
import asyncio
import os
import shutil
from collections.abc import Mapping

import msgspec
import uvloop

from chassis.errors import BadSettings, CannotStart
from chassis.settings import load
from chassis.terminal import complain, tell
from shard_operator.describing.looking import look
from shard_operator.describing.picture import Wanted
from shard_operator.describing.settings import PREFIX, DescribeSettings
from shard_operator.describing.showing import page
from shard_operator.errors import PlacementAway, PoolUnknown

EXIT_SHOWN = 0
EXIT_AWAY = 1
EXIT_BAD_SETTINGS = 2
EXIT_NOT_FOUND = 3
EXIT_INTERRUPTED = 130

WIDTH_MIN, WIDTH_MAX = 80, 160
"""Narrower, nothing would stand in columns; wider, an eye loses the line."""


def do(parsed: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> int:
    """Do what was asked for; every expected failure is one sentence on stderr and a status."""
    wanted = Wanted(
        name=parsed.name,
        namespace=parsed.namespace,
        everything=parsed.all,
        shards=tuple(parsed.shard),
        worker=parsed.worker,
    )
    try:
        settings = load(DescribeSettings, PREFIX, environ, warn_of_unknown=False)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            picture = runner.run(look(settings, wanted))
    except BadSettings as error:
        complain(str(error))
        return EXIT_BAD_SETTINGS
    except CannotStart as error:
        complain(str(error))
        return EXIT_AWAY
    except PlacementAway as error:
        complain(f"PostgreSQL does not tell who owns what: {error}.")
        return EXIT_AWAY
    except PoolUnknown as unknown:
        complain("\n".join([*unknown.problems, _unknown(wanted, settings, unknown)]))
        return EXIT_NOT_FOUND
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    if parsed.output == "json":
        tell(msgspec.json.encode(picture).decode())
    else:
        columns = shutil.get_terminal_size((WIDTH_MAX, 24)).columns
        tell(page(picture, wanted, min(max(columns, WIDTH_MIN), WIDTH_MAX)))
    return EXIT_SHOWN


def _unknown(wanted: Wanted, settings: DescribeSettings, unknown: PoolUnknown) -> str:
    namespace = wanted.namespace or settings.namespace
    known = ", ".join(unknown.known[:10]) + (", …" if len(unknown.known) > 10 else "")
    return f"There is no pool {namespace}.{wanted.name}; there are: {known or 'none'}."
