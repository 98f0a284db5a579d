"""What a dialogue waits for. No I/O.

A dialogue's state may be lost without harm: nothing is decided by it but how the next typed line
is understood. After a loss the bot says "please start again".

A line that is understood does not take the state away but writes its job's id into it: the job may
run again after a crash and must understand its line in the same way, while every other line finds
the dialogue at its end.
"""

from dataclasses import dataclass
from uuid import UUID

from user_worker.domain.orders import Side


@dataclass(frozen=True, slots=True)
class AwaitingAmount:
    """The next typed line is how much of `symbol` to buy or sell."""

    side: Side
    symbol: str
    answered_by: UUID | None = None
    """The job that understood its line as the answer, if one did."""


@dataclass(frozen=True, slots=True)
class AwaitingSymbol:
    """The next typed line is what to buy or sell."""

    side: Side
    amount: str = ""
    """How much, as typed before; empty when not said yet."""
    answered_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class AwaitingWords:
    """The next typed line goes on with the words of a command: `/limit buy BTC` and "$100"."""

    command: str
    words: str
    """What was said before, as one would type it."""
    answered_by: UUID | None = None


Session = AwaitingAmount | AwaitingSymbol | AwaitingWords
