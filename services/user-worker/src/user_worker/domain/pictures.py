"""What the pictures of the conversation show. No I/O.

A picture decides where things go, never how they are put: every word comes in the user's language,
and figures are written by the functions of `Labels`. Unknown is None, and leaves a gap.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from user_worker.domain.market import Candles
from user_worker.domain.performance import EquityPoint

PICTURE_BYTES_MAX = 1_048_576
"""What a picture may weigh as PNG: the gateway takes no larger one."""

CANDLES_SHOWN_MAX = 240
"""Candles in one picture, the newest; beyond that a candle is thinner than a phone can show."""

POINTS_SHOWN_MAX = 400
"""Points of an equity line, the newest."""

HOLDINGS_SHOWN_MAX = 6
"""Assets told apart, the most valuable first; the rest are one."""


@dataclass(frozen=True, slots=True)
class Labels:
    """How figures are written, short, for the user. They must not raise."""

    amount: Callable[[Decimal], str]
    """A price or an amount in the currency, without its name: "97,123.46"."""
    percent: Callable[[Decimal], str]
    """A share of one: 0.125 as "12.5%"."""
    time: Callable[[datetime], str]
    """A time of day: "14:30"."""
    day: Callable[[datetime], str]
    """A day: "26 Nov"."""


@dataclass(frozen=True, slots=True)
class CandlesPicture:
    """A price over time."""

    candles: Candles
    labels: Labels
    title: str
    """What is shown: "BTC · 1 h"."""
    subtitle: str
    """The line under it, perhaps the last price and its change; may be empty."""
    note: str
    """What must not be overlooked: "simulated prices"; empty for nothing."""
    nothing: str
    """What it says in place of candles when there are none."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One asset of a portfolio."""

    symbol: str
    value: Decimal
    """In the currency; never negative."""


@dataclass(frozen=True, slots=True)
class PortfolioPicture:
    """The value of everything over time, and what it is made of."""

    points: tuple[EquityPoint, ...]
    """Oldest first."""
    holdings: tuple[Holding, ...]
    """In any order; what has no value is not shown."""
    labels: Labels
    title: str
    subtitle: str
    note: str
    """As in CandlesPicture."""
    equity: str
    """What the line is called: "Value"."""
    deposits: str
    """What the dashed line is called: "Paid in"."""
    other: str
    """What the assets not told apart are called: "Other"."""
    no_points: str
    """What it says in place of the line."""
    no_holdings: str
    """What it says in place of the assets."""
