"""/portfolio: what the user has and what it is worth, under a picture of value over time.

`portfolio:<span>` sends the same for another span: a picture's message cannot be changed. Of
somebody who began lately, a day would show a dot: the picture looks back less far then, and begins
where the account did, with what was paid in.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from kernel.money import FRACTION_DIGITS_MAX, divide_down
from user_worker.conversation import anything_else, drawing, panic
from user_worker.conversation.context import Context
from user_worker.conversation.page import CAPTION_UNITS_MAX, Page, answer_to, send
from user_worker.conversation.settings import CHECK_MARK
from user_worker.conversation.texts import Texts, shown_units
from user_worker.conversation.valuing import Valuation, valued
from user_worker.domain.jobs import Command, Press
from user_worker.domain.market import ratio_of_change
from user_worker.domain.marking import Span, gain_ever
from user_worker.domain.performance import EquityPoint, Performance, Position
from user_worker.domain.pictures import Holding, PortfolioPicture
from user_worker.domain.replies import Button, Keyboard, Reply

KIND = "portfolio"
PICTURE_KIND = "equity"
DEFAULT_SPAN = "24h"
SPANS = {
    "24h": Span(timedelta(days=1), 15, 48),
    "7d": Span(timedelta(days=7), 60, 56),
    "30d": Span(timedelta(days=30), 240, 60),
}
SHORTER_SPANS = (
    SPANS[DEFAULT_SPAN],
    Span(timedelta(hours=4), 5, 48),
    Span(timedelta(hours=1), 1, 60),
    Span(timedelta(minutes=10), 1, 40),
    Span(timedelta(minutes=2), 1, 24),
)
"""Longest first: what is shown instead of a span that hardly anything is known of."""
POSITIONS_SHOWN_MAX = 8
"""What a phone shows beside the picture."""
_KNOWN_POINTS_MIN = 6
"""Fewer make no line."""


async def answer(context: Context, _command: Command) -> list[Reply]:
    """Show the last day."""
    return await _shown(context, DEFAULT_SPAN)


async def pressed(context: Context, press: Press) -> list[Reply]:
    """Show another span."""
    name = press.data.partition(":")[2]
    if name not in SPANS:
        return await anything_else.stale_press(context, press)
    return [*await _shown(context, name), answer_to(press)]


async def _shown(context: Context, name: str) -> list[Reply]:
    valuation = await valued(context, list(dict.fromkeys([SPANS[name], *SHORTER_SPANS])))
    texts, performance = context.texts, valuation.performance
    frozen = await panic.line(context)
    if not any(position.quantity for position in performance.positions):
        start = Button(texts.plain("button-start"), "do:start")
        text = "\n\n".join(filter(None, [frozen, texts.html("portfolio-empty")]))
        return send(context, Page(KIND, text, ((start,),)))
    text = _text(context, valuation, frozen)
    page = Page(PICTURE_KIND, text, _keyboard(texts, name))
    picture = _picture(texts, valuation, _line(valuation))
    return await drawing.drawn(context, page, context.services.pictures.portfolio(picture))


def _text(context: Context, valuation: Valuation, frozen: str) -> str:
    """Write as many positions as a caption holds, the most valuable first, and count the rest."""
    for shown_max in range(POSITIONS_SHOWN_MAX, 0, -1):
        text = _text_with(context, valuation, shown_max, frozen)
        if shown_units(text) <= CAPTION_UNITS_MAX:
            return text
    return _text_with(context, valuation, 0, frozen)


def _text_with(context: Context, valuation: Valuation, shown_max: int, frozen: str) -> str:
    texts, performance = context.texts, valuation.performance
    positions = [position for position in performance.positions if position.quantity]
    positions.sort(key=lambda position: position.value or Decimal(0), reverse=True)
    shown, more = positions[:shown_max], positions[shown_max:]
    lines = [*_totals(texts, performance), ""]
    lines += [_position(texts, position, performance) for position in shown]
    if more:
        lines.append(texts.html("portfolio-more", count=str(len(more))))
    notes = [frozen] if frozen else []
    if valuation.without_price:
        symbols = ", ".join(valuation.without_price[: max(1, shown_max)])
        notes.append(texts.html("portfolio-without-price", symbols=symbols))
    if valuation.oldest_seconds > context.services.stale_quote_seconds:
        notes.append(texts.html("prices-old", ago=texts.ago(valuation.oldest_seconds)))
    if valuation.is_simulated:
        notes.append(texts.html("simulated-prices"))
    return "\n".join([*lines, "", *notes] if notes else lines)


def _totals(texts: Texts, performance: Performance) -> list[str]:
    gain = gain_ever(performance)
    if performance.equity is None or gain is None:
        return [texts.html("portfolio-total-unknown")]
    lines = [
        texts.html(
            "portfolio-total",
            value=texts.value(performance.equity),
            currency=performance.currency,
        )
    ]
    if performance.net_deposits > 0:
        ratio = divide_down(gain, performance.net_deposits, FRACTION_DIGITS_MAX)
        lines.append(
            texts.html(
                "portfolio-gain",
                change=texts.change(gain),
                currency=performance.currency,
                percent=texts.percent_change(ratio),
                deposits=texts.value(performance.net_deposits),
            )
        )
    return lines


def _position(texts: Texts, position: Position, performance: Performance) -> str:
    arguments = {"symbol": position.symbol, "quantity": texts.about(position.quantity)}
    if position.value is None:
        line = texts.html("portfolio-position-unknown", **arguments)
    elif position.cost is None:
        line = texts.html("portfolio-currency", **arguments)
    else:
        line = texts.html(
            "portfolio-position",
            value=texts.value(position.value),
            currency=performance.currency,
            **arguments,
        )
        if position.cost > 0:
            change = texts.percent_change(ratio_of_change(position.value, position.cost))
            line += texts.html("portfolio-position-change", percent=change)
    if position.held:
        line += texts.html("portfolio-held", held=texts.about(position.held))
    return line


def _line(valuation: Valuation) -> tuple[EquityPoint, ...]:
    """Make the line, from the start of somebody who began within the span."""
    points = _fitting(valuation.spans)
    performance = valuation.performance
    now = EquityPoint(valuation.at, performance.equity, performance.net_deposits)
    begun = [*itertools.dropwhile(_is_before_the_start, points), now]
    before = points[: len(points) + 1 - len(begun)]
    is_told = len(begun) > 1 and begun[0].equity == begun[0].net_deposits
    if not before or is_told:
        return tuple(begun)
    # At the start there was what was paid in; where in this step the start lay is not known.
    start = replace(begun[0], at=before[-1].at, equity=begun[0].net_deposits)
    return (start, *begun)


def _fitting(spans: Sequence[tuple[EquityPoint, ...]]) -> tuple[EquityPoint, ...]:
    """Choose the shortest span that reaches back to the start; else the first, if it is known."""
    reaching = [points for points in spans if _is_before_the_start(points[0])]
    if reaching:
        return reaching[-1]
    return spans[0] if _known(spans[0]) >= _KNOWN_POINTS_MIN else max(spans, key=_known)


def _known(points: Sequence[EquityPoint]) -> int:
    return sum(point.equity is not None for point in points)


def _is_before_the_start(point: EquityPoint) -> bool:
    return not point.equity and not point.net_deposits


def _picture(
    texts: Texts, valuation: Valuation, points: tuple[EquityPoint, ...]
) -> PortfolioPicture:
    performance = valuation.performance
    return PortfolioPicture(
        points=points,
        holdings=tuple(
            Holding(position.symbol, position.value)
            for position in performance.positions
            if position.value
        ),
        labels=drawing.labels(texts),
        title=texts.plain("picture-portfolio"),
        subtitle=(
            texts.plain("picture-unknown")
            if performance.equity is None
            else f"{texts.value(performance.equity)} {performance.currency}"
        ),
        note=texts.plain("picture-simulated") if valuation.is_simulated else "",
        equity=texts.plain("picture-equity"),
        deposits=texts.plain("picture-deposits"),
        other=texts.plain("picture-other"),
        no_points=texts.plain("picture-no-points"),
        no_holdings=texts.plain("picture-no-holdings"),
    )


def _keyboard(texts: Texts, chosen: str) -> Keyboard:
    spans = tuple(
        Button(
            (CHECK_MARK if name == chosen else "") + texts.plain(f"span-{name}"),
            f"{KIND}:{name}",
        )
        for name in SPANS
    )
    return (
        spans,
        (
            Button(texts.plain("button-profit"), "do:profit"),
            Button(texts.plain("button-history"), "do:history"),
        ),
    )
