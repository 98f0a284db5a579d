"""What users send, and how often: the mix every load names. Pure.

A trade is two updates: the command, and the button under the card, which is pressed as soon as the
card is there. Shares are of the messages people begin with; presses come on top.
"""

import random
import re
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a user wants."""

    START = "start"
    PRICE = "price"
    TICKER = "ticker"
    PORTFOLIO = "portfolio"
    BUY = "buy"
    SELL = "sell"
    HISTORY = "history"
    HELP = "help"
    CONFIRM = "confirm"
    """The button of a card; never begun with."""


TRADES = frozenset({Kind.BUY, Kind.SELL})
SYMBOLS = ("BTC", "ETH", "SOL")
"""Most of the world's volume; those who trade other things ask in the same way."""

ANSWERS = {
    Kind.START: re.compile(r"Welcome aboard"),
    Kind.PRICE: re.compile(r"(BTC|ETH|SOL)\s+[0-9,.]+ USDT"),
    Kind.TICKER: re.compile(r"(BTC|ETH|SOL)\s+[0-9,.]+ USDT"),
    Kind.PORTFOLIO: re.compile(r"Portfolio: |There is nothing here yet"),
    Kind.BUY: re.compile(r"Buy (BTC|ETH|SOL)\?"),
    Kind.SELL: re.compile(r"Sell (BTC|ETH|SOL)\?"),
    Kind.HISTORY: re.compile(r"Your trades"),
    Kind.HELP: re.compile(r"What you can do"),
    Kind.CONFIRM: re.compile(r"Receipt"),
}
"""What a right answer says, of either bot; anything else is counted as a refusal."""

PENDING = re.compile(r"^◷ (Buying|Selling) .*is under way")
"""What is said of an order that takes long: no answer yet, its outcome follows by itself."""


@dataclass(frozen=True)
class Mix:
    """A named mix."""

    name: str
    shares: dict[Kind, int]
    """Of the messages people begin with, in percent."""

    def __str__(self) -> str:
        parts = ", ".join(f"{kind} {share} %" for kind, share in self.shares.items())
        return f"{self.name} ({parts}; each card's button is pressed)"

    def draw(self, chance: random.Random) -> Kind:
        """Draw what somebody begins with."""
        return chance.choices(list(self.shares), weights=list(self.shares.values()))[0]

    @property
    def updates_per_message(self) -> float:
        """How many updates one message begun comes to, presses included."""
        trades = sum(share for kind, share in self.shares.items() if kind in TRADES)
        return 1 + trades / sum(self.shares.values())


DAY = Mix(
    "day",
    {
        Kind.PRICE: 25,
        Kind.TICKER: 15,
        Kind.PORTFOLIO: 15,
        Kind.BUY: 14,
        Kind.SELL: 6,
        Kind.HISTORY: 12,
        Kind.HELP: 8,
        Kind.START: 5,
    },
)
"""A believable day: people look far more often than they act."""

JUMP = Mix("jump", {Kind.PRICE: 40, Kind.PORTFOLIO: 20, Kind.SELL: 25, Kind.BUY: 15})
"""What they do when a price jumps: look, and get out or in."""

START_ONLY = Mix("start", {Kind.START: 100})
PURCHASES = Mix("purchases", {Kind.BUY: 50, Kind.PRICE: 50})
"""For crashes: each purchase has an amount of its own, so that it is found in the books again."""


def text_of(kind: Kind, symbol: str, cents: int) -> str:
    """Write the message. `cents` makes the amount of a trade: a purchase is of 20 USDT and more, a
    sale of less than 10, so that whoever bought once can sell.
    """
    match kind:
        case Kind.PRICE:
            return f"/price {symbol}"
        case Kind.TICKER:
            return symbol
        case Kind.BUY:
            return f"/buy {symbol} ${20 + cents // 100}.{cents % 100:02}"
        case Kind.SELL:
            return f"/sell {symbol} ${5 + cents // 100 % 5}.{cents % 100:02}"
        case _:
            return f"/{kind}"
