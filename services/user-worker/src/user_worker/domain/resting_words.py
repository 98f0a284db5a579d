"""What users type for an order that waits for a price, told apart. No I/O.

    /limit buy BTC $100 at 60000 7d      /stop BTC 50% 55000      /tp BTC all 80000

The price is the word after "at" or "@"; without one it is the last number when there are two, and
the only one when it has no sign of an amount ($, %, all). Words are told apart here and read
elsewhere; what is missing stays empty. `written` writes them so that they are told apart again in
the same way: that is what buttons and dialogues keep.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from user_worker.domain.amounts import (
    ALL_WORDS,
    CURRENCY_WORDS,
    Ambiguous,
    Unreadable,
    read_size,
    size_text,
    told_apart,
)
from user_worker.domain.orders import Share, Side, Units
from user_worker.domain.resting import EXPIRIES

_SIDES = {
    "buy": Side.BUY,
    "kauf": Side.BUY,
    "kaufe": Side.BUY,
    "kaufen": Side.BUY,
    "sell": Side.SELL,
    "verkauf": Side.SELL,
    "verkaufe": Side.SELL,
    "verkaufen": Side.SELL,
}
_AT = frozenset({"at", "@", "bei", "zu", "um"})
_EXPIRIES = {
    **{name: name for name in EXPIRIES},
    "10min": "10m",
    "60m": "1h",
    "60min": "1h",
    "1d": "24h",
    "1w": "7d",
}


@dataclass(frozen=True, slots=True)
class RestingWords:
    """The words of a command, each empty when it was not said."""

    side: Side | None
    symbol: str
    amount: str
    price: str
    expiry: str
    """One of EXPIRIES, or empty."""


def read_words(typed: str, symbols: Iterable[str]) -> RestingWords:
    """Tell the words apart. Never raises."""
    words = typed.split()
    side = _SIDES.get(words[0].lower()) if words else None
    if side is not None:
        words = words[1:]
    expiry = ""
    for word in words[::-1]:
        if word.lower() in _EXPIRIES:
            expiry = _EXPIRIES[word.lower()]
            words.remove(word)
            break
    price, words = _price_after_at(words)
    asked = told_apart(" ".join(words), symbols)
    amount = asked.amount
    if not price:
        amount, price = _price_at_the_end(asked.amount.split())
    return RestingWords(side, asked.symbol, amount, price, expiry)


def written(words: RestingWords) -> str:
    """Write the words as `read_words` reads them."""
    said = [words.side.value if words.side is not None else "", words.symbol, words.amount]
    if words.price:
        said += ["at", words.price]
    return " ".join(word for word in [*said, words.expiry] if word)


def read_price(typed: str) -> Decimal | tuple[Decimal, Decimal] | None:
    """Read a price: one, the two it may be (marked between thousands, decimal), or none."""
    match read_size(typed, ""):
        case Unreadable() | Share():
            return None
        case Ambiguous(grouped, decimal):
            return grouped.value, decimal.value
        case size:
            return size.value


def price_text(price: Decimal) -> str:
    """Write a price so that it is read in one way only."""
    return size_text(Units(price))


def _price_after_at(words: list[str]) -> tuple[str, list[str]]:
    for place, word in enumerate(words):
        if word.lower() in _AT:
            return _with_unit(words[place + 1 :], words[:place])
        if word.startswith("@"):
            return _with_unit([word[1:], *words[place + 1 :]], words[:place])
    return "", words


def _with_unit(after: list[str], before: list[str]) -> tuple[str, list[str]]:
    length = 2 if len(after) > 1 and after[1].lower() in CURRENCY_WORDS else 1
    return " ".join(after[:length]), before + after[length:]


def _price_at_the_end(amounts: list[str]) -> tuple[str, str]:
    last = len(amounts) - 1
    if last > 0 and amounts[last].lower() in CURRENCY_WORDS:
        last -= 1
    if last < 0 or not _is_bare(amounts[last], can_have_dollar=last > 0):
        return " ".join(amounts), ""
    if last == 0 and len(amounts) > 1:
        # "100 usdt": how much, not at which price.
        return " ".join(amounts), ""
    return " ".join(amounts[:last]), " ".join(amounts[last:])


def _is_bare(word: str, *, can_have_dollar: bool) -> bool:
    if word.lower() in ALL_WORDS or word.endswith("%"):
        return False
    return can_have_dollar or "$" not in word
