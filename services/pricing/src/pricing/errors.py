"""What pricing refuses, named after what the caller should do about it.

chassis.errors
├── CallerMistake
│   └── MalformedRequest   mend the named field; the same request again cannot help
├── NotFound
│   └── UnknownSymbol      it has no price here
├── LimitReached
│   └── TooManyWatches     watch through another replica, or end a watch
├── TryAgain
│   └── NoQuotes           no source has answered yet
└── CannotStart
    └── MalformedMarket    mend PRICING_SIMULATION_INSTRUMENTS or PRICING_EXCHANGE_INSTRUMENTS

`chassis.grpc_calls` translates them at the door.
"""

from collections.abc import Sequence

from chassis.errors import CannotStart, LimitReached, NotFound, TryAgain


class UnknownSymbol(NotFound):
    """The symbol has no price here."""

    def __init__(self, symbol: str) -> None:
        super().__init__(f"{symbol} has no price here")


class TooManyWatches(LimitReached):
    """This replica serves as many watches as it may."""


class NoQuotes(TryAgain):
    """No source has stated a price yet."""

    def __init__(self, symbols: Sequence[str]) -> None:
        super().__init__(f"no source has answered yet for {', '.join(symbols)}")


class MalformedMarket(CannotStart):
    """A market is described in a way nobody can read."""
