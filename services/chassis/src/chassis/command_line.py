"""What `python -m <package>` of a room understands: `serve` (also without a word), `migrate`, and
verbs of the room's own.

Nothing of the room is imported before its verb is known: migrating needs no Telegram, `--help`
needs nothing at all.
"""

import argparse
import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeAlias

import msgspec

from chassis import process
from chassis.migrations import folder_of, migrate
from chassis.settings import SHARED_PREFIX, Secret, load

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Give what reads an argument that is a whole number within bounds."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}")
        return int(text)

    return read


class StartSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How patient a program is at its start."""

    start_timeout_seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    """How long to wait for the database, the role and the schema that are not there yet; 0 ends at
    once with a sentence, which suits a person who has just mistyped an address."""


class MigrationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `migrate` needs, and serving never has."""

    migration_database_url: Secret
    """The database, as a role that may create schemas and roles."""


def run(
    arguments: Sequence[str],
    *,
    package: str,
    prefix: str,
    serve: process.Main,
    room: str | None = None,
    add_verbs: Callable[[Verbs], None] = lambda verbs: None,
) -> None:
    """Do what the verb says and end the process.

    `room` is the name its migrations are kept under, the package's unless said. `add_verbs` gives
    the room's own verbs; each sets `do` to what takes the parsed arguments. Raises SystemExit when
    something failed or the arguments cannot be understood (status 2).
    """

    async def bring_up_to_date(_stop: asyncio.Event) -> None:
        settings = load(MigrationSettings, prefix, warn_of_unknown=False)
        url = settings.migration_database_url.reveal()
        await migrate(url, room or package, folder_of(package))

    def run_patiently(main: process.Main) -> None:
        async def begin(stop: asyncio.Event) -> None:
            start = load(StartSettings, SHARED_PREFIX)
            await process.patient(main, start.start_timeout_seconds)(stop)

        process.run(begin)

    def do_serve(_parsed: argparse.Namespace) -> None:
        # No room goes on in a forked child; gRPC's handlers for that say so in the midst of the log
        # each time a program is started. Read when grpc is imported, hence here.
        os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
        # gRPC writes a line past our log for each stranger who is refused a connection.
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
        run_patiently(serve)

    def do_migrate(_parsed: argparse.Namespace) -> None:
        run_patiently(bring_up_to_date)

    parser = argparse.ArgumentParser(
        prog=f"python -m {package}",
        description=f"Settings are read from the environment: {prefix}_…, see the README.",
    )
    parser.set_defaults(do=do_serve)
    verbs: Any = parser.add_subparsers(title="verbs", metavar="VERB")
    verbs.add_parser("serve", help="serve until told to stop (the default)")
    migration = verbs.add_parser("migrate", help="bring the schema up to date and end")
    migration.set_defaults(do=do_migrate)
    add_verbs(verbs)
    parsed = parser.parse_args(arguments)
    parsed.do(parsed)
