"""What can be typed after `describe`. Nothing else is imported before it is understood."""

import argparse
import sys

from chassis.command_line import Verbs
from shard_operator.describing.picture import (
    EVENTS_SHOWN_MAX,
    POOLS_SHOWN_MAX,
    SHARDS_SHOWN_MAX,
    WORKERS_SHOWN_MAX,
)

SHARD_MAX = 2**31 - 1

DESCRIPTION = """\
Who owns what, under which epoch, since when, and what was decided last. Reads
PostgreSQL, Redis and the Kubernetes API as the operator's own settings say
(OPERATOR_DATABASE_URL, OPERATOR_REDIS_URL, OPERATOR_NAMESPACE, the pod's
service account or KUBECONFIG) and writes nothing. What is away is named;
without PostgreSQL there is nothing to show."""

EPILOG = f"""\
Shown without --all: {POOLS_SHOWN_MAX} pools, of each {WORKERS_SHOWN_MAX} workers, \
{SHARDS_SHOWN_MAX} shards and {EVENTS_SHOWN_MAX} events;
shards nobody serves and those on the move come first, then those with the most
work.

exit status: 0 shown; 1 PostgreSQL is away; 2 the arguments or the settings are
wrong; 3 no such pool"""


def add_verb(verbs: Verbs) -> None:
    """Add `describe`."""
    parser = verbs.add_parser(
        "describe",
        help="show who owns what, the backlog, the last decisions",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(do=_do)
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="a UserShard, or a pool (<namespace>.<name>); all"
    )
    parser.add_argument(
        "-n", "--namespace", metavar="NS", help="of the UserShard (OPERATOR_NAMESPACE)"
    )
    parser.add_argument("--all", action="store_true", help="show everything, however much it is")
    parser.add_argument(
        "--shard",
        type=_shard,
        action="append",
        default=[],
        metavar="N",
        help="this shard and its workers only; may be repeated",
    )
    parser.add_argument("--worker", metavar="NAME", help="this worker and its shards only")
    parser.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", help="how to show it (text)"
    )


def _shard(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > SHARD_MAX:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to {SHARD_MAX}")
    return int(text)


def _do(parsed: argparse.Namespace) -> None:
    from shard_operator.describing.doing import do

    sys.exit(do(parsed))
