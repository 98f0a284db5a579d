"""/chart: candles of a symbol as a picture, with a button for each span.

`chart:<symbol>:<span>` sends another picture: a picture's message cannot be changed.
"""

from collections.abc import Mapping
from types import MappingProxyType

from user_worker.conversation import anything_else, choosing, drawing
from user_worker.conversation.context import Context
from user_worker.conversation.page import Page, answer_to, send
from user_worker.conversation.settings import CHECK_MARK
from user_worker.conversation.texts import Texts, visible
from user_worker.domain.jobs import Command, Press
from user_worker.domain.market import Candles, Instrument, ratio_of_change
from user_worker.domain.pictures import CandlesPicture
from user_worker.domain.replies import Button, Keyboard, Reply
from user_worker.domain.symbols import Found, find_symbol
from user_worker.errors import DependencyDown

KIND = "chart"
DEFAULT_SPAN = "1d"
SPANS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"1h": (1, 60), "4h": (5, 48), "1d": (15, 96), "1w": (240, 42)}
)
"""Each with the minutes of a candle and how many there are."""


async def answer(context: Context, command: Command) -> list[Reply]:
    """Draw what was typed, or ask which."""
    words = command.arguments.split()
    spans = [word.lower() for word in words if word.lower() in SPANS]
    span = spans[0] if spans else DEFAULT_SPAN
    others = [word for word in words if word.lower() not in SPANS]
    typed = " ".join(others)
    chosen = await choosing.choose(
        context,
        typed,
        context.texts.html("chart-which"),
        lambda symbol: f"{KIND}:{symbol}:{span}",
    )
    if isinstance(chosen, Page):
        return send(context, await _without_span(context, others) or chosen)
    return await _shown(context, chosen, span)


async def _without_span(context: Context, words: list[str]) -> Page | None:
    """Make the page for a symbol and a span there is none of; None when it is not that."""
    if len(words) != 2:
        return None
    try:
        found = find_symbol(words[0], (await context.services.pricing.instruments()).keys())
    except DependencyDown:
        return None
    if not isinstance(found, Found):
        return None
    texts = context.texts
    text = texts.html("chart-span-unknown", typed=visible(words[1]) or "?")
    return Page(choosing.KIND, text, (_spans(texts, found.symbol, ""),))


async def pressed(context: Context, press: Press) -> list[Reply]:
    """Draw what the button says."""
    _, symbol, span, *_ = [*press.data.split(":"), "", ""]
    try:
        instruments = await context.services.pricing.instruments()
    except DependencyDown:
        return [*send(context, choosing.prices_away(context)), answer_to(press)]
    if symbol not in instruments or span not in SPANS:
        return await anything_else.stale_press(context, press)
    return [*await _shown(context, instruments[symbol], span), answer_to(press)]


async def _shown(context: Context, instrument: Instrument, span: str) -> list[Reply]:
    interval, count = SPANS[span]
    try:
        candles = await context.services.pricing.candles(instrument.symbol, interval, count)
    except DependencyDown:
        return send(context, choosing.prices_away(context))
    texts = context.texts
    page = Page(KIND, _caption(texts, instrument, candles, span), _keyboard(texts, candles, span))
    picture = CandlesPicture(
        candles=candles,
        labels=drawing.labels(texts),
        title=f"{instrument.symbol} · {texts.plain(f'span-{span}')}",
        subtitle=_last(texts, instrument, candles),
        note=texts.plain("picture-simulated") if candles.is_simulated else "",
        nothing=texts.plain("picture-no-candles"),
    )
    return await drawing.drawn(context, page, context.services.pictures.candles(picture))


def _last(texts: Texts, instrument: Instrument, candles: Candles) -> str:
    if not candles.candles:
        return ""
    first, last = candles.candles[0], candles.candles[-1]
    change = texts.percent_change(ratio_of_change(last.close, first.open))
    return f"{texts.price(last.close, instrument.price_digits)} {candles.currency} · {change}"


def _caption(texts: Texts, instrument: Instrument, candles: Candles, span: str) -> str:
    if not candles.candles:
        return texts.html("chart-empty", symbol=instrument.symbol)
    lines = [
        texts.html(
            "chart-caption",
            symbol=instrument.symbol,
            span=texts.plain(f"span-{span}"),
            last=_last(texts, instrument, candles),
        )
    ]
    if candles.is_simulated:
        lines.append(texts.html("simulated-prices"))
    return "\n".join(lines)


def _keyboard(texts: Texts, candles: Candles, chosen: str) -> Keyboard:
    symbol = candles.symbol
    trading = (
        Button(texts.plain("button-buy", symbol=symbol), f"buy:{symbol}"),
        Button(texts.plain("button-sell", symbol=symbol), f"sell:{symbol}"),
        Button(texts.plain("button-price", symbol=symbol), f"card:{symbol}"),
    )
    return (_spans(texts, symbol, chosen), trading)


def _spans(texts: Texts, symbol: str, chosen: str) -> tuple[Button, ...]:
    return tuple(
        Button(
            (CHECK_MARK if span == chosen else "") + texts.plain(f"span-{span}"),
            f"{KIND}:{symbol}:{span}",
        )
        for span in SPANS
    )
