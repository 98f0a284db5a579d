"""What happened in a run, as the people outside saw it: one record each, kept as lines of JSON.

Times are seconds since the epoch. Everything runs on one machine, so one clock gives these times
and the database's. A record is written when it is made, so that a driver which is killed leaves
what it knew.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from types import TracebackType

import msgspec


class Said(msgspec.Struct, frozen=True, tag="said", tag_field="what"):
    """A user sent a text; Telegram took it."""

    at: float
    user: int
    update_id: int
    message_id: int
    text: str


class Pressed(msgspec.Struct, frozen=True, tag="pressed", tag_field="what"):
    """A user pressed a button; Telegram took it."""

    at: float
    user: int
    update_id: int
    press_id: str
    message_id: int
    data: str


class Heard(msgspec.Struct, frozen=True, tag="heard", tag_field="what"):
    """The bot's message as a chat showed it, once more after each edit that was seen."""

    at: float
    user: int
    message_id: int
    text: str
    edited: bool
    buttons: tuple[str, ...] = ()


class Placed(msgspec.Struct, frozen=True, tag="placed", tag_field="what"):
    """A shard's row in placement, when it differed from the sample before."""

    at: float
    """When the sample was asked for."""
    shard: int
    owner: str | None
    incarnation: str | None
    epoch: int
    desired_owner: str | None = None
    ownerless_since: float | None = None
    """The database's own time of the release, while nobody has claimed it."""
    seen_by: float | None = None
    """When the sample had been read: the row was so at some moment from `at` to here."""
    still_before_at: float | None = None
    """When the sample before was asked for, which still had the row that was recorded before."""


class Quoted(msgspec.Struct, frozen=True, tag="quoted", tag_field="what"):
    """A price as pricing stated it."""

    at: float
    symbol: str
    price: Decimal


class Struck(msgspec.Struct, frozen=True, tag="struck", tag_field="what"):
    """A fault was done."""

    at: float
    kind: str
    target: str
    over_at: float
    """When it was taken back, or, of what is over at once, `at`."""


class Phase(msgspec.Struct, frozen=True, tag="phase", tag_field="what"):
    """A part of the run began."""

    at: float
    name: str


Record = Said | Pressed | Heard | Placed | Quoted | Struck | Phase
_DECODER = msgspec.json.Decoder(Record)


class HistoryFile:
    """Appends records to a file and keeps them."""

    def __init__(self, path: Path) -> None:
        self.records: list[Record] = []
        self._file = path.open("ab")

    def __enter__(self) -> "HistoryFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, record: Record) -> None:
        """Write a record down."""
        self.records.append(record)
        self._file.write(msgspec.json.encode(record) + b"\n")


def read_history(lines: Iterable[bytes]) -> Iterator[Record]:
    """Read records back. Raises `msgspec.DecodeError` for a line that is none."""
    return (_DECODER.decode(line) for line in lines)
