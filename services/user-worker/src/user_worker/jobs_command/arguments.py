"""What can be typed after `jobs`. Nothing of the room is imported before it is understood."""

import argparse
import sys
from uuid import UUID

from chassis.command_line import Verbs, whole_number
from kernel.identifiers import parse_uuid
from kernel.malformed import Malformed

PAGE_JOBS_MAX = 200
"""The gateway's bound on one page."""
PAGE_JOBS_DEFAULT = 20
"""What fits on a screen."""
SHARD_MAX = 2**31 - 1

DESCRIPTION = """\
Jobs that failed three times are set aside, with their error, for a month. They are kept by the
gateway; this asks it, as USER_WORKER_GATEWAY_ADDRESS and USER_WORKER_POOL say."""

EXIT_STATUS = """\
exit status: 0 done; 1 the gateway is away or refused; 2 the arguments or the settings are wrong;
3 no such job was set aside; 4 nothing was done: the job had been replayed before"""


def add_verb(verbs: Verbs) -> None:
    """Add `jobs` and what it can do; without another word it lists."""
    jobs = _parser(verbs, "jobs", "list, show and replay jobs that were set aside", DESCRIPTION)
    jobs.set_defaults(do=_do, action="list", **_DEFAULTS)
    actions = jobs.add_subparsers(title="actions", metavar="ACTION")
    _add_list(actions)
    _add_show(actions)
    _add_replay(actions)


_DEFAULTS = {
    "json": False,
    "shard": None,
    "user": None,
    "page_size": PAGE_JOBS_DEFAULT,
    "page": "",
}


def _add_list(actions: Verbs) -> None:
    listing = _parser(
        actions,
        "list",
        "list them, those set aside last first (the default)",
        "List jobs that were set aside, the last one first, and nothing of what was typed.",
    )
    listing.set_defaults(action="list")
    listing.add_argument(
        "--shard", type=whole_number(0, SHARD_MAX), metavar="N", help="of this shard only"
    )
    listing.add_argument(
        "--user", type=_identifier, metavar="ID", help="of this user only: the internal id"
    )
    listing.add_argument(
        "--page-size",
        type=whole_number(1, PAGE_JOBS_MAX),
        metavar="N",
        default=PAGE_JOBS_DEFAULT,
        help=f"how many at once, up to {PAGE_JOBS_MAX} ({PAGE_JOBS_DEFAULT})",
    )
    listing.add_argument(
        "--page", metavar="TOKEN", default="", help="the next page, as the one before names it"
    )


def _add_show(actions: Verbs) -> None:
    showing = _parser(
        actions,
        "show",
        "show one with its whole error",
        "Show a job with its error. What was typed is private: it is shown on request only, and "
        "the gateway's log says that it was.",
    )
    showing.set_defaults(action="show")
    showing.add_argument(
        "job", type=_identifier, metavar="JOB", help="its id, the user's reference"
    )
    showing.add_argument("--with-text", action="store_true", help="show what was typed, too")


def _add_replay(actions: Verbs) -> None:
    replaying = _parser(
        actions,
        "replay",
        "have one worked again",
        "Have a job worked again, as the newest job of its user, who is answered in the chat. It "
        "is done at most once: a second replay is refused unless the first was set aside too.",
    )
    replaying.set_defaults(action="replay")
    replaying.add_argument(
        "job", type=_identifier, metavar="JOB", help="its id, the user's reference"
    )


def _parser(verbs: Verbs, name: str, line: str, description: str) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name,
        help=line,
        description=description,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help="print one JSON document instead",
    )
    return parser


def _identifier(text: str) -> UUID:
    try:
        return parse_uuid(text)
    except Malformed as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _do(parsed: argparse.Namespace) -> None:
    from user_worker.jobs_command.doing import do

    sys.exit(do(parsed))
