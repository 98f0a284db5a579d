"""Line charts as SVG text, for the report. Pure."""

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 52, 44
COLOURS = ("#b4552d", "#1f6f8b", "#6a8f3c", "#7a5195")
TICKS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its name, its points, dashed or not."""

    name: str
    points: list[tuple[float, float]]
    colour: int = 0
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis shows, from where to where."""

    label: str
    low: float
    high: float
    is_logarithmic: bool = False

    def share(self, value: float) -> float:
        """Place a value between 0 and 1; what lies outside is put on the border."""
        if self.is_logarithmic:
            low, high, value = (math.log10(max(v, 1e-9)) for v in (self.low, self.high, value))
        else:
            low, high = self.low, self.high
        return min(1.0, max(0.0, (value - low) / (high - low)))

    def ticks(self) -> list[float]:
        """Give the values that are marked: powers of ten, or round numbers."""
        if self.is_logarithmic:
            first, last = round(math.log10(self.low)), round(math.log10(self.high))
            return [10.0**power for power in range(first, last + 1)]
        step = (self.high - self.low) / TICKS
        return [self.low + step * number for number in range(TICKS + 1)]


def chart(title: str, across: Axis, up: Axis, lines: list[Line]) -> str:
    """Draw the lines over two axes, with a legend."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        '<g font-family="sans-serif" font-size="12" fill="#333">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="20" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    parts += [_horizontal(up, value) for value in up.ticks()]
    parts += [_mark_below(across, value) for value in across.ticks()]
    parts += [
        f'<text x="{WIDTH - 90}" y="{HEIGHT - 8}">{escape(across.label)}</text>',
        f'<text x="8" y="{TOP - 8}">{escape(up.label)}</text>',
    ]
    for number, line in enumerate(lines):
        parts += [_drawn(line, across, up), _named(line, number)]
    return "\n".join([*parts, "</g></svg>\n"])


def _x(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _y(share: float) -> float:
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _horizontal(axis: Axis, value: float) -> str:
    y = _y(axis.share(value))
    return (
        f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#ddd"/>'
        f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{value:,.10g}</text>'
    )


def _mark_below(axis: Axis, value: float) -> str:
    return (
        f'<text x="{_x(axis.share(value))}" y="{HEIGHT - BOTTOM + 16}"'
        f' text-anchor="middle">{value:,.10g}</text>'
    )


def _style(line: Line) -> str:
    dashes = ' stroke-dasharray="5 4"' if line.is_dashed else ""
    return f'fill="none" stroke="{COLOURS[line.colour]}" stroke-width="2"{dashes}'


def _drawn(line: Line, across: Axis, up: Axis) -> str:
    known = [(x, y) for x, y in line.points if not math.isnan(y)]
    path = "L".join(f"{_x(across.share(x))} {_y(up.share(y))}" for x, y in known)
    return f'<path d="M{path}" {_style(line)}/>' if known else ""


def _named(line: Line, number: int) -> str:
    x = LEFT + 130 + number * 135
    return (
        f'<path d="M{x} {TOP - 12}h22" {_style(line)}/>'
        f'<text x="{x + 28}" y="{TOP - 8}">{escape(line.name)}</text>'
    )
