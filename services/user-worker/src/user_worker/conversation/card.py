"""/price and a pasted ticker: a card with the price, what it did in a day, and what one can do.

The buttons' data: `price:<symbol>` shows the card anew in its place, `card:<symbol>` below. A price
that is too old to trade on is shown with its age and called so. When the prices are away, the
worker's last copy is what is shown; without one a sentence says so at once, rather than that the
user's line waits for an outage to end.
"""

from datetime import timedelta

from user_worker.conversation import anything_else, choosing
from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, below, change, send
from user_worker.domain.jobs import Command, Press
from user_worker.domain.market import Candles, Instrument, Quote, ratio_of_change
from user_worker.domain.replies import Button, Keyboard, Reply
from user_worker.errors import DependencyDown, RequestRefused

KIND = "price"
BELOW = "card"
_DAY = timedelta(days=1)
_INTERVAL_MINUTES = 15
_CANDLES_MAX = 96
"""A day of them."""
_TOLERANCE = timedelta(hours=1)
"""Candles that begin this much later than a day ago still tell of a day."""


async def answer(context: Context, command: Command) -> list[Reply]:
    """Show the card of what was typed, or ask which."""
    return send(context, await page(context, command.arguments))


async def pressed(context: Context, press: Press) -> list[Reply]:
    """Show the card anew, in the place of the one that was pressed."""
    instrument = await _instrument_of(context, press)
    if isinstance(instrument, Page):
        return change(context, press, instrument)
    if instrument is None:
        return await anything_else.stale_press(context, press)
    toast = context.texts.plain("card-fresh")
    return change(context, press, await card(context, instrument), toast)


async def pressed_below(context: Context, press: Press) -> list[Reply]:
    """Show the card in a message of its own."""
    instrument = await _instrument_of(context, press)
    if instrument is None:
        return await anything_else.stale_press(context, press)
    shown = instrument if isinstance(instrument, Page) else await card(context, instrument)
    return below(context, press, shown)


async def page(context: Context, typed: str) -> Page:
    """Make the card of what was typed, or the page that asks which."""
    question = context.texts.html("price-which")
    chosen = await choosing.choose(context, typed, question, lambda symbol: f"{KIND}:{symbol}")
    return chosen if isinstance(chosen, Page) else await card(context, chosen)


async def card(context: Context, instrument: Instrument) -> Page:
    """Make the card of an instrument."""
    texts, symbol = context.texts, instrument.symbol
    quote = await quote_of(context, symbol)
    if quote is None:
        text = texts.html("card-unknown", symbol=symbol)
        return Page(KIND, text, _keyboard(context, symbol, can_trade=False))
    is_stale = quote.age_seconds > context.services.stale_quote_seconds
    lines = [
        texts.html(
            "card-price",
            symbol=symbol,
            price=texts.price(quote.price, instrument.price_digits),
            currency=quote.currency,
        ),
        *await _day_lines(context, instrument, quote),
        "",
        texts.html("card-age", ago=texts.ago(quote.age_seconds)),
    ]
    if is_stale:
        lines.append(texts.html("card-stale"))
    if quote.is_simulated:
        lines.append(texts.html("simulated-price"))
    return Page(KIND, "\n".join(lines), _keyboard(context, symbol, can_trade=not is_stale))


async def quote_of(context: Context, symbol: str) -> Quote | None:
    """Read a price however old; None when there is none, or when the prices are away."""
    try:
        return await context.services.pricing.quote(symbol)
    except DependencyDown:
        return None


async def _instrument_of(context: Context, press: Press) -> Instrument | Page | None:
    try:
        instruments = await context.services.pricing.instruments()
    except DependencyDown:
        return choosing.prices_away(context)
    return instruments.get(press.data.partition(":")[2])


async def _day_lines(context: Context, instrument: Instrument, quote: Quote) -> list[str]:
    try:
        candles = await context.services.pricing.candles(
            instrument.symbol, _INTERVAL_MINUTES, _CANDLES_MAX
        )
    except (DependencyDown, RequestRefused):
        return []
    return day_lines(context, instrument, quote, candles)


def day_lines(
    context: Context, instrument: Instrument, quote: Quote, candles: Candles
) -> list[str]:
    """Say what a price did in the last day, or since the first candle when that is less."""
    texts = context.texts
    since = context.services.now() - _DAY
    recent = [candle for candle in candles.candles if candle.begins_at >= since]
    if not recent:
        return []
    first = recent[0]
    change = texts.percent_change(ratio_of_change(quote.price, first.open))
    arguments = {
        # After the sign that is shown: what rounds to nothing goes neither way.
        "arrow": {"+": "▲", "\u2212": "▼"}.get(change[0], "±"),
        "change": change,
        "high": texts.price(
            max(quote.price, *(candle.high for candle in recent)), instrument.price_digits
        ),
        "low": texts.price(
            min(quote.price, *(candle.low for candle in recent)), instrument.price_digits
        ),
    }
    if first.begins_at - since <= _TOLERANCE:
        return [texts.html("card-day", **arguments)]
    return [texts.html("card-since", since=texts.clock(first.begins_at, "HH:mm"), **arguments)]


def _keyboard(context: Context, symbol: str, *, can_trade: bool) -> Keyboard:
    texts = context.texts
    trading = (
        Button(texts.plain("button-buy", symbol=symbol), f"buy:{symbol}"),
        Button(texts.plain("button-sell", symbol=symbol), f"sell:{symbol}"),
    )
    looking = (
        Button(texts.plain("button-chart"), f"chart:{symbol}:1d"),
        Button(texts.plain("button-refresh"), f"{KIND}:{symbol}"),
    )
    waiting = (
        Button(texts.plain("button-limit"), f"limit:{symbol}"),
        Button(texts.plain("button-stop"), f"stop:{symbol}"),
        Button(texts.plain("button-alert"), f"alerts:{symbol}"),
    )
    return (trading, waiting, looking) if can_trade else (looking,)
