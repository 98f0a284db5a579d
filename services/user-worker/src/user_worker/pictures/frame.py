"""What both pictures have: a title, a note that cannot be overlooked, axes, and marks on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from user_worker.domain.pictures import Labels
from user_worker.pictures import theme
from user_worker.pictures.scale import TimeScale, ValueScale
from user_worker.pictures.svg import element, number, text_of

EDGE = 32.0
"""Between the canvas and what is on it."""
TIME_TICKS_MAX = 6
_AMOUNTS_END = theme.WIDTH - EDGE
_AMOUNT_WIDEST = 340.0
"""Some 24 digits; an amount with more is cut, and shows it."""
_WATERMARK_SIZES = (40.0, 84.0)
"""The smallest and the largest."""
_TAG_HEIGHT = 36.0
_TAG_PADDING = 10.0
_TAG_REACH = 30.0
"""Labels this near to a tag would touch it."""


@dataclass(frozen=True, slots=True)
class Plot:
    """Where lines and candles go; amounts are written to the right of it, times below."""

    left: float
    top: float
    right: float
    bottom: float


def picture(*parts: str) -> str:
    """Put the parts on the canvas."""
    canvas = element("rect", width=theme.WIDTH, height=theme.HEIGHT, fill=theme.BACKGROUND)
    return element(
        "svg",
        canvas,
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        width=theme.PIXELS_WIDE,
        height=theme.PIXELS_HIGH,
        viewBox=f"0 0 {number(theme.WIDTH)} {number(theme.HEIGHT)}",
    )


def words(
    what: str,
    x: float,
    y: float,
    *,
    size: float = theme.LABEL_SIZE,
    colour: str = theme.SOFT_TEXT,
    bold: bool = False,
    anchor: str = "start",
    opacity: float = 1.0,
) -> str:
    """Write a line of text; `y` is its baseline."""
    return element(
        "text",
        text_of(what),
        x=x,
        y=y,
        font_size=size,
        font_family=theme.BOLD if bold else theme.REGULAR,
        fill=colour,
        text_anchor=anchor,
        fill_opacity=opacity,
    )


def header(title: str, subtitle: str, note: str) -> str:
    """Write the title and what is under it; the note stands in a frame on the right."""
    room = theme.WIDTH - 2 * EDGE
    parts = []
    if note:
        note = theme.fitted(note, theme.LABEL_SIZE, room / 2)
        wide = theme.width_of(note, theme.LABEL_SIZE) + 28
        left = theme.WIDTH - EDGE - wide
        parts += [
            element(
                "rect",
                x=left,
                y=26.0,
                width=wide,
                height=38.0,
                rx=19.0,
                fill="none",
                stroke=theme.NOTE,
                stroke_width=1.5,
            ),
            words(note, left + wide / 2, 52.5, colour=theme.NOTE, anchor="middle"),
        ]
        room -= wide + EDGE
    title = theme.fitted(title, theme.TITLE_SIZE, room)
    parts.append(words(title, EDGE, 58.0, size=theme.TITLE_SIZE, colour=theme.TEXT, bold=True))
    subtitle = theme.fitted(subtitle, theme.SUBTITLE_SIZE, theme.WIDTH - 2 * EDGE)
    parts.append(words(subtitle, EDGE, 96.0, size=theme.SUBTITLE_SIZE))
    return "".join(parts)


def axis_width(values: Sequence[Decimal], amount: Callable[[Decimal], str]) -> float:
    """Give the room that the amounts at an axis need, on a tag too."""
    widest = max(theme.width_of(amount(value), theme.LABEL_SIZE) for value in values)
    return min(widest, _AMOUNT_WIDEST) + 2 * _TAG_PADDING + EDGE


def value_axis(
    plot: Plot, scale: ValueScale, labels: Labels, *, keep_free: Sequence[float] = ()
) -> str:
    """Draw lines at round amounts; none is written where a tag stands or twice the same."""
    parts: list[str] = []
    written: set[str] = set()
    for tick in scale.ticks():
        y, label = scale.y(tick), labels.amount(tick)
        parts.append(_grid_line(plot.left, y, plot.right, y))
        hidden = any(abs(y - taken) < _TAG_REACH for taken in keep_free)
        if label not in written and not hidden:
            parts.append(words(_cut(label), _AMOUNTS_END, y + 8, anchor="end"))
        written.add(label)
    return "".join(parts)


def time_axis(plot: Plot, scale: TimeScale, labels: Labels) -> str:
    """Write times under the plot: the day where one begins, else the time of day."""
    parts: list[str] = []
    free_from = 0.0
    for at in scale.ticks(TIME_TICKS_MAX):
        label = labels.day(at) if _is_midnight(at) else labels.time(at)
        x, half = scale.x(at), theme.width_of(label, theme.LABEL_SIZE) / 2
        if x - half < max(free_from, EDGE / 2) or x + half > theme.WIDTH - EDGE / 2:
            continue
        parts.append(_grid_line(x, plot.top, x, plot.bottom))
        parts.append(words(label, x, plot.bottom + 32, anchor="middle"))
        free_from = x + half + 12
    return "".join(parts)


def tag(plot: Plot, y: float, label: str, colour: str) -> str:
    """Mark the last value: a dotted line across the plot to the amount on a plate."""
    label = _cut(label)
    left = _AMOUNTS_END - theme.width_of(label, theme.LABEL_SIZE) - _TAG_PADDING
    plate = element(
        "rect",
        x=left,
        y=y - _TAG_HEIGHT / 2,
        width=_AMOUNTS_END + _TAG_PADDING - left,
        height=_TAG_HEIGHT,
        rx=7.0,
        fill=colour,
    )
    line = element(
        "path",
        d=f"M{number(plot.left)} {number(y)}H{number(left)}",
        stroke=colour,
        stroke_width=1.5,
        stroke_dasharray="2 6",
    )
    amount = words(label, _AMOUNTS_END, y + 8, colour=theme.BACKGROUND, bold=True, anchor="end")
    return line + plate + amount


def mark(plot: Plot, x: float, y: float, label: str, *, above: bool) -> str:
    """Write an extreme beside the point where it was reached, inside the plot."""
    label = _cut(label)
    half = theme.width_of(label, theme.LABEL_SIZE) / 2
    middle = min(max(x, plot.left + half), plot.right - half - 6)
    return element(
        "text",
        text_of(label),
        x=middle,
        y=y - 10 if above else y + 26,
        font_size=theme.LABEL_SIZE,
        font_family=theme.REGULAR,
        text_anchor="middle",
        fill=theme.TEXT,
        # A rim of the ground's colour, behind the letters, keeps them apart from lines.
        stroke=theme.BACKGROUND,
        stroke_width=5.0,
        stroke_linejoin="round",
        paint_order="stroke",
    )


def watermark(plot: Plot, note: str) -> str:
    """Write the note large and faint across the plot, if it fits."""
    smallest, largest = _WATERMARK_SIZES
    room = (plot.right - plot.left) * 0.8
    size = min(largest, room / max(theme.width_of(note, 1.0), 0.01))
    if size < smallest:
        return ""
    return words(
        note,
        (plot.left + plot.right) / 2,
        (plot.top + plot.bottom) / 2 + size / 3,
        size=size,
        colour=theme.TEXT,
        bold=True,
        anchor="middle",
        opacity=0.05,
    )


def nothing(plot: Plot, what: str) -> str:
    """Say in place of a plot why there is none."""
    room = plot.right - plot.left - 2 * EDGE
    panel = element(
        "rect",
        x=plot.left,
        y=plot.top,
        width=plot.right - plot.left,
        height=plot.bottom - plot.top,
        rx=14.0,
        fill=theme.PANEL,
    )
    line = theme.fitted(what, theme.SUBTITLE_SIZE, room)
    x, y = (plot.left + plot.right) / 2, (plot.top + plot.bottom) / 2 + 9
    return panel + words(line, x, y, size=theme.SUBTITLE_SIZE, anchor="middle")


def _cut(amount: str) -> str:
    return theme.fitted(amount, theme.LABEL_SIZE, _AMOUNT_WIDEST)


def _grid_line(x1: float, y1: float, x2: float, y2: float) -> str:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=theme.GRID, stroke_width=1.0)


def _is_midnight(at: datetime) -> bool:
    return timedelta(hours=at.hour, minutes=at.minute, seconds=at.second) == timedelta(0)
