"""From prices and times to places on the canvas, and where the ticks go.

Ticks are computed in Decimal, so that 0.00000012 and 123456789 get round ones alike; places are
floats: a pixel is no money.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

from kernel.money import PRECISION_DIGITS

TICKS_MAX = 6
"""On one axis; about five are aimed at."""

_NICE = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))
_MARGIN = Decimal("0.07")
_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720)
_DAYS = (1, 2, 3, 7, 14, 28, 56, 91, 182, 364)
_TIME_STEPS = tuple(timedelta(minutes=minutes) for minutes in _MINUTES) + tuple(
    timedelta(days=days) for days in _DAYS
)


@dataclass(frozen=True, slots=True)
class ValueScale:
    """Values on a vertical axis, the lowest at the bottom."""

    low: Decimal
    high: Decimal
    top: float
    bottom: float

    @classmethod
    def around(cls, values: Sequence[Decimal], top: float, bottom: float) -> "ValueScale":
        """Make a scale with air above and below; equal values lie in its middle."""
        low, high = min(values), max(values)
        with localcontext(prec=PRECISION_DIGITS):
            air = (high - low) * _MARGIN or abs(high) * _MARGIN or Decimal(1)
            return cls(low - air, high + air, top, bottom)

    def y(self, value: Decimal) -> float:
        """Give the place of a value."""
        with localcontext(prec=PRECISION_DIGITS):
            share = float((value - self.low) / (self.high - self.low))
        return self.bottom - share * (self.bottom - self.top)

    def ticks(self) -> list[Decimal]:
        """Give round values inside the scale, lowest first; at most TICKS_MAX."""
        with localcontext(prec=PRECISION_DIGITS):
            least = (self.high - self.low) / TICKS_MAX
            power = Decimal(1).scaleb(least.adjusted())
            step = next(power * nice for nice in _NICE if power * nice >= least)
            first = (self.low / step).to_integral_value(ROUND_CEILING)
            last = (self.high / step).to_integral_value(ROUND_FLOOR)
            return [step * number for number in range(int(first), int(last) + 1)][:TICKS_MAX]


@dataclass(frozen=True, slots=True)
class TimeScale:
    """Times on a horizontal axis. `begin` differs from `end`."""

    begin: datetime
    end: datetime
    left: float
    right: float

    def x(self, at: datetime) -> float:
        """Give the place of a time."""
        share = (at - self.begin) / (self.end - self.begin)
        return self.left + share * (self.right - self.left)

    def ticks(self, count_max: int) -> list[datetime]:
        """Give round times inside the scale; steps of a day or more begin at midnight."""
        span = self.end - self.begin
        step = next((s for s in _TIME_STEPS if span / s < count_max), timedelta(days=span.days))
        midnight = self.begin.replace(hour=0, minute=0, second=0, microsecond=0)
        at = midnight + max(0, -((midnight - self.begin) // step)) * step
        found = []
        while at <= self.end:
            found.append(at)
            at += step
        return found
