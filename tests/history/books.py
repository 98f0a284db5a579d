"""What the stores say at the end of a run: the rows the checker needs, as plain values.

Users go by the id Telegram knows, shards by their number: one pool is looked at. Times are seconds
since the epoch.
"""

from dataclasses import dataclass, field
from decimal import Decimal

DONE, SET_ASIDE = 1, 2
"""Outcomes of a job, as `purser.gateway.v1.JobOutcome` numbers them."""
SENT = 1
"""The state of an outbox row that Telegram took."""
ANSWER, NOTICE = 1, 2
"""The lanes of the outbox."""


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the inbox."""

    job_id: str
    user: int
    user_seq: int
    shard: int
    input: str
    """What was typed, or `press:` and the press's id."""
    accepted_at: float
    done_at: float | None
    outcome: int | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One row of the outbox."""

    lane: int
    cause: str
    number: int
    place: int
    user: int
    state: int
    is_message: bool
    """A message or an edit, not the answer to a press."""
    message_id: int | None
    """Which message of the chat it became, of those that are messages."""
    done_at: float | None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """One offer."""

    draft_id: str
    job_id: str
    user: int
    receipt: str
    state: str
    expires_at: float
    rule: str | None = None
    """`plan` or `copy`, when it was not the user himself who ordered."""
    rule_id: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """One accepted order."""

    order_id: str
    user: int
    shard: int
    state: str
    accepted_at: float
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """What was recorded for an order, under which epoch."""

    step_id: int
    order_id: str
    shard: int
    step: str
    epoch: int
    at: float


@dataclass(frozen=True, slots=True)
class Transfer:
    """One movement of money, pending or over."""

    transfer_id: str
    operation: str
    state: str
    order_id: str | None
    debit_account: str | None
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a posted transfer; credits are positive."""

    transfer_id: str
    account: str | None
    """None for the system's accounts."""
    asset: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Account:
    """A user's balance in one asset."""

    account_id: str
    user: int
    asset: str
    posted: Decimal
    held: Decimal


@dataclass(frozen=True, slots=True)
class Trade:
    """One filled order in the books."""

    order_id: str
    user: int
    spent_asset: str
    spent: Decimal
    received_asset: str
    received: Decimal
    fee: Decimal


@dataclass(frozen=True, slots=True)
class Execution:
    """What the venue decided of an order."""

    order_id: str
    state: str
    received: Decimal | None


@dataclass(frozen=True, slots=True)
class Resting:
    """One order that waits, or waited, for a price."""

    order_id: str
    shard: int
    kind: str
    symbol: str
    is_below: bool
    """It triggers at or below the price; else at or above."""
    trigger_price: Decimal
    state: str
    placed_at: float | None
    expires_at: float | None
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """Purchases that repeat."""

    plan_id: str
    state: str
    runs: int
    next_at: float | None


@dataclass(frozen=True, slots=True)
class Copy:
    """Who copies whom."""

    copy_id: str
    leader: int
    state: str
    began_at: float | None


@dataclass(frozen=True, slots=True)
class Copied:
    """A trade of a leader that a copy has dealt with."""

    copy_id: str
    leader_order_id: str


@dataclass(frozen=True, slots=True)
class Books:
    """Everything of one pool."""

    jobs: list[Job] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    resting: list[Resting] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    copied: list[Copied] = field(default_factory=list)
    read_at: float = 0.0
    """The database's time of the snapshot."""
    unrelayed_events: int = 0
    disagreements: dict[str, list[str]] = field(default_factory=dict)
    """What `tests.e2e.reconciling` found, by its claim."""
