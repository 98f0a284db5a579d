"""The picture of the books that operations are applied to, and what has to be written then. No I/O.

Everything here is a frozen value: a change of an account is another `AccountState` under the same
key, which is what lets a linked group be taken back and the differences be found in the end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from kernel.money import AssetId
from kernel.sharding import ShardKey
from ledger.domain.assets import Registry
from ledger.domain.operations import Amount, Outcome, Side
from ledger.domain.positions import Position

NONE = Decimal(0)


@dataclass(frozen=True, slots=True)
class AccountState:
    """One account under lock."""

    account_id: UUID
    user_id: UUID
    asset_id: AssetId
    posted: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    posted_max: Decimal | None = None
    hold_max: Decimal | None = None
    faucet_given: Decimal = Decimal(0)

    def moved(
        self, posted: Decimal = NONE, held: Decimal = NONE, given: Decimal = NONE
    ) -> "AccountState":
        """The account after its figures changed by so much; use inside `exact()`."""
        return AccountState(
            self.account_id,
            self.user_id,
            self.asset_id,
            self.posted + posted,
            self.held + held,
            self.posted_max,
            self.hold_max,
            self.faucet_given + given,
        )


@dataclass(frozen=True, slots=True)
class HoldState:
    """One hold, whatever became of it."""

    transfer_id: UUID
    order_id: UUID
    user_id: UUID
    account_id: UUID
    asset_id: AssetId
    amount: Decimal
    state: str
    """pending, posted, voided or expired."""
    expires_at: datetime | None
    posted_amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class KnownKey:
    """The first answer to a key."""

    fingerprint_version: int
    fingerprint: bytes
    outcome: Outcome
    transfer_id: UUID | None


@dataclass(frozen=True, slots=True)
class Transfer:
    """A posted transfer to write: of each side, either an account or the name of a system one."""

    transfer_id: UUID
    operation: str
    asset_id: AssetId
    amount: Decimal
    debit_account_id: UUID | None = None
    debit_system: str | None = None
    credit_account_id: UUID | None = None
    credit_system: str | None = None
    order_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Trade:
    """A filled order to write."""

    order_id: UUID
    user_id: UUID
    side: Side
    spent: Amount
    received: Amount
    fee: Decimal
    realised_pnl: Decimal | None


AccountKey = tuple[UUID, AssetId]
PositionKey = tuple[UUID, AssetId, AssetId]
"""The user, the asset, the currency."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What the database says of everybody a batch names."""

    now: datetime
    """Database time, read under the locks."""
    registry: Registry
    users: Mapping[UUID, ShardKey]
    accounts: Mapping[AccountKey, AccountState]
    holds: Mapping[UUID, HoldState]
    """By order. The account of each is among the accounts."""
    positions: Mapping[PositionKey, Position]
    keys: Mapping[str, KnownKey]


@dataclass(frozen=True, slots=True)
class Changes:
    """What has to be written, each kind in one statement."""

    opened: Sequence[AccountState]
    changed: Sequence[AccountState]
    holds_made: Sequence[HoldState]
    """In the state they ended in: a hold made and filled in one batch is written once."""
    holds_resolved: Sequence[HoldState]
    transfers: Sequence[Transfer]
    trades: Sequence[Trade]
    positions: Mapping[PositionKey, Position]
    keys: Mapping[str, KnownKey]
