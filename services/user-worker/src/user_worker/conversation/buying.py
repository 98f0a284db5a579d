"""/buy and /sell, from the first word to the offer.

    /buy            which?        typed, or a button `buy:<symbol>`
    /buy BTC        how much?     typed, or a button `size:<side>:<symbol>:<amount>`
    /buy BTC $100   the offer     see `confirming`

Whatever is missing or cannot be read is asked for, and nothing is changed until an offer is
confirmed. What was asked is remembered in the user's session, so that the next typed line is taken
for the answer; the buttons carry all they need and work without it.
"""

from decimal import Decimal

from kernel.money import exact
from user_worker.conversation import anything_else, choosing, confirming, dialogue
from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, below, change, rows_of, send
from user_worker.conversation.texts import Texts
from user_worker.domain.amounts import (
    Ambiguous,
    Problem,
    Unreadable,
    read_size,
    size_text,
    told_apart,
)
from user_worker.domain.jobs import Command, Press
from user_worker.domain.market import Instrument
from user_worker.domain.orders import Money, Share, Side, Size, Units, Wish
from user_worker.domain.replies import Button, Keyboard, Reply
from user_worker.domain.sessions import AwaitingAmount, AwaitingSymbol
from user_worker.domain.symbols import Found, find_symbol
from user_worker.errors import DependencyDown

KIND = "ask"
SIZE = "size"
PRESETS = {
    Side.BUY: (("$50", "$100", "$500"), ("25%", "50%", "all")),
    Side.SELL: (("25%", "50%", "all"), ("$50", "$100", "$500")),
}
"""The amounts one press away, those people use most of each side first."""
_DATA_BYTES_MAX = 64


async def answer_buy(context: Context, command: Command) -> list[Reply]:
    """Go as far towards buying as what was typed allows."""
    return send(context, await begin(context, Side.BUY, command.arguments))


async def answer_sell(context: Context, command: Command) -> list[Reply]:
    """Go as far towards selling as what was typed allows."""
    return send(context, await begin(context, Side.SELL, command.arguments))


async def pressed_side(context: Context, press: Press) -> list[Reply]:
    """Ask how much; the card with the button stays."""
    side, _, symbol = press.data.partition(":")
    try:
        instruments = await context.services.pricing.instruments()
    except DependencyDown:
        return below(context, press, choosing.prices_away(context))
    if symbol not in instruments:
        return await anything_else.stale_press(context, press)
    return below(context, press, await _ask_amount(context, Side(side), instruments[symbol]))


async def pressed_size(context: Context, press: Press) -> list[Reply]:
    """Make the offer of a button, in the place of the question."""
    _, side, symbol, amount, *_ = [*press.data.split(":"), "", "", ""]
    if side not in {known.value for known in Side}:
        return await anything_else.stale_press(context, press)
    try:
        instruments = await context.services.pricing.instruments()
    except DependencyDown:
        return change(context, press, choosing.prices_away(context))
    size = read_size(amount, symbol)
    if symbol not in instruments or isinstance(size, Ambiguous | Unreadable):
        return await anything_else.stale_press(context, press)
    return change(context, press, await _offer(context, Wish(Side(side), symbol, size)))


async def begin(context: Context, side: Side, typed: str) -> Page:
    """Go as far as what was typed allows: ask which, ask how much, or make the offer."""
    try:
        instruments = await context.services.pricing.instruments()
    except DependencyDown:
        return choosing.prices_away(context)
    asked = told_apart(typed, instruments)
    question = context.texts.html(f"{side.value}-which")
    chosen = await choosing.choose(
        context, asked.symbol, question, lambda symbol: _data_of(side, symbol, asked.amount)
    )
    if isinstance(chosen, Page):
        if not asked.symbol:
            await dialogue.wait_for(context, AwaitingSymbol(side, asked.amount))
        return chosen
    if not asked.amount:
        return await _ask_amount(context, side, chosen)
    return await sized(context, side, chosen, asked.amount)


async def sized(context: Context, side: Side, instrument: Instrument, typed: str) -> Page:
    """Read how much was typed, and make the offer or ask again."""
    match read_size(typed, instrument.symbol):
        case Unreadable(problem):
            await dialogue.wait_for(context, AwaitingAmount(side, instrument.symbol))
            return _unreadable(context, side, instrument, problem)
        case Ambiguous(grouped, decimal):
            await dialogue.wait_for(context, AwaitingAmount(side, instrument.symbol))
            return _which_reading(context, side, instrument, (grouped, decimal))
        case size:
            return await _offer(context, Wish(side, instrument.symbol, size))


async def answer_amount(context: Context, session: AwaitingAmount, typed: str) -> Page:
    """Take a typed line as how much; one that names a symbol starts over with that."""
    try:
        instruments = await context.services.pricing.instruments()
    except DependencyDown:
        return choosing.prices_away(context)
    asked = told_apart(typed, instruments)
    is_named = isinstance(find_symbol(asked.symbol, instruments), Found)
    if is_named or session.symbol not in instruments:
        return await begin(context, session.side, typed)
    return await sized(context, session.side, instruments[session.symbol], typed)


async def answer_symbol(context: Context, session: AwaitingSymbol, typed: str) -> Page:
    """Take a typed line as what to trade, and how much if it says that too."""
    return await begin(context, session.side, f"{typed} {session.amount}".strip())


async def _offer(context: Context, wish: Wish) -> Page:
    page = await confirming.offer(context, wish)
    await dialogue.answered(context)
    return page


async def _ask_amount(context: Context, side: Side, instrument: Instrument) -> Page:
    await dialogue.wait_for(context, AwaitingAmount(side, instrument.symbol))
    texts, symbol = context.texts, instrument.symbol
    lines = [texts.html(f"{side.value}-how-much", symbol=symbol)]
    available = await _available(context, side, instrument)
    if available is not None:
        unit = instrument.currency if side is Side.BUY else symbol
        amount = texts.amount(available)
        lines.append(texts.html(f"{side.value}-available", amount=amount, symbol=unit))
    lines.append(texts.html("how-much-example", symbol=symbol))
    return Page(KIND, "\n".join(lines), _presets(context, side, symbol))


async def _available(context: Context, side: Side, instrument: Instrument) -> Decimal | None:
    asset_id = instrument.currency_asset_id if side is Side.BUY else instrument.base_asset_id
    try:
        balances = await context.services.ledger.ensure_accounts(
            context.claim, context.job.user_id, [asset_id]
        )
    except DependencyDown:
        return None
    return balances[0].available


def _unreadable(context: Context, side: Side, instrument: Instrument, problem: Problem) -> Page:
    texts, symbol = context.texts, instrument.symbol
    lines = [
        texts.html(f"amount-{problem.value}", symbol=symbol),
        texts.html("how-much-example", symbol=symbol),
    ]
    return Page(KIND, "\n".join(lines), _presets(context, side, symbol))


def _which_reading(
    context: Context, side: Side, instrument: Instrument, readings: tuple[Size, Size]
) -> Page:
    symbol = instrument.symbol
    buttons = [
        Button(_size_said(context.texts, size, symbol), _data_of(side, symbol, size_text(size)))
        for size in readings
    ]
    return Page(KIND, context.texts.html("amount-ambiguous"), rows_of(buttons, 2))


def _size_said(texts: Texts, size: Size, symbol: str) -> str:
    """Write how much somebody wished for, without marks between thousands."""
    match size:
        case Units(value):
            return f"{texts.plain_amount(value)} {symbol}"
        case Money(value):
            return f"${texts.plain_amount(value)}"
        case Share(value):
            with exact():
                return f"{texts.plain_amount(value * 100)}%"


def _presets(context: Context, side: Side, symbol: str) -> Keyboard:
    return tuple(
        tuple(
            Button(
                context.texts.plain("button-all") if amount == "all" else amount,
                _data_of(side, symbol, amount),
            )
            for amount in row
        )
        for row in PRESETS[side]
    )


def _data_of(side: Side, symbol: str, amount: str) -> str:
    size = read_size(amount, symbol) if amount else None
    if size is None or isinstance(size, Ambiguous | Unreadable):
        return f"{side.value}:{symbol}"
    data = f"{SIZE}:{side.value}:{symbol}:{size_text(size)}"
    return data if len(data) <= _DATA_BYTES_MAX else f"{side.value}:{symbol}"
