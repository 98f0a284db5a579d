"""Which symbol a user means: the one he typed, or buttons of those he may have meant."""

from collections.abc import Callable

from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, rows_of
from user_worker.conversation.texts import visible
from user_worker.domain.market import Instrument
from user_worker.domain.replies import Button, Keyboard
from user_worker.domain.symbols import Found, NotFound, find_symbol
from user_worker.errors import DependencyDown

KIND = "choose"
OFFERED_MAX = 12
"""Buttons when nothing was typed: what fits a phone without scrolling."""
PER_ROW = 4

DataOf = Callable[[str], str]
"""Gives the data of the button that chooses a symbol."""


async def choose(context: Context, typed: str, question: str, data_of: DataOf) -> Instrument | Page:
    """Find what was typed, or give a page that asks; without anything typed it says `question`."""
    try:
        instruments = await context.services.pricing.instruments()
    except DependencyDown:
        return prices_away(context)
    if not typed.strip():
        return Page(KIND, question, _keyboard(list(instruments)[:OFFERED_MAX], data_of))
    found = find_symbol(typed, instruments.keys())
    if isinstance(found, Found):
        return instruments[found.symbol]
    return not_found(context, typed, found, data_of)


def not_found(context: Context, typed: str, found: NotFound, data_of: DataOf) -> Page:
    """Say that nothing by that name is traded, and what may have been meant."""
    problem = "symbol-lookalike" if found.has_lookalikes else "symbol-unknown"
    sentences = [context.texts.html(problem, typed=visible(typed) or "?")]
    if found.suggestions:
        sentences.append(context.texts.html("symbol-did-you-mean"))
    return Page(KIND, " ".join(sentences), _keyboard(list(found.suggestions), data_of))


def prices_away(context: Context) -> Page:
    """Say that no price can be had now: an answer at once is worth more than one that waits."""
    return Page(KIND, context.texts.html("prices-away"))


def _keyboard(symbols: list[str], data_of: DataOf) -> Keyboard:
    return rows_of([Button(symbol, data_of(symbol)) for symbol in symbols], PER_ROW)
