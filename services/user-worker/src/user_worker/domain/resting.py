"""Orders that wait for a price, and alerts. No I/O.

A resting order is a draft with a condition. Its confirmation makes it wait; when its price is met
it becomes an order under the draft's id, so that one id is the cause of everything it ever does:

    OFFERED ──confirm──► WAITING ──price──► TRIGGERED: an order like any other
                            ├── cancelled ──► CANCELLED
                            └── in vain ────► EXPIRED

Nothing is held while it waits: a stop and a take-profit may stand on one holding, and whichever
comes first sells it. Too little money when it triggers is an order rejected like any other.

    limit        buy at or below, sell at or above; never executed worse than that price
    stop         sell at or below, buy at or above; a market order then
    take-profit  sell at or above, buy at or below; a market order then
"""

import enum
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from user_worker.domain.orders import Draft, DraftState, Side

EXPIRIES = {"10m": 600, "1h": 3600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000}
"""How long a resting order may wait, in seconds, by how it is written."""
DEFAULT_EXPIRY = "7d"
ALERT_SECONDS = 2_592_000
"""How long an alert waits: 30 days."""


class RestingKind(enum.Enum):
    """What a resting order does with its price."""

    LIMIT = "limit"
    STOP = "stop"
    TAKE_PROFIT = "take-profit"


class Direction(enum.Enum):
    """From where a price is met."""

    AT_OR_BELOW = "at-or-below"
    AT_OR_ABOVE = "at-or-above"

    def is_met(self, named: Decimal, quoted: Decimal) -> bool:
        """Say whether a quote meets the price that was named."""
        return quoted <= named if self is Direction.AT_OR_BELOW else quoted >= named


class RestingState(enum.Enum):
    """Where a resting order stands; the module's picture shows the arrows."""

    OFFERED = "offered"
    WAITING = "waiting"
    TRIGGERED = "triggered"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Condition:
    """What a resting order waits for, and how long."""

    kind: RestingKind
    direction: Direction
    price: Decimal
    lasts_seconds: int
    """From its confirmation."""


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """A draft that waits for a price, as last recorded."""

    draft: Draft
    condition: Condition
    state: RestingState
    placed_at: datetime | None = None
    """When it began to wait."""
    expires_at: datetime | None = None
    """When it has waited in vain."""
    ended_at: datetime | None = None

    @property
    def order_id(self) -> UUID:
        """The draft's id, and the order's once it has triggered."""
        return self.draft.draft_id

    @property
    def is_open(self) -> bool:
        """Whether it can still be confirmed."""
        return self.state is RestingState.OFFERED and self.draft.state is DraftState.OPEN


@dataclass(frozen=True, slots=True)
class Alert:
    """A price somebody wants to be told of, once."""

    alert_id: UUID
    symbol: str
    direction: Direction
    price: Decimal
    expires_at: datetime


def direction_of(kind: RestingKind, side: Side) -> Direction:
    """Say from where the price of a resting order is met."""
    is_below = (side is Side.SELL) is (kind is RestingKind.STOP)
    return Direction.AT_OR_BELOW if is_below else Direction.AT_OR_ABOVE
