"""What orders without being asked each time: plans and copies of others' trades. No I/O.

A rule is offered and confirmed like a draft. Each order it makes has a cause derived from the rule
and from what it answers (the number of the run, the order that is copied), so that it is made at
most once, whoever owns the shard then.
"""

import enum
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid5

from kernel.money import FRACTION_DIGITS_MAX, divide_down, multiply_down, round_down
from user_worker.domain.orders import Wish

FUNDS_MISSING_IN_A_ROW_MAX = 3
"""Runs of a plan that found too little money; instead of the next one it pauses."""
PATIENCE_SECONDS_MAX = 3600.0
"""How long a run is tried again while there is no price: half its period, but no longer."""


@dataclass(frozen=True, slots=True)
class TooMany:
    """A rule that is not confirmed: so many are the most there may be."""

    limit: int


class PlanState(enum.Enum):
    """What becomes of a plan."""

    OFFERED = "offered"
    ACTIVE = "active"
    PAUSED = "paused"
    FINISHED = "finished"
    """It had all its runs."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """Offered and not confirmed in time."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A purchase that repeats."""

    plan_id: UUID
    user_id: UUID
    wish: Wish
    """A purchase of Units or Money."""
    slippage_basis_points: int
    period_seconds: int
    runs_max: int | None
    """None: until it is cancelled."""
    runs: int
    """How many there were, the skipped ones included."""
    state: PlanState
    expires_at: datetime
    """Until when the offer can be confirmed."""
    next_at: datetime | None
    """When the next run is due, once it is confirmed."""


def cause_of_run(plan_id: UUID, run: int) -> UUID:
    """Make the cause of a run's order; the first run is 1."""
    return uuid5(plan_id, f"run:{run}")


class CopyProblem(enum.Enum):
    """Why nobody is copied. The conversation has a sentence for each."""

    UNKNOWN_CODE = "unknown-code"
    """Nobody shares under it, or not any more."""
    OWN_CODE = "own-code"
    COPIED_ALREADY = "copied-already"
    FOLLOWERS_MAX = "followers-max"
    """The leader has as many followers as there may be."""


class CopyState(enum.Enum):
    """What becomes of a copy."""

    OFFERED = "offered"
    ACTIVE = "active"
    ENDED = "ended"
    EXPIRED = "expired"
    """Offered and not confirmed in time."""


@dataclass(frozen=True, slots=True)
class Copy:
    """Somebody who copies another's trades."""

    copy_id: UUID
    user_id: UUID
    """The follower's."""
    leader_id: UUID
    """Never shown to the follower, who knows the code alone."""
    code: str
    spend: Decimal
    """What each copied purchase spends, in the venue's currency."""
    slippage_basis_points: int
    state: CopyState
    expires_at: datetime
    """Until when the offer can be confirmed."""


@dataclass(frozen=True, slots=True)
class Share:
    """Somebody who lets others copy his trades."""

    code: str
    shared_at: datetime
    followers: int


@dataclass(frozen=True, slots=True)
class Stakes:
    """What a leader's sale is measured by, as the orders on record have it."""

    sold: Decimal
    held_before: Decimal
    """What the leader had of the symbol before, by the trades that were executed before it."""
    copied: Decimal
    """What the follower has of it by copying this leader: bought less sold."""


def copied_sale(stakes: Stakes, decimals: int) -> Decimal:
    """Say how much a follower sells: of what he copied, the share the leader sold of his holding.

    Rounded down to `decimals` digits; all of it when the leader sold all he is known to have had.
    """
    if stakes.copied <= 0:
        return Decimal(0)
    if stakes.sold >= stakes.held_before:
        return round_down(stakes.copied, decimals)
    share = divide_down(stakes.sold, stakes.held_before, FRACTION_DIGITS_MAX)
    return multiply_down(stakes.copied, share, decimals)


def cause_of_copy(copy_id: UUID, leader_order_id: UUID) -> UUID:
    """Make the cause of a copied trade's order."""
    return uuid5(copy_id, f"order:{leader_order_id}")
