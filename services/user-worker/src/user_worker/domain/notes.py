"""Notes: what a user is told though no job asked, beside the ends of orders. No I/O.

A note holds all that its sentence needs, so that it can be told when what it is about has gone. It
is written with what it tells, in one transaction, and its kind and subject make it unique. A new
kind is a class here, in `Note`, and a sentence in `conversation.notices`.

A note that a later version wrote is UnknownNote to this one: it is kept for that version, and keeps
no others back.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import msgspec


class AlertReached(msgspec.Struct, frozen=True, tag_field="kind", tag="alert-reached"):
    """A price somebody wanted to be told of was reached."""

    symbol: str
    currency: str
    direction: Literal["at-or-below", "at-or-above"]
    price: Decimal
    """What the user named."""
    quoted: Decimal
    """What was quoted when it was reached."""
    is_simulated: bool


class AlertExpired(msgspec.Struct, frozen=True, tag_field="kind", tag="alert-expired"):
    """The price was not reached in time."""

    symbol: str
    direction: Literal["at-or-below", "at-or-above"]
    price: Decimal


class RestingExpired(msgspec.Struct, frozen=True, tag_field="kind", tag="resting-expired"):
    """An order waited in vain for its price."""

    resting: Literal["limit", "stop", "take-profit"]
    side: Literal["buy", "sell"]
    symbol: str
    currency: str
    trigger_price: Decimal
    receipt: str


class RestingPlaced(msgspec.Struct, frozen=True, tag_field="kind", tag="resting-placed"):
    """An order waits for its price, told since the job that confirmed it said otherwise."""

    resting: Literal["limit", "stop", "take-profit"]
    side: Literal["buy", "sell"]
    symbol: str
    receipt: str


class RunSkipped(msgspec.Struct, frozen=True, tag_field="kind", tag="run-skipped"):
    """A run of a plan ordered nothing."""

    symbol: str
    size: str
    """As `amounts.size_text` writes it."""
    reason: str | None
    """A value of `orders.Refused`; None: there was no price."""


class PlanPaused(msgspec.Struct, frozen=True, tag_field="kind", tag="plan-paused"):
    """A plan pauses: its last runs all found too little money."""

    symbol: str
    size: str
    runs_in_a_row: int


class PlanFinished(msgspec.Struct, frozen=True, tag_field="kind", tag="plan-finished"):
    """A plan had all its runs."""

    symbol: str
    size: str
    runs: int


class CopySkipped(msgspec.Struct, frozen=True, tag_field="kind", tag="copy-skipped"):
    """A leader's trade could not be copied."""

    code: str
    side: Literal["buy", "sell"]
    symbol: str
    reason: str
    """A value of `orders.Refused`."""


class CopiesMissed(msgspec.Struct, frozen=True, tag_field="kind", tag="copies-missed"):
    """Trades of a leader were not copied in time."""

    code: str
    count: int
    fresh_seconds: float = 600.0
    """How long they might have been copied. The default is what a version meant that kept none."""


class CopyEnded(msgspec.Struct, frozen=True, tag_field="kind", tag="copy-ended"):
    """A leader stopped sharing."""

    code: str


Note = (
    AlertReached
    | AlertExpired
    | RestingExpired
    | RestingPlaced
    | RunSkipped
    | PlanPaused
    | PlanFinished
    | CopySkipped
    | CopiesMissed
    | CopyEnded
)


@dataclass(frozen=True, slots=True)
class UnknownNote:
    """A note this version cannot read."""

    kind: str


def kind_of(note: Note) -> str:
    """Name the kind of a note."""
    return str(note.__struct_config__.tag)


def encode_note(note: Note) -> str:
    """Write a note as JSON."""
    return msgspec.json.encode(note).decode()


def decode_note(kind: str, details: str) -> Note | UnknownNote:
    """Read what `encode_note` wrote."""
    note: Note
    try:
        note = msgspec.json.decode(details, type=Note)
    except msgspec.MsgspecError:
        return UnknownNote(kind)
    return note
