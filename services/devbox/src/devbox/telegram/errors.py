# ruff: noqa: N818 -- the names are those of HTTP and Telegram, which end in no Error
"""What can go wrong with a call, named after what the caller should do.

    SimulatorError
    ├── BotApiError             a Bot API call: code, description and parameters, as Telegram's
    │   ├── BadRequest          400  change the call
    │   ├── Unauthorized        401  use the right token
    │   ├── Forbidden           403  stop writing to this chat
    │   ├── NotFound            404  call a method that exists
    │   ├── Conflict            409  stop the other poller, or the webhook
    │   ├── TooLarge            413  send less
    │   ├── TooManyRequests     429  wait `retry_after` seconds
    │   ├── InternalError       500  try again
    │   └── NotSimulated        501  use another method: Telegram has it, the simulator has not
    └── ControlError            a control API call: status and one sentence
        ├── InvalidControl      400  change the request
        ├── NoSuchThing         404  name something that exists
        ├── NotPossibleNow      409  change the state first
        └── SimulatorFull       503  acknowledge updates, or make fewer

`server` turns the first into `{"ok": false, "error_code", "description", "parameters"}`, the
second into `{"error": sentence}`.
"""

from typing import Any


class SimulatorError(Exception):
    """Anything the caller is told about."""


class BotApiError(SimulatorError):
    """Refuses a Bot API call. `description` goes to the bot after the code's usual prefix."""

    code = 500
    prefix = "Internal Server Error"

    def __init__(self, description: str = "", **parameters: Any) -> None:
        self.description = f"{self.prefix}: {description}" if description else self.prefix
        self.parameters = parameters
        super().__init__(self.description)


class BadRequest(BotApiError):
    """Telegram refuses the call as it is."""

    code, prefix = 400, "Bad Request"


class Unauthorized(BotApiError):
    """The token in the address is not the bot's."""

    code, prefix = 401, "Unauthorized"


class Forbidden(BotApiError):
    """The user does not want to hear from the bot."""

    code, prefix = 403, "Forbidden"


class NotFound(BotApiError):
    """Telegram has no such method or file."""

    code, prefix = 404, "Not Found"


class Conflict(BotApiError):
    """Two ways of getting updates exclude each other."""

    code, prefix = 409, "Conflict"


class TooLarge(BotApiError):
    """The request is larger than Telegram takes."""

    code, prefix = 413, "Request Entity Too Large"


class TooManyRequests(BotApiError):
    """Carries `parameters.retry_after`, whole seconds as Telegram's."""

    code, prefix = 429, "Too Many Requests"

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"retry after {retry_after}", retry_after=retry_after)


class InternalError(BotApiError):
    """Telegram failed; the call had no effect."""

    code, prefix = 500, "Internal Server Error"


class NotSimulated(BotApiError):
    """Telegram has this, the simulator has not."""

    code, prefix = 501, "Not Implemented"


class ControlError(SimulatorError):
    """Refuses a control API call with one sentence."""

    status = 400


class InvalidControl(ControlError):
    """The request is not of the right shape, or a value out of its range."""

    status = 400


class NoSuchThing(ControlError):
    """What the request names does not exist."""

    status = 404


class NotPossibleNow(ControlError):
    """The state of things does not allow it."""

    status = 409


class SimulatorFull(ControlError):
    """A limit of the simulator is met."""

    status = 503
