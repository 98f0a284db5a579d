"""What users type for an amount, read exactly or not at all. No I/O.

    0.5   0,5   1,000.50   1.000,50   $100   100 usdt   0.5 btc   50%   all

Both marks, the point and the comma, are understood in both roles where the text itself says which
is which: two different marks (the last one is the decimal mark), a mark that comes twice, a group
that is not three digits long. `1,234` says nothing of the kind: it is Ambiguous, and whoever asked
shows both readings instead of guessing. Nothing is rounded and nothing is left out: every digit
that was typed is in what comes back, and what holds any other character than those named here is
Unreadable, lookalike digits and invisible marks included.
"""

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from kernel.money import FRACTION_DIGITS_MAX, INTEGER_DIGITS_MAX, exact, format_amount
from user_worker.domain.orders import Money, Share, Size, Units

TYPED_CHARACTERS_MAX = 64
"""Longer is no amount anybody meant."""
CURRENCY_WORDS = frozenset({"$", "usdt", "usd"})
"""How people write the quote currency: the play money is worth a dollar by agreement."""
ALL_WORDS = frozenset({"all", "max", "everything", "alles", "alle", "maximum"})

_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " "})
"""What our own numbers hold when they are copied from the chat."""
_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)*|[.,][0-9]+")
_PARTS = re.compile(
    r"(?P<minus>[-\u2212]?) ?(?P<dollar>\$?) ?(?P<minus2>[-\u2212]?)"
    r"(?P<number>[0-9.,]+) ?(?P<unit>%|\$|[A-Za-z]{0,16})"
)
_GROUP_DIGITS = 3


class Problem(enum.Enum):
    """Why an amount cannot be read. The conversation has a sentence for each."""

    NOT_A_NUMBER = "not-a-number"
    STRANGE_CHARACTERS = "strange-characters"
    """Digits of another script, invisible marks, letters that only look like ours."""
    NEGATIVE = "negative"
    ZERO = "zero"
    TOO_LONG = "too-long"
    TOO_MANY_DIGITS = "too-many-digits"
    OVER_ALL = "over-all"
    """More than 100 %."""
    OTHER_UNIT = "other-unit"
    """A unit that is neither the currency nor what is traded."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Not an amount."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """An amount that can be read in two ways: with the mark between thousands, and as decimal."""

    grouped: Size
    decimal: Size


def read_size(typed: str, symbol: str) -> Size | Ambiguous | Unreadable:
    """Read how much of `symbol` to trade. Never raises, whatever was typed."""
    text = typed.translate(_SPACES).strip(" \t\r\n")
    if len(text) > TYPED_CHARACTERS_MAX:
        return Unreadable(Problem.TOO_LONG)
    if not all(" " <= character <= "~" or character == "\u2212" for character in text):
        return Unreadable(Problem.STRANGE_CHARACTERS)
    if text.lower() in ALL_WORDS:
        return Share(Decimal(1))
    parts = _PARTS.fullmatch(text)
    if parts is None or not _NUMBER.fullmatch(parts["number"]):
        return Unreadable(Problem.NOT_A_NUMBER)
    if parts["minus"] or parts["minus2"]:
        return Unreadable(Problem.NEGATIVE)
    kind = _kind_of(parts["dollar"], parts["unit"].lower(), symbol)
    if kind is None:
        return Unreadable(Problem.OTHER_UNIT)
    return _sized(parts["number"], kind)


def _kind_of(dollar: str, unit: str, symbol: str) -> type[Units] | type[Money] | type[Share] | None:
    if dollar:
        return Money if not unit or unit in CURRENCY_WORDS - {"$"} else None
    if not unit or unit == symbol.lower():
        return Units
    if unit in CURRENCY_WORDS:
        return Money
    return Share if unit == "%" else None


def _sized(
    number: str, kind: type[Units] | type[Money] | type[Share]
) -> Size | Ambiguous | Unreadable:
    values = _readings(number)
    sizes = [_size_of(value, kind) for value in values] if values else []
    for size in sizes:
        if isinstance(size, Unreadable):
            return size
    readable = [size for size in sizes if not isinstance(size, Unreadable)]
    if not readable:
        return Unreadable(Problem.NOT_A_NUMBER)
    return readable[0] if len(readable) == 1 else Ambiguous(*readable)


def _readings(number: str) -> list[str]:
    """Give the plain decimals a number may stand for: none, one, or grouped and decimal."""
    marks = [character for character in number if character in ".,"]
    if not marks:
        return [number]
    if len(set(marks)) > 1:
        whole, _, fraction = number.rpartition(marks[-1])
        is_clear = marks.count(marks[-1]) == 1
        return [f"{_ungrouped(whole)}.{fraction}"] if is_clear and _is_grouped(whole) else []
    if len(marks) > 1:
        return [_ungrouped(number)] if _is_grouped(number) else []
    whole, _, fraction = number.partition(marks[0])
    decimal = f"{whole or '0'}.{fraction}"
    if _is_grouped(number):
        return [_ungrouped(number), decimal]
    return [decimal]


def _is_grouped(number: str) -> bool:
    first, *groups = re.split("[.,]", number)
    return (
        0 < len(first) <= _GROUP_DIGITS
        and not first.startswith("0")
        and all(len(group) == _GROUP_DIGITS for group in groups)
    )


def _ungrouped(number: str) -> str:
    return number.replace(".", "").replace(",", "")


def _size_of(plain: str, kind: type[Units] | type[Money] | type[Share]) -> Size | Unreadable:
    whole, _, fraction = plain.partition(".")
    if len(whole.lstrip("0")) > INTEGER_DIGITS_MAX or len(fraction) > FRACTION_DIGITS_MAX:
        return Unreadable(Problem.TOO_MANY_DIGITS)
    value = Decimal(plain)
    if not value:
        return Unreadable(Problem.ZERO)
    if kind is not Share:
        return kind(value)
    if value > 100:
        return Unreadable(Problem.OVER_ALL)
    if len(fraction.rstrip("0")) > FRACTION_DIGITS_MAX - 2:
        return Unreadable(Problem.TOO_MANY_DIGITS)
    with exact():
        return Share(value / 100)


def size_text(size: Size) -> str:
    """Write a size so that `read_size` reads it back, in one way only: "0.5", "$100", "50%"."""
    match size:
        case Units(value):
            return _clear(value)
        case Money(value):
            return f"${_clear(value)}"
        case Share(value):
            with exact():
                return f"{_clear(value * 100)}%"


def _clear(value: Decimal) -> str:
    """Write a number whose mark cannot be taken for one between thousands."""
    plain = format_amount(value)
    return f"{plain}0" if len(plain.partition(".")[2]) == _GROUP_DIGITS else plain


_FILLERS = frozenset({"of", "my", "for", "worth", "in", "für", "von", "meine", "meinem", "meiner"})


@dataclass(frozen=True, slots=True)
class Asked:
    """The words after /buy or /sell, told apart; each empty when it was not there."""

    symbol: str
    amount: str


def told_apart(typed: str, symbols: Iterable[str]) -> Asked:
    """Tell what is traded from how much of it, in either order. Reads neither. Never raises.

    The first word that is traded is what is traded, and all else is how much; without one, words
    that look like an amount are told from those that do not.
    """
    known = {symbol.lower() for symbol in symbols}
    words = [word for word in typed.split() if word.lower() not in _FILLERS]
    for place, word in enumerate(words):
        if word.lower().lstrip("$#") in known:
            return Asked(word, " ".join(words[:place] + words[place + 1 :]))
    amounts = [word for word in words if _looks_like_an_amount(word)]
    names = [word for word in words if not _looks_like_an_amount(word)]
    return Asked(" ".join(names), " ".join(amounts))


def _looks_like_an_amount(word: str) -> bool:
    return word.lower() in CURRENCY_WORDS | ALL_WORDS or any(
        character in "%$" or character.isnumeric() for character in word
    )
