"""What can be typed after `after-restore`. Nothing else is imported before it is understood."""

import argparse
import sys

from chassis.command_line import Verbs

DESCRIPTION = """\
Run once after a dump was restored, before anything serves from it: raises the
epoch of every shard above any that a worker of the time before may still hold,
and forgets leases and owners. Needs OPERATOR_MIGRATION_DATABASE_URL (or
PURSER_MIGRATION_DATABASE_URL), as `migrate` does. Refuses while a worker's lease
lives in that database: then it is in use. Once more does no harm."""

EPILOG = """\
exit status: 0 done; 1 PostgreSQL is away, too old a schema, or in use; 2 the
settings are wrong"""


def add_verb(verbs: Verbs) -> None:
    """Add `after-restore`."""
    parser = verbs.add_parser(
        "after-restore",
        help="raise every epoch of a database that was restored from a dump, and end",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(do=_do)


def _do(_parsed: argparse.Namespace) -> None:
    from shard_operator.restoring.doing import do

    sys.exit(do())
