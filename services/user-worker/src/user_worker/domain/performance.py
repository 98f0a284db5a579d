"""How a user's trading went, as the ledger tells it. No I/O.

The ledger computes; the formulas and their sources stand there. Unknown is None, never 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from user_worker.domain.orders import Coins, Side


@dataclass(frozen=True, slots=True)
class Position:
    """One asset a user holds, the currency included."""

    asset_id: str
    symbol: str
    quantity: Decimal
    """What is posted; what is held back for orders is part of it."""
    held: Decimal
    cost: Decimal | None
    """By average cost, fees included; None for the currency itself."""
    value: Decimal | None
    """In the currency at the mark; None without a mark."""


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """The value of everything at one time."""

    at: datetime
    equity: Decimal | None
    net_deposits: Decimal


@dataclass(frozen=True, slots=True)
class MarkedTime:
    """Prices at one time: currency per unit by asset id."""

    at: datetime
    marks: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Performance:
    """All figures are in the currency unless they say otherwise."""

    currency: str
    """What people call it, for example "USDT"."""
    positions: tuple[Position, ...]
    equity: Decimal | None
    net_deposits: Decimal
    realised_pnl: Decimal
    unrealised_pnl: Decimal | None
    trades: int
    winning_trades: int
    losing_trades: int
    even_trades: int
    win_rate: Decimal | None
    profit_factor: Decimal | None
    expectancy: Decimal | None
    max_drawdown: Decimal
    max_drawdown_ratio: Decimal | None
    fees: tuple[Coins, ...]
    points: tuple[EquityPoint, ...]
    """The answers to the past times asked for, in their order."""


@dataclass(frozen=True, slots=True)
class Trade:
    """One filled order, as the books have it."""

    order_id: UUID
    side: Side
    spent: Coins
    received: Coins
    fee: Coins
    price: Decimal | None
    """Currency per unit, rounded; None when it has more digits than can be told."""
    realised_pnl: Decimal | None
    """In the currency; None with a buy."""
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class TradePage:
    """Some trades, newest first."""

    trades: tuple[Trade, ...]
    next_page_token: str
    """Asks for the next older ones; empty when there are none."""
