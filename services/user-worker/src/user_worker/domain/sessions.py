"""What a dialogue waits for. No I/O.

A dialogue's state may be lost without harm: nothing is decided by it but how the next typed line
is understood. After a loss the bot says "please start again".
"""

from dataclasses import dataclass

from user_worker.domain.orders import Side


@dataclass(frozen=True, slots=True)
class AwaitingAmount:
    """The next typed line is how much of `symbol` to buy or sell."""

    side: Side
    symbol: str


@dataclass(frozen=True, slots=True)
class AwaitingSymbol:
    """The next typed line is what to buy or sell."""

    side: Side


Session = AwaitingAmount | AwaitingSymbol
