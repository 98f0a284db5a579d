"""Sentences in the user's language, from the Fluent files in `locales/`.

A language is loaded when the first of its users speaks and kept. Texts come out in the Bot API's
HTML style: markup stands in the Fluent files only, every argument is escaped here, so nothing a
user typed can become markup. What a user typed goes through `visible` first, which takes out
control characters and keeps right-to-left text from turning the sentence around it.

A missing message or argument raises: it is a mistake in this package, which the tests find, never a
gap shown to a user.
"""

import decimal
import html
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib import resources

import babel.dates
import babel.numbers
from fluent.runtime import FluentBundle, FluentResource

from kernel.money import PRECISION_DIGITS, format_amount, round_down

LANGUAGES = {"en": "English", "de": "Deutsch"}
"""What can be chosen, each in its own words. The first is spoken to whom no other fits."""

VISIBLE_CHARACTERS_MAX = 64
"""How much of what a user typed is ever repeated."""
PRICE_DIGITS = 2
"""After the point, for prices and values that are only shown; small prices get more."""
SIGNIFICANT_DIGITS = 4
"""What a price below one shows of itself, zeros in front not counted."""
PRICE_DIGITS_MAX = 18
ABOUT_DIGITS = 8
"""After the point, of amounts told in full elsewhere or not final: what people know of bitcoins."""

_TAG = re.compile("<[^<>]*>")
_FIRST_STRONG_ISOLATE = "\u2068"
_POP_ISOLATE = "\u2069"


class BrokenText(Exception):  # noqa: N818 (it is the text that is broken)
    """A message is missing or needs an argument it was not given."""


class Texts:
    """One language's messages."""

    def __init__(self, language: str, resource: str) -> None:
        self.language = language
        # Without isolation marks: an address is copied from the chat, marks included.
        self._bundle = FluentBundle([language], use_isolating=False)
        self._bundle.add_resource(FluentResource(resource))

    def html(self, message_id: str, **arguments: str) -> str:
        """Say a message as HTML, its arguments escaped."""
        return self._say(
            message_id, {name: html.escape(text, quote=False) for name, text in arguments.items()}
        )

    def plain(self, message_id: str, **arguments: str) -> str:
        """Say a message where there is no markup: a button, the answer to a press."""
        return self._say(message_id, arguments)

    def amount(self, value: Decimal) -> str:
        """Write an amount of money with every digit it has, without zeros at its end."""
        with decimal.localcontext(prec=PRECISION_DIGITS):
            return babel.numbers.format_decimal(
                Decimal(format_amount(value)), locale=self.language, decimal_quantization=False
            )

    def about(self, value: Decimal) -> str:
        """Write an amount in short, rounded down to ABOUT_DIGITS, but not to nothing."""
        return self.amount(round_down(value, ABOUT_DIGITS) or value)

    def plain_amount(self, value: Decimal) -> str:
        """Write an amount like `amount`, without marks between thousands."""
        with decimal.localcontext(prec=PRECISION_DIGITS):
            return babel.numbers.format_decimal(
                Decimal(format_amount(value)),
                locale=self.language,
                decimal_quantization=False,
                group_separator=False,
            )

    def price(self, value: Decimal, digits: int | None = None) -> str:
        """Write a price to look at, rounded half to even.

        Without `digits`: at PRICE_DIGITS, or where SIGNIFICANT_DIGITS of a smaller one end.
        """
        return self._rounded(value, _fitting_digits(value) if digits is None else digits)

    def value(self, value: Decimal) -> str:
        """Write what something is worth, rounded half to even at PRICE_DIGITS."""
        return self._rounded(value, PRICE_DIGITS)

    def change(self, value: Decimal) -> str:
        """Write a gain or a loss like `value`, with its sign; nothing has no sign."""
        return _sign_of(value, PRICE_DIGITS) + self._rounded(value.copy_abs(), PRICE_DIGITS)

    def percent(self, ratio: Decimal, digits: int = 2) -> str:
        """Write a ratio in per cent: 0.0123 is 1.23 %."""
        with decimal.localcontext(prec=PRECISION_DIGITS):
            return babel.numbers.format_percent(
                ratio, format=_pattern(digits) + "%", locale=self.language
            ).replace("%", "\u00a0%")

    def percent_change(self, ratio: Decimal) -> str:
        """Write a ratio in per cent with its sign."""
        return _sign_of(ratio, PRICE_DIGITS + 2) + self.percent(ratio.copy_abs())

    def moment(self, at: datetime) -> str:
        """Write a day and a time in UTC, which is said."""
        day = babel.dates.format_date(at.astimezone(UTC), "medium", locale=self.language)
        return f"{day}, {self.clock(at, 'HH:mm')}"

    def clock(self, at: datetime, pattern: str = "HH:mm:ss") -> str:
        """Write a time of the day in UTC, which is said."""
        return babel.dates.format_time(at.astimezone(UTC), pattern, locale=self.language) + " UTC"

    def time_of_day(self, at: datetime) -> str:
        """Write hours and minutes in UTC, where that is said elsewhere: the axis of a picture."""
        return babel.dates.format_time(at.astimezone(UTC), "HH:mm", locale=self.language)

    def day(self, at: datetime) -> str:
        """Write a day of the year in UTC, for the axis of a picture."""
        return babel.dates.format_skeleton("MMMd", at.astimezone(UTC), locale=self.language)

    def duration(self, seconds: float) -> str:
        """Write how long something takes, in one unit: "2 minutes"."""
        return babel.dates.format_timedelta(
            timedelta(seconds=round(seconds)),
            granularity="second",
            threshold=2,
            locale=self.language,
        )

    def ago(self, seconds: float) -> str:
        """Write how long ago something was, in one unit: "2 minutes ago"."""
        return babel.dates.format_timedelta(
            timedelta(seconds=-max(1, round(seconds))),
            granularity="second",
            threshold=2,
            add_direction=True,
            locale=self.language,
        )

    def _rounded(self, value: Decimal, digits: int) -> str:
        with decimal.localcontext(prec=PRECISION_DIGITS):
            return babel.numbers.format_decimal(
                value, format=_pattern(digits), locale=self.language
            )

    def _say(self, message_id: str, arguments: dict[str, str]) -> str:
        if not self._bundle.has_message(message_id):
            raise BrokenText(f"{self.language} has no message {message_id}")
        pattern = self._bundle.get_message(message_id).value
        if pattern is None:
            raise BrokenText(f"{message_id} of {self.language} says nothing")
        text, problems = self._bundle.format_pattern(pattern, arguments)
        if problems:
            raise BrokenText(f"{message_id} of {self.language}: {problems[0]}")
        return str(text)


def _pattern(digits: int) -> str:
    return "#,##0." + "0" * digits if digits else "#,##0"


def _sign_of(value: Decimal, digits: int) -> str:
    with decimal.localcontext(prec=PRECISION_DIGITS):
        shown = round(value, digits)
    if not shown:
        return ""
    return "+" if shown > 0 else "\u2212"


def _fitting_digits(value: Decimal) -> int:
    leading = value.adjusted() if value else 0
    if leading >= 0:
        return PRICE_DIGITS
    return min(PRICE_DIGITS_MAX, SIGNIFICANT_DIGITS - 1 - leading)


@cache
def texts_in(language: str) -> Texts:
    """Load a language of LANGUAGES."""
    folder = resources.files("user_worker") / "locales" / language
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".ftl")), key=lambda f: f.name
    )
    return Texts(language, "\n".join(file.read_text("utf-8") for file in files))


def fitting_language(chosen: str | None, reported: str) -> str:
    """Find the language to speak: the chosen one, else the reported tag's, else the first.

    `reported` is a BCP 47 tag such as "de-AT", or empty.
    """
    if chosen in LANGUAGES:
        return str(chosen)
    spoken = reported.replace("_", "-").split("-", 1)[0].lower()
    return spoken if spoken in LANGUAGES else next(iter(LANGUAGES))


def shown_units(marked_up: str) -> int:
    """Count a text as the Bot API's limits do: UTF-16 units of what is shown of it."""
    return len(html.unescape(_TAG.sub("", marked_up)).encode("utf-16-le")) // 2


def visible(typed: str) -> str:
    """Make what a user typed fit to stand in a sentence: one short line, direction kept inside."""
    line = " ".join(typed.split())
    shown = "".join(
        character for character in line if unicodedata.category(character) not in _INVISIBLE
    )
    if len(shown) > VISIBLE_CHARACTERS_MAX:
        shown = shown[: VISIBLE_CHARACTERS_MAX - 1] + "…"
    return f"{_FIRST_STRONG_ISOLATE}{shown}{_POP_ISOLATE}" if shown else ""


_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
"""Controls, formatting (direction marks among them), surrogates, private and unassigned."""
