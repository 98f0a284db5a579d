"""What can be typed after `users`. Nothing of the room is imported before it is understood."""

import argparse
import re
import sys

from chassis.command_line import Verbs, whole_number
from kernel.malformed import Malformed
from kernel.sharding import SHARD_MAX, check_pool

LIST_USERS_MAX = 1000
LIST_USERS_DEFAULT = 50
"""What fits on a screen."""
MOVE_USERS_MAX = 1_000_000
TELEGRAM_ID_MAX = 2**63 - 1
"""PostgreSQL's bigint."""

DESCRIPTION = """\
Which pool users are in. A pool is named <namespace>.<name>, as its UserShard. This talks to the
database as GATEWAY_USERS_DATABASE_URL says, with the role purser_user_mover."""

EXAMPLES = """\
examples:
  python -m gateway users show 123456789
  python -m gateway users admit 123456789 --pool default.fast
  python -m gateway users list --pool default.fast
  python -m gateway users move 123456789 --pool default.fast
  python -m gateway users move --from default.main --limit 500 --pool default.fast
"""

EXIT_STATUS = """\
exit status: 0 done; 1 it failed; 2 the arguments or the settings are wrong; 3 no such user or pool;
4 nothing was done: it is so already"""

_AFTER = re.compile(r"([0-9]{1,10})/([0-9]{1,19})")


def add_verb(verbs: Verbs) -> None:
    """Add `users` and what it can do."""
    users = _parser(verbs, "users", "say where users are, and move them between pools", DESCRIPTION)
    users.set_defaults(do=lambda _parsed: users.error("show, admit, list or move?"))
    actions = users.add_subparsers(title="actions", metavar="ACTION")
    _add_show(actions)
    _add_admit(actions)
    _add_list(actions)
    _add_move(actions)


def _add_show(actions: Verbs) -> None:
    showing = _parser(
        actions,
        "show",
        "say where somebody is",
        "Say which pool and shard a user is in, or that a stranger is invited.",
    )
    showing.set_defaults(do=_do, action="show")
    _add_telegram_id(showing)


def _add_admit(actions: Verbs) -> None:
    admitting = _parser(
        actions,
        "admit",
        "invite a stranger to a pool",
        "Have a stranger admitted to a pool when he first writes, whatever the rules say and also "
        "when the pool accepts no new users. A later invitation replaces an earlier one.",
    )
    admitting.set_defaults(do=_do, action="admit")
    _add_telegram_id(admitting)
    _add_pool(admitting)


def _add_list(actions: Verbs) -> None:
    listing = _parser(
        actions,
        "list",
        "list users of a pool",
        "List users of a pool by shard and Telegram id, and after the last one the strangers who "
        "are invited to it.",
    )
    listing.set_defaults(do=_do, action="list")
    _add_pool(listing)
    listing.add_argument(
        "--limit",
        type=whole_number(1, LIST_USERS_MAX),
        metavar="N",
        default=LIST_USERS_DEFAULT,
        help=f"how many at once, up to {LIST_USERS_MAX} ({LIST_USERS_DEFAULT})",
    )
    listing.add_argument(
        "--after",
        type=_after,
        metavar="SHARD/TELEGRAM_ID",
        default=(-1, 0),
        help="the next ones, as the list before says",
    )


def _add_move(actions: Verbs) -> None:
    moving = _parser(
        actions,
        "move",
        "move users to a pool",
        "Move a user, or the users of a pool, to another pool with all that is theirs. Jobs and "
        "orders under way go on there; users of the two shards wait a moment, nobody else does. "
        "What was interrupted is resumed by the same command: a user is in one pool or in the "
        "other, and who is there already is left alone.",
    )
    moving.set_defaults(do=_do, action="move")
    who = moving.add_mutually_exclusive_group(required=True)
    who.add_argument(
        "telegram_id", nargs="?", type=whole_number(1, TELEGRAM_ID_MAX), metavar="TELEGRAM_ID"
    )
    who.add_argument("--from", dest="source", type=_pool, metavar="POOL", help="all of this pool")
    moving.add_argument(
        "--limit",
        type=whole_number(1, MOVE_USERS_MAX),
        metavar="N",
        default=MOVE_USERS_MAX,
        help="with --from: so many of them at most",
    )
    _add_pool(moving)


def _add_telegram_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "telegram_id",
        type=whole_number(1, TELEGRAM_ID_MAX),
        metavar="TELEGRAM_ID",
        help="Telegram's number of them",
    )


def _add_pool(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pool", type=_pool, metavar="POOL", required=True, help="<namespace>.<name>"
    )


def _parser(verbs: Verbs, name: str, line: str, description: str) -> argparse.ArgumentParser:
    return verbs.add_parser(
        name,
        help=line,
        description=description,
        epilog=f"{EXAMPLES}\n{EXIT_STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _pool(text: str) -> str:
    try:
        return check_pool(text)
    except Malformed as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _after(text: str) -> tuple[int, int]:
    found = _AFTER.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError("expected SHARD/TELEGRAM_ID")
    return whole_number(0, SHARD_MAX)(found[1]), whole_number(0, TELEGRAM_ID_MAX)(found[2])


def _do(parsed: argparse.Namespace) -> None:
    from gateway.users_command.doing import do

    sys.exit(do(parsed))
