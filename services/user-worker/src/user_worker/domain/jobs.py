"""What a user did, as the conversation sees it.

A job is read leniently: the front that wrote it may be one version older or newer, so an input
this version has no name for becomes `Unsupported`, which is answered politely.
"""

import enum
from dataclasses import dataclass
from uuid import UUID

from kernel.sharding import ShardKey


@dataclass(frozen=True, slots=True)
class Command:
    """A command such as /start."""

    name: str
    """In lower case, without slash and bot name. May be unknown to us."""
    arguments: str = ""
    """What followed it; any character."""


@dataclass(frozen=True, slots=True)
class Text:
    """Typed text that is no command; any character."""

    text: str


@dataclass(frozen=True, slots=True)
class Press:
    """A press of a button. Anyone can send any data: it is checked against the user's own state."""

    data: str
    message_key: str = ""
    """The key of the pressed message; empty when it is not one of ours or not known any more."""
    press_id: str = ""
    """To be given back in AnswerPress."""


class UnsupportedKind(enum.Enum):
    """What the conversation cannot use."""

    OTHER = "other"
    ATTACHMENT = "attachment"
    EDIT = "edit"
    TOO_LONG = "too-long"


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Something a trading bot has no use for."""

    kind: UnsupportedKind = UnsupportedKind.OTHER


Input = Command | Text | Press | Unsupported


@dataclass(frozen=True, slots=True)
class Job:
    """One thing one user did, accepted into the inbox."""

    job_id: UUID
    """The cause of every effect the job has."""
    key: ShardKey
    """The user's shard."""
    user_id: UUID
    user_seq: int
    """The place in the user's own order: 1, 2, 3 … without a gap."""
    accepted_at: float
    """Seconds since 1970 in database time; 0 when unknown."""
    input: Input
    language_code: str = ""
    """What the front reported, a BCP 47 tag; empty when unknown."""
    display_name: str = ""
    """As typed by the user: never trusted as markup."""
    traceparent: str = ""
    size: int = 0
    """Bytes it took on the wire; what the bounds on memory count."""
