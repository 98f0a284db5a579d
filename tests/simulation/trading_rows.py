"""The rows of schema `worker` in memory, each named after its table."""

from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from kernel.sharding import ShardKey
from user_worker.domain.freezing import Stopped
from user_worker.domain.notes import Note
from user_worker.domain.orders import Draft, Order
from user_worker.domain.resting import Condition, RestingState


@dataclass(slots=True)
class DraftRow:
    """worker.drafts"""

    draft: Draft
    job_id: UUID
    key: ShardKey
    rule_id: UUID | None = None


@dataclass(slots=True)
class OrderRow:
    """worker.orders, with its worker.order_steps and worker.events"""

    order: Order
    key: ShardKey
    language: str
    submit_before: float
    tell_later: bool = False
    steps: list[tuple[str, str, int]] = field(default_factory=list)
    event_id: UUID | None = None
    trade_number: int = 0
    """Which of its user's trades of its symbol it is, from 1; 0 until it was executed."""
    held_before: Decimal = Decimal(0)


@dataclass(slots=True)
class HoldingRow:
    """worker.holdings"""

    trades: int = 0
    held: Decimal = Decimal(0)


@dataclass(slots=True)
class RestingRow:
    """worker.resting_orders"""

    order_id: UUID
    user_id: UUID
    key: ShardKey
    symbol: str
    condition: Condition
    state: RestingState = RestingState.OFFERED
    language: str = ""
    placed_at: float | None = None
    expires_at: float | None = None
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class FreezeRow:
    """worker.freezes"""

    job_id: UUID
    key: ShardKey
    stopped: Stopped
    frozen_at: float


@dataclass(frozen=True, slots=True)
class NoteRow:
    """A row of worker.events that is no end of an order."""

    key: ShardKey
    user_id: UUID
    language: str
    subject_id: UUID
    note: Note
