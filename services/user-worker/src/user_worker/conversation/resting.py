"""/limit, /stop and /tp, from the first word to the offer.

    /limit                              buy or sell?
    /limit buy                          which?
    /limit buy BTC                      how much?
    /limit buy BTC $100                 at which price?
    /limit buy BTC $100 at 60000        the offer, for seven days
    /limit buy BTC $100 at 60000 24h    the offer, for a day

What is missing is asked for. The answer goes on with the words said before, so that a typed line, a
button (`limit:<words>`) and a command are read in one way. What follows is `resting_offer`'s.
"""

from dataclasses import replace
from decimal import Decimal

from kernel.money import exact, round_down
from user_worker.conversation import (
    buying,
    choosing,
    dialogue,
    resting_offer,
)
from user_worker.conversation.card import quote_of
from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, below, change, rows_of, send
from user_worker.conversation.resting_pages import COMMANDS, KIND, data_of
from user_worker.domain.amounts import Ambiguous, Unreadable, read_size, size_text
from user_worker.domain.jobs import Command, Press
from user_worker.domain.market import Instrument
from user_worker.domain.orders import Side, Size, Wish
from user_worker.domain.replies import Button, Reply
from user_worker.domain.resting import (
    DEFAULT_EXPIRY,
    EXPIRIES,
    Condition,
    Direction,
    RestingKind,
    direction_of,
)
from user_worker.domain.resting_words import (
    RestingWords,
    price_text,
    read_price,
    read_words,
    written,
)
from user_worker.domain.sessions import AwaitingWords
from user_worker.errors import DependencyDown

_KINDS = {command: kind for kind, command in COMMANDS.items()}
_AWAY_PERCENT = (1, 2, 5)
"""How far from the present price the prices one press away are."""
_PRICE_SIDES = frozenset({"pricing", "venue"})
_STAYING = "price"
"""The card of a ticker stays where it is when its buttons are pressed."""


async def answer_limit(context: Context, command: Command) -> list[Reply]:
    """Go as far towards a limit order as what was typed allows."""
    return send(context, await begin(context, RestingKind.LIMIT, command.arguments))


async def answer_stop(context: Context, command: Command) -> list[Reply]:
    """Go as far towards a stop order as what was typed allows."""
    return send(context, await begin(context, RestingKind.STOP, command.arguments))


async def answer_take_profit(context: Context, command: Command) -> list[Reply]:
    """Go as far towards a take-profit order as what was typed allows."""
    return send(context, await begin(context, RestingKind.TAKE_PROFIT, command.arguments))


async def answer_words(context: Context, session: AwaitingWords, typed: str) -> Page:
    """Take a typed line as what goes on with the words said before."""
    return await begin(context, _KINDS[session.command], f"{session.words} {typed}")


async def pressed_words(context: Context, press: Press) -> list[Reply]:
    """Do what the words of a button say, in its place."""
    command, _, words = press.data.partition(":")
    page = await begin(context, _KINDS[command], words)
    if press.message_key.partition(":")[0] == _STAYING:
        return below(context, press, page)
    return change(context, press, page)


async def begin(context: Context, kind: RestingKind, typed: str) -> Page:
    """Go as far as what was typed allows: ask for what is missing, or make the offer."""
    try:
        instruments = await context.services.pricing.instruments()
    except DependencyDown:
        return choosing.prices_away(context)
    words = read_words(typed, instruments)
    if words.side is None and kind is RestingKind.LIMIT:
        return await _ask_side(context, kind, words)
    side = words.side or Side.SELL
    words = replace(words, side=side)
    chosen = await choosing.choose(
        context,
        words.symbol,
        context.texts.html(f"{side.value}-which"),
        lambda symbol: (
            data_of(kind, replace(words, symbol=symbol))
            or data_of(kind, RestingWords(side, symbol, "", "", ""))
        ),
    )
    if isinstance(chosen, Page):
        if not words.symbol:
            await _wait_for(context, kind, words)
        return chosen
    words = replace(words, symbol=chosen.symbol)
    size = await _sized(context, kind, words)
    if isinstance(size, Page):
        return size
    price = await _priced(context, kind, replace(words, amount=size_text(size)), chosen)
    if isinstance(price, Page):
        return price
    wish = Wish(side, chosen.symbol, size)
    lasts_seconds = EXPIRIES[words.expiry or DEFAULT_EXPIRY]
    condition = Condition(kind, direction_of(kind, side), price, lasts_seconds)
    return await resting_offer.offer(context, wish, condition)


async def _wait_for(
    context: Context, kind: RestingKind, words: RestingWords, *, price: bool = False
) -> None:
    said = f"{written(words)} at" if price else written(words)
    await dialogue.wait_for(context, AwaitingWords(COMMANDS[kind], said))


async def _ask_side(context: Context, kind: RestingKind, words: RestingWords) -> Page:
    # "buy" or "sell" comes first, so a typed answer could not stand behind the other words.
    texts = context.texts
    buttons = tuple(
        Button(
            texts.plain(f"side-{side.value}"),
            data_of(kind, replace(words, side=side)) or f"{COMMANDS[kind]}:{side.value}",
        )
        for side in Side
    )
    return Page(KIND, texts.html("resting-which-side"), (buttons,))


async def _sized(context: Context, kind: RestingKind, words: RestingWords) -> Size | Page:
    texts, side, symbol = context.texts, words.side or Side.SELL, words.symbol
    size = read_size(words.amount, symbol)
    if words.amount and not isinstance(size, Ambiguous | Unreadable):
        return size
    unsized = replace(words, amount="")
    await _wait_for(context, kind, unsized)
    if isinstance(size, Ambiguous):
        buttons = [
            Button(size_text(reading), data_of(kind, replace(words, amount=size_text(reading))))
            for reading in (size.grouped, size.decimal)
        ]
        keyboard = rows_of([button for button in buttons if button.data], 2)
        return Page(KIND, texts.html("amount-ambiguous"), keyboard)
    question = texts.html(f"{side.value}-how-much", symbol=symbol)
    if words.amount and isinstance(size, Unreadable):
        question = texts.html(f"amount-{size.problem.value}", symbol=symbol)
    keyboard = tuple(
        tuple(
            Button(
                texts.plain("button-all") if amount == "all" else amount,
                data_of(kind, replace(words, amount=amount))
                or data_of(kind, RestingWords(side, symbol, amount, "", "")),
            )
            for amount in row
        )
        for row in buying.PRESETS[side]
    )
    return Page(KIND, f"{question}\n{texts.html('how-much-example', symbol=symbol)}", keyboard)


async def _priced(
    context: Context, kind: RestingKind, words: RestingWords, instrument: Instrument
) -> Decimal | Page:
    texts = context.texts
    price = read_price(words.price) if words.price else None
    if isinstance(price, Decimal):
        return price
    unpriced = replace(words, price="")
    await _wait_for(context, kind, unpriced, price=True)
    if price is not None:
        buttons = [
            Button(
                texts.plain_amount(reading),
                data_of(kind, replace(words, price=price_text(reading))),
            )
            for reading in price
        ]
        keyboard = rows_of([button for button in buttons if button.data], 2)
        return Page(KIND, texts.html("amount-ambiguous"), keyboard)
    lines = [texts.html("price-unreadable")] if words.price else []
    lines.append(texts.html(f"{COMMANDS[kind]}-at-which-price", symbol=words.symbol))
    quote = await quote_of(context, words.symbol)
    buttons = []
    if quote is not None:
        now = texts.price(quote.price, instrument.price_digits)
        lines.append(texts.html("resting-now", price=now, currency=quote.currency))
        direction = direction_of(kind, words.side or Side.SELL)
        for percent in _AWAY_PERCENT:
            away = _away(quote.price, direction, percent, instrument.price_digits)
            data = data_of(kind, replace(words, price=price_text(away))) if away else ""
            if data:
                said = (
                    f"{texts.price(away, instrument.price_digits)} ({_sign(direction)}{percent}%)"
                )
                buttons.append(Button(said, data))
    return Page(KIND, "\n".join(lines), rows_of(buttons, 1))


def _away(price: Decimal, direction: Direction, percent: int, digits: int) -> Decimal:
    with exact():
        factor = Decimal(percent if direction is Direction.AT_OR_ABOVE else -percent).scaleb(-2) + 1
    with exact():
        exactly = price * factor
    return round_down(exactly, digits)


def _sign(direction: Direction) -> str:
    return "+" if direction is Direction.AT_OR_ABOVE else "\u2212"
