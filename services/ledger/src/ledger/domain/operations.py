"""What callers may ask of the books: typed operations, their fingerprints, their answers. No I/O.

An operation is an action under an idempotency key. The key is the cause of the effect: the same
key again gives the first answer. Whether it *is* the same operation is told by a fingerprint over
the action's named fields; the key itself, the claim, the trace and the place in a linked group are
no part of it. The fields are joined by "|", which neither a UUID nor an amount nor an asset id can
hold. A change of what goes in is a new `FINGERPRINT_VERSION`; an answer kept under an older version
is believed without comparing.
"""

import enum
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from chassis.errors import MalformedRequest
from kernel.money import EXACT, AssetId
from kernel.sharding import Claim
from ledger.domain.assets import Registry, fits

OPERATIONS_PER_CALL_MAX = 100
"""The contract's limit."""
IDEMPOTENCY_KEY_CHARACTERS_MAX = 128
"""The contract's limit."""
FINGERPRINT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Amount:
    """An exact amount of one asset."""

    asset_id: AssetId
    value: Decimal


class Side(enum.Enum):
    """Which way a trade went; the values are the database's."""

    BUY = "buy"
    SELL = "sell"


@dataclass(frozen=True, slots=True)
class Hold:
    """Hold an amount for an order."""

    user_id: UUID
    order_id: UUID
    amount: Amount
    expires_at: datetime | None
    """In database time; None for never."""


@dataclass(frozen=True, slots=True)
class Fill:
    """Post what a held order did. `fee` is in the asset received, and at most what was received."""

    user_id: UUID
    order_id: UUID
    spent: Amount
    received: Amount
    fee: Amount
    side: Side


@dataclass(frozen=True, slots=True)
class Release:
    """Void a hold."""

    user_id: UUID
    order_id: UUID


@dataclass(frozen=True, slots=True)
class Faucet:
    """Give play money."""

    user_id: UUID
    amount: Amount


@dataclass(frozen=True, slots=True)
class Fee:
    """Charge a fee."""

    user_id: UUID
    amount: Amount


Action = Hold | Fill | Release | Faucet | Fee


@dataclass(frozen=True, slots=True)
class Operation:
    """An action and its cause."""

    idempotency_key: str
    action: Action
    linked: bool = False
    """Whether this and the next one succeed or fail together."""


@dataclass(frozen=True, slots=True)
class Request:
    """Operations of one shard, with the claim they are made under."""

    claim: Claim
    operations: Sequence[Operation]


class Outcome(enum.Enum):
    """What happened to an operation; the values are the database's."""

    APPLIED = "applied"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    NOT_FOUND = "not_found"
    ALREADY_POSTED = "already_posted"
    ALREADY_VOIDED = "already_voided"
    EXPIRED = "expired"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    SHARD_MISMATCH = "shard_mismatch"
    LIMIT_EXCEEDED = "limit_exceeded"
    LINKED_FAILED = "linked_failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one operation."""

    outcome: Outcome
    transfer_id: UUID | None = None
    """The transfer that was made; of a release the hold that was voided. None of a refusal."""
    replayed: bool = False


def fingerprint_of(action: Action) -> bytes:
    """Hash what makes an action this one (SHA-256). "0.50" and "0.5" are the same amount."""
    match action:
        case Hold(user_id, order_id, amount, expires_at):
            expiry = "" if expires_at is None else expires_at.isoformat()
            text = f"hold|{user_id}|{order_id}|{_plain(amount)}|{expiry}"
        case Fill(user_id, order_id, spent, received, fee, side):
            amounts = f"{_plain(spent)}|{_plain(received)}|{_plain(fee)}"
            text = f"fill|{user_id}|{order_id}|{amounts}|{side.value}"
        case Release(user_id, order_id):
            text = f"release|{user_id}|{order_id}"
        case Faucet(user_id, amount):
            text = f"faucet|{user_id}|{_plain(amount)}"
        case Fee(user_id, amount):
            text = f"fee|{user_id}|{_plain(amount)}"
    return hashlib.sha256(text.encode()).digest()


def linked_groups(operations: Sequence[Operation]) -> Iterator[Sequence[Operation]]:
    """Cut a request into what succeeds or fails together; most groups are one operation."""
    first = 0
    for place, operation in enumerate(operations):
        if not operation.linked:
            yield operations[first : place + 1]
            first = place + 1


def check_digits(operations: Sequence[Operation], registry: Registry) -> None:
    """Refuse amounts finer than their asset's smallest unit. Raises MalformedRequest.

    An asset that is not in the registry has no account anywhere: its operation is answered
    NOT_FOUND.
    """
    for place, operation in enumerate(operations):
        for name, amount in _amounts(operation.action):
            asset = registry.get(amount.asset_id)
            if asset is not None and not fits(amount.value, asset.decimals):
                kind = type(operation.action).__name__.lower()
                raise MalformedRequest(
                    f"operations[{place}].{kind}.{name}.value",
                    f"expected at most {asset.decimals} digits after the point",
                )


def _amounts(action: Action) -> tuple[tuple[str, Amount], ...]:
    match action:
        case Fill():
            return ("spent", action.spent), ("received", action.received), ("fee", action.fee)
        case Release():
            return ()
        case _:
            return (("amount", action.amount),)


def _plain(amount: Amount) -> str:
    return f"{amount.asset_id}|{amount.value.normalize(EXACT)}"
