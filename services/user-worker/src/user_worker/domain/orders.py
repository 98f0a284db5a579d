"""Drafts and orders: what a user is offered, and what becomes of what he confirms. No I/O.

A wish ("sell 50 % of my BTC") is resolved once, into a draft that holds every amount it stands for.
A draft is confirmed at most once and then is an order under the same id, so the id is the cause of
every effect the order has: pressing twice, or working the press again after a crash, meets the same
order. An order goes

    ACCEPTED ──hold──► HELD ──submit──► SUBMITTED ──venue──► EXECUTED ──post──► FILLED
        │                │                  │
        └─ no funds ─────┼── too late ──────┴─ refused or tombstoned ──► GIVEN_UP ──void──► REJECTED
                         └── frozen

and each arrow is recorded in the database before the next one is tried. FILLED and REJECTED are the
ends. Unknown is none of these states: an order whose submission was not answered stays SUBMITTED
and is asked about. A freeze of the user's trading makes it too late for what was not submitted yet.
"""

import enum
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID


class Side(enum.Enum):
    """Which way an order goes."""

    BUY = "buy"
    SELL = "sell"


@dataclass(frozen=True, slots=True)
class Units:
    """So many units of the base asset, as in `0.5`."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class Money:
    """So much of the quote currency's worth, as in `$100`."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class Share:
    """A share of what can be spent, as in `50%`: above 0, at most 1. `all` is 1."""

    value: Decimal


Size = Units | Money | Share


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user asks for, before anything is resolved."""

    side: Side
    symbol: str
    """A symbol that is traded, for example "BTC"."""
    size: Size


class Refused(enum.Enum):
    """Why a wish or an order is not carried out. The conversation has a sentence for each."""

    UNKNOWN_SYMBOL = "unknown-symbol"
    NOTHING_TO_SPEND = "nothing-to-spend"
    INSUFFICIENT_FUNDS = "insufficient-funds"
    TOO_SMALL = "too-small"
    TOO_LARGE = "too-large"
    TOO_PRECISE = "too-precise"
    """More digits after the point than the asset has."""
    STALE_PRICE = "stale-price"
    """The price is too old to trade on."""
    PRICE_MOVED = "price-moved"
    """Past the slippage the user confirmed."""
    TOO_LATE = "too-late"
    """It could not be submitted in the named time."""
    FROZEN = "frozen"
    """The user has frozen his trading."""
    LIMIT_EXCEEDED = "limit-exceeded"
    """A limit of the account, or too many orders under way."""
    TOO_MANY_RESTING = "too-many-resting"
    """As many orders of the user wait for a price as may."""
    TOO_MANY_ALERTS = "too-many-alerts"
    """The same of alerts."""
    ALREADY_PAST = "already-past"
    """A stop or take-profit whose price is met already: it would be an order at once."""
    OUT_OF_REACH = "out-of-reach"
    """A price so far from the present one that it must be a slip of the hand."""
    NOT_TAKEN = "not-taken"
    """The venue refused it, for a reason this version has no name for."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A wish that is not carried out; nothing was changed."""

    reason: Refused
    bound: Decimal | None = None
    """What was met, where a number helps: the least, the most, what is available, the digits."""
    symbol: str = ""
    """What `bound` is in, for example "USDT"; empty for a plain number."""


@dataclass(frozen=True, slots=True)
class Coins:
    """An exact amount of one asset, with what people call it."""

    asset_id: str
    symbol: str
    value: Decimal


class Rule(enum.Enum):
    """What ordered a draft when it was not the user himself."""

    PLAN = "plan"
    COPY = "copy"


class DraftState(enum.Enum):
    """What became of a draft."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Draft:
    """An offer with every amount resolved, waiting for the user."""

    draft_id: UUID
    """The order's id once it is confirmed."""
    user_id: UUID
    wish: Wish
    spend: Coins
    """The most that is spent, and what is held for the order."""
    receive: Coins
    """What would be received at the price seen, before the fee."""
    fee: Coins
    """The venue's fee at the price seen, in the asset received."""
    receive_min: Decimal
    """Less than this is refused: the slippage the user confirms."""
    receive_max: Decimal | None
    """The most to receive, when the user named it; the rest of `spend` stays with him."""
    price: Decimal
    """What one unit would cost or bring, spread and slippage included."""
    slippage_basis_points: int
    is_simulated: bool
    made_at: datetime
    expires_at: datetime
    state: DraftState = DraftState.OPEN
    rule: Rule | None = None
    """What ordered it; None: the user himself."""

    @property
    def receipt(self) -> str:
        """What the user knows it by: see `receipt_of`."""
        return receipt_of(self.draft_id)


class OrderState(enum.Enum):
    """Where an order stands; the module's picture shows the arrows."""

    ACCEPTED = "accepted"
    HELD = "held"
    SUBMITTED = "submitted"
    EXECUTED = "executed"
    GIVEN_UP = "given-up"
    FILLED = "filled"
    REJECTED = "rejected"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to it."""
        return self in (OrderState.FILLED, OrderState.REJECTED)


@dataclass(frozen=True, slots=True)
class Order:
    """A confirmed draft on its way, as last recorded."""

    draft: Draft
    state: OrderState
    accepted_at: datetime
    submit_before: datetime
    """It is given up when the venue has not heard of it by then."""
    spent: Decimal | None = None
    """What the venue spent; known from EXECUTED on."""
    received: Decimal | None = None
    """What the venue gave, before the fee."""
    fee: Decimal | None = None
    refused: Refused | None = None
    """Why; known from GIVEN_UP on, and of a rejected order."""
    ended_at: datetime | None = None
    is_frozen: bool = False
    """Whether a freeze met it before it was submitted, which made it too late."""

    @property
    def order_id(self) -> UUID:
        """The draft's id: the cause of every effect."""
        return self.draft.draft_id


RECEIPT_CHARACTERS = 8
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISREAD = str.maketrans("OIL", "011")


def receipt_of(order_id: UUID) -> str:
    """Write an order's receipt id: its last 40 bits in Crockford's base 32, as in "7K3M-9Q2X".

    Unique per user, which the database enforces: 40 random bits of one user's orders.
    """
    bits = order_id.int & ((1 << 40) - 1)
    digits = [_CROCKFORD[(bits >> shift) & 31] for shift in range(35, -1, -5)]
    return "".join(digits[:4]) + "-" + "".join(digits[4:])


def read_receipt(typed: str) -> str | None:
    """Read what a user typed as a receipt id, forgiving case, spaces and misread letters.

    None when it cannot be one.
    """
    compact = "".join(c for c in typed.upper() if c not in "- #").translate(_MISREAD)
    if len(compact) != RECEIPT_CHARACTERS or any(c not in _CROCKFORD for c in compact):
        return None
    return f"{compact[:4]}-{compact[4:]}"
