"""What can go wrong in the gateway, named after what the caller should do.

chassis.errors       CallerMistake, NotFound, StaleClaim, TryAgain, LimitReached, CannotStart
CannotStart
└── WrongToken       set the token that @BotFather shows, start again
RowsRefused          halve the batch: the database takes no such data from at least one row
MoveOvertaken        look where the users are and where there is room, and move anew
RoomsDisagree        nothing was moved: a person must find out why a room knows a user elsewhere
TelegramFailure      a call of the Bot API did not succeed
├── RetryLater       the same call may succeed after `delay_seconds` (None: our own backoff)
├── TokenRefused     nothing works until a person sets the right token
├── UserBlockedBot   remember it; nothing reaches this user
├── MessageGone      an edit has nothing to change: send a message of its own
├── MarkupRefused    send it again as plain text
├── AlreadySo        there is nothing left to do; as good as success
└── CallRefused      final: keep the error, go on
"""

from chassis.errors import CannotStart


class WrongToken(CannotStart):
    """Telegram does not know the token in the settings."""

    def __init__(self) -> None:
        super().__init__(
            "Telegram does not know the bot token: set GATEWAY_BOT_TOKEN to the one that "
            "@BotFather shows."
        )


class RowsRefused(Exception):  # noqa: N818 (named after what happened to the rows)
    """At least one row of a batch holds what the database cannot keep."""


class MoveOvertaken(Exception):  # noqa: N818
    """What a move was planned from stands no more; nothing was changed."""


class RoomsDisagree(Exception):  # noqa: N818
    """A room knows a user in another shard than the directory does; nothing was changed."""


class TelegramFailure(Exception):  # noqa: N818
    """A call of the Bot API did not succeed.

    The text is Telegram's description; it holds no secret.
    """


class RetryLater(TelegramFailure):
    """Telegram is busy or away; `delay_seconds` is Telegram's own wish, None when it has none."""

    def __init__(self, failure: str, delay_seconds: float | None = None) -> None:
        super().__init__(failure)
        self.delay_seconds = delay_seconds


class TokenRefused(TelegramFailure):
    """Telegram does not know the bot token, or no longer."""


class UserBlockedBot(TelegramFailure):
    """Telegram answers 403: the user blocked the bot or is gone."""


class MessageGone(TelegramFailure):
    """The message to edit is not there or too old to be edited."""


class MarkupRefused(TelegramFailure):
    """Telegram cannot parse the markup."""


class AlreadySo(TelegramFailure):
    """The message already says so, or the press was too old to be answered."""


class CallRefused(TelegramFailure):
    """Telegram will never accept this call."""
