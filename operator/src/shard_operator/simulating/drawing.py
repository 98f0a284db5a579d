"""A simulation as a picture: SVG text, drawn by hand. Pure.

Three plots over one time axis: workers (decided, and what the measurements alone asked for), the
backlog, the age of the oldest job with its target. A plot has as many columns as it is wide: each
shows the lowest and the highest of its time, so that no peak is lost however long the trace is.
What is unknown is a gap.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from xml.sax.saxutils import escape

from shard_operator.simulating.outcome import Outcome, Point
from shard_operator.simulating.telling import clock

WIDTH, HEIGHT = 960, 620
LEFT, RIGHT = 64, 36
PLOT_HEIGHT, FIRST_TOP, GAP = 136, 74, 44
ACROSS = WIDTH - LEFT - RIGHT
INK, FAINT, GRID = "#333", "#777", "#ddd"
DECIDED, WANTED, BACKLOG, OLDEST, TARGET = "#1f6f8b", "#b4552d", "#6a8f3c", "#7a5195", "#b4552d"
TIME_STEPS = (10, 30, 60, 300, 600, 1800, 3600, 7200, 14_400, 43_200, 86_400, 432_000)
TICKS_ACROSS_MAX = 12

_Value = TypeVar("_Value", int, float)


@dataclass(frozen=True, slots=True)
class _Plot:
    """One of the plots: where it is, and how high its values go."""

    top: int
    highest: float
    seconds: float

    def x(self, seconds: float) -> float:
        """Where a moment is."""
        return round(LEFT + min(1.0, seconds / self.seconds) * ACROSS, 1)

    def y(self, value: float) -> float:
        """Where a value is."""
        return round(self.top + PLOT_HEIGHT * (1 - min(value / self.highest, 1.0)), 1)


def draw(outcome: Outcome, title: str, subtitle: str, target_oldest_seconds: float) -> str:
    """Draw the course of a simulation."""
    points, seconds = outcome.points, outcome.seconds
    replicas = max(max(p.replicas, 0) for p in points)
    # The wanted count can be far above maxReplicas; the plot is about the decided one.
    workers = _Plot(FIRST_TOP, _round_up(max(replicas * 1.25, 4)), seconds)
    backlog = _Plot(_top(1), _round_up(max((p.backlog or 0) for p in points) or 1), seconds)
    oldest_max = max((p.oldest_seconds or 0.0) for p in points)
    oldest = _Plot(_top(2), _round_up(max(oldest_max, target_oldest_seconds * 1.2)), seconds)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<g font-family="sans-serif" font-size="12" fill="{INK}">',
        f'<text x="{LEFT}" y="24" font-size="16" font-weight="bold">{escape(title)}</text>',
        f'<text x="{LEFT}" y="44" fill="{FAINT}">{escape(subtitle)}</text>',
        *_frame(workers, "workers", [("decided", DECIDED), ("wanted by the measurements", WANTED)]),
        _stairs(workers, points, lambda p: p.wanted, WANTED, 1.0),
        _stairs(workers, points, lambda p: p.replicas, DECIDED, 2.0),
        *_frame(backlog, "backlog, jobs", []),
        _band(backlog, points, lambda p: p.backlog, BACKLOG),
        *_frame(oldest, "oldest job, s", [("target", TARGET)]),
        _dashes(oldest, target_oldest_seconds),
        _band(oldest, points, lambda p: 0.0 if p.backlog == 0 else p.oldest_seconds, OLDEST),
        *_times(oldest),
    ]
    return "\n".join([*parts, "</g></svg>\n"])


def _dashes(plot: _Plot, value: float) -> str:
    line = f"M{LEFT} {plot.y(value)}h{ACROSS}"
    return f'<path d="{line}" stroke="{TARGET}" stroke-dasharray="5 4"/>'


def _top(number: int) -> int:
    return FIRST_TOP + number * (PLOT_HEIGHT + GAP)


def _frame(plot: _Plot, label: str, legend: Sequence[tuple[str, str]]) -> list[str]:
    parts = [f'<text x="{LEFT}" y="{plot.top - 9}" font-weight="bold">{escape(label)}</text>']
    for quarter in range(5):
        value = plot.highest * quarter / 4
        parts.append(
            f'<path d="M{LEFT} {plot.y(value)}h{ACROSS}" stroke="{GRID}"/>'
            f'<text x="{LEFT - 6}" y="{plot.y(value) + 4}" text-anchor="end">{value:,.10g}</text>'
        )
    for number, (name, colour) in enumerate(legend):
        x = LEFT + 130 + number * 110
        parts.append(
            f'<path d="M{x} {plot.top - 13}h22" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{x + 28}" y="{plot.top - 9}">{escape(name)}</text>'
        )
    return parts


def _stairs(
    plot: _Plot, points: Sequence[Point], of: Callable[[Point], int], colour: str, width: float
) -> str:
    last = of(points[0])
    path = [f"M{LEFT} {plot.y(last)}"]
    for x, values in _columns(plot, points, of).items():
        if {last, *values} != {last}:
            ways = f"V{plot.y(min(values))}V{plot.y(max(values))}V{plot.y(values[-1])}"
            path.append(f"H{x}{ways if len(set(values)) > 1 else f'V{plot.y(values[0])}'}")
            last = values[-1]
    path.append(f"H{plot.x(plot.seconds)}")
    return _path(path, colour, width)


def _band(
    plot: _Plot, points: Sequence[Point], of: Callable[[Point], float | None], colour: str
) -> str:
    """Lowest to highest in each column of the plot."""
    path: list[str] = []
    # Where a row is wider than a column, the next one is so far away.
    near, before = max(2, ACROSS // len(points) + 1), -ACROSS
    for x, values in _columns(plot, points, of).items():
        # From where the last column ended, so that a slope is not a row of dots.
        path.append(f"{'L' if x - before <= near else 'M'}{x} {plot.y(values[0])}")
        if len(set(values)) > 1:
            path.append(f"V{plot.y(min(values))}V{plot.y(max(values))}V{plot.y(values[-1])}")
        before = x
    return _path(path, colour, 1.2)


def _columns(
    plot: _Plot, points: Sequence[Point], of: Callable[[Point], _Value | None]
) -> dict[int, list[_Value]]:
    """The known values by the pixel they are at."""
    columns: dict[int, list[_Value]] = {}
    for point in points:
        if (value := of(point)) is not None:
            columns.setdefault(int(plot.x(point.seconds)), []).append(value)
    return columns


def _path(parts: Sequence[str], colour: str, width: float) -> str:
    if not parts:
        return ""
    return f'<path d="{"".join(parts)}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _times(plot: _Plot) -> list[str]:
    fits = (step for step in TIME_STEPS if plot.seconds / step <= TICKS_ACROSS_MAX)
    step = next(fits, TIME_STEPS[-1])
    parts = []
    for number in range(int(plot.seconds // step) + 1):
        x = plot.x(number * step)
        parts.append(
            f'<path d="M{x} {plot.top + PLOT_HEIGHT}v5" stroke="{FAINT}"/>'
            f'<text x="{x}" y="{plot.top + PLOT_HEIGHT + 20}" text-anchor="middle">'
            f"{clock(number * step).removesuffix(':00' if step >= 60 else '')}</text>"
        )
    return parts


def _round_up(value: float) -> float:
    """To a number whose quarters are easy to read."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10, 12) if step * power >= value)
