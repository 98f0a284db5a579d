"""Past times worth valuing, and the prices then, from candles. No I/O.

A price at a time is the first one of the candle the time lies in: known as well as the candles are
fine. In a gap it is the last one before, for as long as two candles last; after that the price is
unknown, and so is what it would have valued.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from kernel.money import exact
from user_worker.domain.market import Candle, Candles
from user_worker.domain.performance import EquityPoint, MarkedTime, Performance

CANDLES_MAX = 500
"""Of one question to pricing."""
_GAP_CANDLES = 2


@dataclass(frozen=True, slots=True)
class Span:
    """How far to look back, and how finely."""

    length: timedelta
    interval_minutes: int
    """Of the candles."""
    points: int
    """Times in between, evenly spaced, the present not among them."""

    @property
    def candles(self) -> int:
        """How many candles reach back as far, the one under way included."""
        return min(CANDLES_MAX, self.length // timedelta(minutes=self.interval_minutes) + 1)

    def times(self, now: datetime) -> tuple[datetime, ...]:
        """Give the times, oldest first."""
        step = self.length / self.points
        return tuple(now - step * place for place in range(self.points, 0, -1))


def marked_times(
    candles: Mapping[str, Candles], times: Sequence[datetime]
) -> tuple[MarkedTime, ...]:
    """Find the prices at some times; `candles` are by asset id."""
    return tuple(
        MarkedTime(
            at,
            {
                asset_id: price
                for asset_id, known in candles.items()
                if (price := _price_at(known, at)) is not None
            },
        )
        for at in times
    )


def gain_since(performance: Performance, then: EquityPoint) -> Decimal | None:
    """Say what was gained since a time, money paid in or out told apart; None when unknown.

    Before anything was paid in there was nothing: that is known, though no equity is told.
    """
    equity_then = then.equity
    if equity_then is None and not then.net_deposits:
        equity_then = then.net_deposits
    if performance.equity is None or equity_then is None:
        return None
    with exact():
        paid_in = performance.net_deposits - then.net_deposits
        return performance.equity - equity_then - paid_in


def gain_ever(performance: Performance) -> Decimal | None:
    """Say what was gained since the start; None when the present value is unknown."""
    if performance.equity is None:
        return None
    with exact():
        return performance.equity - performance.net_deposits


def _price_at(known: Candles, at: datetime) -> Decimal | None:
    place = bisect_right(known.candles, at, key=_begins_at) - 1
    if place < 0:
        return None
    candle = known.candles[place]
    interval = timedelta(minutes=known.interval_minutes)
    late = at - candle.begins_at
    if late < interval:
        return candle.open
    return candle.close if late < interval * (1 + _GAP_CANDLES) else None


def _begins_at(candle: Candle) -> datetime:
    return candle.begins_at
