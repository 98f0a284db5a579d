"""What a person reads of users. Numbers and names of ours only: nothing that users typed."""

from collections.abc import Sequence
from datetime import datetime

from gateway.postgres import UserRow
from gateway.users_command.moving import Moved


def one(user: UserRow) -> str:
    """Show a user with all that is known of where they are."""
    pairs = [
        ("telegram", str(user.telegram_id)),
        ("user", str(user.user_id)),
        ("shard", f"{user.pool}/{user.shard}"),
        ("admitted", _moment(user.created_at)),
        ("sent", str(user.last_user_seq)),
        ("blocked", "no" if user.blocked_at is None else f"since {_moment(user.blocked_at)}"),
    ]
    return "\n".join(f"{name:<10} {value}" for name, value in pairs)


INVITED_SHOWN_MAX = 50
"""Strangers named below a list; of more it says so."""


def page(users: Sequence[UserRow], invited: Sequence[int], *, is_full: bool) -> str:
    """Show a list, one user a line, and how to see the next ones; after the last one, who is
    invited and has not come.
    """
    lines = _lines(users) if users else ["Nobody."]
    if is_full:
        lines.append(f"more: list --after {users[-1].shard}/{users[-1].telegram_id}")
    elif invited:
        more = ", …" if len(invited) > INVITED_SHOWN_MAX else ""
        lines.append(f"invited: {', '.join(map(str, invited[:INVITED_SHOWN_MAX]))}{more}")
    return "\n".join(lines)


def _lines(users: Sequence[UserRow]) -> list[str]:
    head = ("SHARD", "TELEGRAM", "ADMITTED", "SENT", "USER")
    rows = [head, *(_row(user) for user in users)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def moved(move: Moved) -> str:
    """Say who was moved, and where to."""
    source = move.users[0].key
    who = str(move.users[0].telegram_id) if len(move.users) == 1 else f"{len(move.users)} users"
    return f"Moved {who} from {source} to {move.target}."


def _row(user: UserRow) -> tuple[str, ...]:
    return (
        str(user.shard),
        str(user.telegram_id),
        _moment(user.created_at),
        str(user.last_user_seq),
        str(user.user_id),
    )


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"
