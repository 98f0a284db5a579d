"""The ledger in memory: its real rules (`ledger.domain`) over tables that are dictionaries, and the
worker's two ports in front.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from tests.simulation.network import CALL_TIMEOUT_SECONDS, Network
from tests.simulation.placement import PlacementTables
from tests.simulation.seeding import at

from chassis.errors import MalformedRequest, ShardMismatch
from kernel.identifiers import new_uuid7, parse_uuid
from kernel.money import AssetId
from kernel.sharding import Claim, ShardKey
from ledger.domain.accounts import Account, check_asset_ids
from ledger.domain.assets import Asset
from ledger.domain.bookkeeping import decide
from ledger.domain.operations import Action, Answer, Operation, check_digits
from ledger.domain.picture import (
    AccountKey,
    AccountState,
    Changes,
    HoldState,
    KnownKey,
    Picture,
    PositionKey,
    Trade,
    Transfer,
)
from ledger.domain.positions import Position
from ledger.errors import UnknownAssets
from ledger.wire import account_message, answer_message, read_operations
from purser.ledger.v1 import ledger_pb2
from user_worker.clients import BooksClient, LedgerClient
from user_worker.errors import RequestRefused

Result = TypeVar("Result")

ASSETS = {
    AssetId(asset.asset_id): asset
    for asset in (
        Asset(AssetId("paper:USDT"), "USDT", 6, Decimal(10_000)),
        Asset(AssetId("paper:BTC"), "BTC", 8, None),
        Asset(AssetId("paper:ETH"), "ETH", 18, None),
    )
}


@dataclass
class LedgerTables:
    """Schema `ledger`."""

    placement: PlacementTables
    users: dict[UUID, ShardKey] = field(default_factory=dict)
    accounts: dict[AccountKey, AccountState] = field(default_factory=dict)
    holds: dict[UUID, HoldState] = field(default_factory=dict)
    positions: dict[PositionKey, Position] = field(default_factory=dict)
    keys: dict[str, KnownKey] = field(default_factory=dict)
    transfers: list[Transfer] = field(default_factory=list)
    trades: dict[UUID, Trade] = field(default_factory=dict)
    changed: Callable[[Changes], None] = lambda _: None
    """Called with what each transaction wrote."""

    def ensure_accounts(
        self, claim: Claim, user_id: UUID, asset_ids: Sequence[AssetId]
    ) -> list[Account]:
        """Register the user and open what is missing. Raises ClaimLost, ShardMismatch,
        UnknownAssets.
        """
        self.placement.fence(claim)
        if self.users.get(user_id, claim.key) != claim.key:
            raise ShardMismatch
        unknown = [asset_id for asset_id in asset_ids if asset_id not in ASSETS]
        if unknown:
            raise UnknownAssets(unknown)
        self.users[user_id] = claim.key
        names = [(user_id, asset_id) for asset_id in asset_ids]
        made = [name for name in dict.fromkeys(names) if name not in self.accounts]
        self.accounts |= {name: AccountState(new_uuid7(), *name) for name in made}
        return [
            Account(a.account_id, a.asset_id, a.posted, a.held, created=name in made)
            for name, a in ((name, self.accounts[name]) for name in names)
        ]

    def apply(self, claim: Claim, key: str, action: Action) -> Answer:
        """One request with one operation. Raises MalformedRequest, ClaimLost."""
        asked = [Operation(key, action)]
        check_digits(asked, ASSETS)
        self.placement.fence(claim)
        ((answer,),), changes = decide(self._picture(key, action), [(claim.key, asked)])
        self._write(changes)
        self.changed(changes)
        return answer

    def _picture(self, key: str, action: Action) -> Picture:
        user_id = action.user_id
        order_id = getattr(action, "order_id", None)
        hold = self.holds.get(order_id) if order_id is not None else None
        names = [(user_id, asset_id) for asset_id in ASSETS]
        if hold is not None:
            names.append((hold.user_id, hold.asset_id))
        return Picture(
            now=at(self.placement.now()),
            registry=ASSETS,
            users={user_id: self.users[user_id]} if user_id in self.users else {},
            accounts={name: self.accounts[name] for name in names if name in self.accounts},
            holds={hold.order_id: hold} if hold is not None else {},
            positions={name: p for name, p in self.positions.items() if name[0] == user_id},
            keys={key: self.keys[key]} if key in self.keys else {},
        )

    def _write(self, changes: Changes) -> None:
        for account in (*changes.opened, *changes.changed):
            self.accounts[account.user_id, account.asset_id] = account
        for hold in (*changes.holds_made, *changes.holds_resolved):
            self.holds[hold.order_id] = hold
        self.transfers += changes.transfers
        for trade in changes.trades:
            self.trades[trade.order_id] = trade
        self.positions.update(changes.positions)
        self.keys.update(changes.keys)


class SimulatedLedger(BooksClient, LedgerClient):
    """ports.Ledger and trading_ports.Books: the worker's own clients, with a ledger behind the
    simulated network. Nobody in the simulation looks back, so it knows no reads.
    """

    def __init__(self, network: Network, tables: LedgerTables) -> None:
        self._stub: Any = LedgerDoor(network, tables)
        self._timeout_seconds = CALL_TIMEOUT_SECONDS


class LedgerDoor:
    """LedgerService: reads requests and writes answers as the real one does."""

    def __init__(self, network: Network, tables: LedgerTables) -> None:
        self._network = network
        self._tables = tables

    async def EnsureAccounts(  # noqa: N802 (gRPC's name)
        self, request: ledger_pb2.EnsureAccountsRequest, **_: float
    ) -> ledger_pb2.EnsureAccountsResponse:
        """Make the user's accounts or find them."""

        def ensure() -> list[Account]:
            asset_ids = check_asset_ids(request.asset_ids)
            user_id = parse_uuid(request.user_id)
            return self._tables.ensure_accounts(Claim.of(request.claim), user_id, asset_ids)

        accounts = await self._network.call("ledger", "accounts", lambda: _answered(ensure))
        return ledger_pb2.EnsureAccountsResponse(accounts=map(account_message, accounts))

    async def ApplyOperations(  # noqa: N802
        self, request: ledger_pb2.ApplyOperationsRequest, **_: float
    ) -> ledger_pb2.ApplyOperationsResponse:
        """Apply the one operation of a worker's request."""
        claim = Claim.of(request.claim)

        def apply() -> Answer:
            (operation,) = read_operations(request.operations)
            return self._tables.apply(claim, operation.idempotency_key, operation.action)

        key = request.operations[0].idempotency_key
        answer = await self._network.call(
            "ledger", f"{key} under {claim}", lambda: _answered(apply)
        )
        return ledger_pb2.ApplyOperationsResponse(results=[answer_message(answer)])


def _answered(effect: Callable[[], Result]) -> Result:
    """Let an effect take place. Raises RequestRefused where the real ledger names what is wrong."""
    try:
        return effect()
    except (MalformedRequest, ShardMismatch, UnknownAssets) as refusal:
        raise RequestRefused("ledger", str(refusal)) from None
