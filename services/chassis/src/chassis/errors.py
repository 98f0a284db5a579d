"""What can go wrong, named after what the caller should do about it.

    ServiceError               `chassis.grpc_calls` gives it a gRPC status at the door
    ├── CallerMistake          INVALID_ARGUMENT     mend the call; the same again cannot succeed
    │   └── MalformedRequest   … MALFORMED          mend the named field
    ├── NotFound               NOT_FOUND            what was named is not there
    ├── AlreadyExists          ALREADY_EXISTS       it is there and is something else
    ├── Refused                FAILED_PRECONDITION  allowed in another state; the reason says which
    │   ├── StaleClaim         … STALE_EPOCH        stop writing for the shard: a newer claim is out
    │   └── ShardMismatch      … SHARD_MISMATCH     another shard has the user: ask the directory
    ├── LimitReached           RESOURCE_EXHAUSTED   ask for less, or later
    ├── NotIdentified          … NO_IDENTITY        UNAUTHENTICATED: show a certificate of yours
    ├── NotAllowed             … NOT_ALLOWED        PERMISSION_DENIED: it is not yours to call
    └── TryAgain               UNAVAILABLE          the same may succeed after `delay_seconds`
    CannotStart                exit status 1        one sentence for who starts the program
    ├── BadSettings            exit status 2        the same about settings
    └── NotYet                 exit status 1        the same about what may come by itself: wait

A message is shown to whoever called: it holds no secret and no text of another exception. `reason`
is a word in capitals for programs (`STALE_EPOCH`); it travels as the trailing metadata
`purser-reason`.
"""

# ruff: noqa: N818 (errors are named after what the caller should do)

from collections.abc import Callable
from typing import TypeVar

from kernel.malformed import Malformed

_Sent = TypeVar("_Sent")
_Read = TypeVar("_Read")


class ServiceError(Exception):
    """The root of what a door translates."""

    reason: str = ""

    def __init__(self, message: str = "", *, reason: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").partition("\n")[0])
        if reason:
            self.reason = reason


class CallerMistake(ServiceError):
    """The call is malformed; the same again cannot succeed."""


class MalformedRequest(CallerMistake):
    """A field of the request is not what the contract says."""

    reason = "MALFORMED"

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected}")
        self.field = field


def read_field(field: str, read: Callable[[_Sent], _Read], sent: _Sent) -> _Read:
    """Read what was sent in a field; MalformedRequest names it when `read` finds it Malformed."""
    try:
        return read(sent)
    except Malformed as error:
        raise MalformedRequest(field, str(error)) from error


class NotFound(ServiceError):
    """What the call names is not there."""


class AlreadyExists(ServiceError):
    """What the call names is there already and is something else."""


class Refused(ServiceError):
    """The state of things forbids it; the reason says what would have to change."""


class StaleClaim(Refused):
    """A newer claim of the shard is out; stop writing for it."""

    reason = "STALE_EPOCH"


class ShardMismatch(Refused):
    """The claim is valid, and the user belongs to another shard."""

    reason = "SHARD_MISMATCH"


class LimitReached(ServiceError):
    """A named limit is reached; ask for less, or later."""


class NotIdentified(ServiceError):
    """The caller's certificate must name one identity, spiffe://purser.dev/<part>"""

    reason = "NO_IDENTITY"


class NotAllowed(ServiceError):
    """The caller is known and may not call this method."""

    reason = "NOT_ALLOWED"


class TryAgain(ServiceError):
    """Something the service needs is away; the same call may succeed later."""

    def __init__(self, message: str = "", *, delay_seconds: float = 1.0, reason: str = "") -> None:
        super().__init__(message, reason=reason)
        self.delay_seconds = delay_seconds


class CannotStart(Exception):
    """The program cannot run as things are; the message is one sentence for a person."""


class BadSettings(CannotStart):
    """Settings are missing or malformed; every problem is one sentence."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class NotYet(CannotStart):
    """What the program needs at its start is not there yet: a server, its role, its schema."""
