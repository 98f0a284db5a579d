"""A portfolio: what it was worth over time, above what was paid in, and what it is made of."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal

from user_worker.domain.performance import EquityPoint
from user_worker.domain.pictures import (
    HOLDINGS_SHOWN_MAX,
    POINTS_SHOWN_MAX,
    Holding,
    Labels,
    PortfolioPicture,
)
from user_worker.pictures import frame, theme
from user_worker.pictures.frame import EDGE, Plot
from user_worker.pictures.scale import TimeScale, ValueScale
from user_worker.pictures.svg import element, number, polyline

_TOP, _BOTTOM = 158.0, 390.0
_KEY_Y, _NAME_WIDEST = 138.0, 380.0
_DASHES = "7 6"
_BAR_TOP, _BAR_HEIGHT = 452.0, 30.0
_COLUMNS = 4
_ROWS_Y = (524.0, 566.0)

Points = list[tuple[float, float]]
Known = tuple[EquityPoint, Decimal]
"""A point and its equity."""


def draw_portfolio(picture: PortfolioPicture) -> str:
    """Draw as SVG."""
    return frame.picture(
        frame.header(picture.title, picture.subtitle, picture.note),
        _worth(picture),
        _made_of(picture),
    )


def _worth(picture: PortfolioPicture) -> str:
    shown = picture.points[-POINTS_SHOWN_MAX:]
    known = [(point, point.equity) for point in shown if point.equity is not None]
    if not known:
        whole = Plot(EDGE, _TOP - 40, theme.WIDTH - EDGE, _BOTTOM + 26)
        return frame.nothing(whole, picture.no_points)

    highest = max(known, key=lambda pair: pair[1])
    lowest = min(known, key=lambda pair: pair[1])
    last = known[-1][1]
    everything = [highest[1], lowest[1], *(point.net_deposits for point in shown)]
    values = ValueScale.around(everything, _TOP + 16, _BOTTOM - 16)
    amounts = frame.axis_width([*values.ticks(), last], picture.labels.amount)
    plot = Plot(EDGE, _TOP, theme.WIDTH - amounts, _BOTTOM)
    begin, end = shown[0].at, shown[-1].at
    if begin == end:
        begin -= timedelta(hours=1)
    times = TimeScale(begin, end, plot.left, plot.right)
    return "".join(
        [
            _key(picture),
            frame.watermark(plot, picture.note),
            frame.value_axis(plot, values, picture.labels, keep_free=[values.y(last)]),
            frame.time_axis(plot, times, picture.labels),
            _deposits(shown, values, times),
            *(_line(part, plot.bottom) for part in _unbroken(shown, values, times)),
            frame.tag(plot, values.y(last), picture.labels.amount(last), theme.LINE),
            *_extremes(plot, values, times, picture.labels, highest, lowest, known[-1]),
        ]
    )


def _extremes(
    plot: Plot,
    values: ValueScale,
    times: TimeScale,
    labels: Labels,
    highest: Known,
    lowest: Known,
    last: Known,
) -> Iterable[str]:
    if highest[1] == lowest[1]:
        return
    for (point, value), above in ((highest, True), (lowest, False)):
        # The tag tells the last one already.
        if value != last[1]:
            yield frame.mark(
                plot, times.x(point.at), values.y(value), labels.amount(value), above=above
            )


def _key(picture: PortfolioPicture) -> str:
    equity, deposits = (
        theme.fitted(name, theme.LABEL_SIZE, _NAME_WIDEST)
        for name in (picture.equity, picture.deposits)
    )
    second = EDGE + theme.width_of(equity, theme.LABEL_SIZE) + 72
    return _key_entry(EDGE, equity, theme.LINE, "none") + _key_entry(
        second, deposits, theme.DEPOSITS, _DASHES
    )


def _key_entry(x: float, name: str, colour: str, dashes: str) -> str:
    stroke = element(
        "path",
        d=f"M{number(x)} {number(_KEY_Y - 7)}h30",
        stroke=colour,
        stroke_width=3.0,
        stroke_dasharray=dashes,
    )
    return stroke + frame.words(name, x + 40, _KEY_Y)


def _deposits(points: Sequence[EquityPoint], values: ValueScale, times: TimeScale) -> str:
    # Money comes in at once, so the line goes up in steps.
    steps: Points = [(times.left, values.y(points[0].net_deposits))]
    for point in points:
        x = times.x(point.at)
        steps += [(x, steps[-1][1]), (x, values.y(point.net_deposits))]
    return element(
        "path",
        d=polyline(steps),
        fill="none",
        stroke=theme.DEPOSITS,
        stroke_width=2.0,
        stroke_dasharray=_DASHES,
    )


def _unbroken(
    points: Sequence[EquityPoint], values: ValueScale, times: TimeScale
) -> Iterable[Points]:
    part: Points = []
    for point in points:
        if point.equity is not None:
            part.append((times.x(point.at), values.y(point.equity)))
        elif part:
            yield part
            part = []
    if part:
        yield part


def _line(part: Points, floor: float) -> str:
    first_x, first_y = part[0]
    if len(part) == 1:
        return element("circle", cx=first_x, cy=first_y, r=4.0, fill=theme.LINE)
    line = polyline(part)
    area = f"{line}V{number(floor)}H{number(first_x)}z"
    return element("path", d=area, fill=theme.LINE, fill_opacity=0.14) + element(
        "path",
        d=line,
        fill="none",
        stroke=theme.LINE,
        stroke_width=3.0,
        stroke_linejoin="round",
        stroke_linecap="round",
    )


def _made_of(picture: PortfolioPicture) -> str:
    slices = _slices(picture.holdings, picture.other)
    total = sum((value for _, value in slices), Decimal(0))
    if not total:
        whole = Plot(EDGE, _BAR_TOP - 8, theme.WIDTH - EDGE, theme.HEIGHT - EDGE)
        return frame.nothing(whole, picture.no_holdings)
    parts: list[str] = []
    left, room = EDGE, theme.WIDTH - 2 * EDGE
    for place, (symbol, value) in enumerate(slices):
        is_other = place >= HOLDINGS_SHOWN_MAX
        colour = theme.OTHER if is_other else theme.HOLDINGS[place]
        wide = float(value / total) * room
        parts.append(
            element(
                "rect",
                x=left,
                y=_BAR_TOP,
                width=max(wide - 2, 1.0),
                height=_BAR_HEIGHT,
                rx=min(5.0, wide / 2),
                fill=colour,
            )
        )
        parts.append(_legend(place, symbol, picture.labels.percent(value / total), colour))
        left += wide
    return "".join(parts)


def _slices(holdings: Iterable[Holding], other: str) -> list[tuple[str, Decimal]]:
    found = sorted(
        ((h.symbol, h.value) for h in holdings if h.value > 0),
        key=lambda pair: (-pair[1], pair[0]),
    )
    shown, rest = found[:HOLDINGS_SHOWN_MAX], found[HOLDINGS_SHOWN_MAX:]
    return [*shown, (other, sum((value for _, value in rest), Decimal(0)))] if rest else shown


def _legend(place: int, symbol: str, percent: str, colour: str) -> str:
    wide = (theme.WIDTH - 2 * EDGE) / _COLUMNS
    x, y = EDGE + (place % _COLUMNS) * wide, _ROWS_Y[place // _COLUMNS]
    percent_width = theme.width_of(percent, theme.LABEL_SIZE) + 10
    name = theme.fitted(symbol, theme.LABEL_SIZE, wide - percent_width - 40)
    name_width = theme.width_of(name, theme.LABEL_SIZE)
    return (
        element("rect", x=x, y=y - 16, width=18.0, height=18.0, rx=5.0, fill=colour)
        + frame.words(name, x + 28, y, colour=theme.TEXT, bold=True)
        + frame.words(percent, x + 28 + name_width + 8, y)
    )
