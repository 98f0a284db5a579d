"""The ledger in memory: its real rules (`ledger.domain`) over tables that are dictionaries, and the
worker's two ports in front.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from tests.simulation.network import Network
from tests.simulation.placement import PlacementTables
from tests.simulation.seeding import at

from kernel.identifiers import new_uuid7
from kernel.money import AssetId
from kernel.sharding import Claim, ShardKey
from ledger.domain import operations
from ledger.domain.assets import Asset
from ledger.domain.bookkeeping import decide
from ledger.domain.operations import Action, Amount, Faucet, Fill, Hold, Operation, Release
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
from user_worker.domain.carrying_out import BooksSaid
from user_worker.domain.orders import Coins, Order
from user_worker.domain.performance import MarkedTime, Performance, TradePage
from user_worker.errors import RequestRefused
from user_worker.ports import Balance

ASSETS = {
    AssetId(asset.asset_id): asset
    for asset in (
        Asset(AssetId("paper:USDT"), "USDT", 6, Decimal(10_000)),
        Asset(AssetId("paper:BTC"), "BTC", 8, None),
        Asset(AssetId("paper:ETH"), "ETH", 8, None),
    )
}
_SAID = {
    operations.Outcome.APPLIED: BooksSaid.APPLIED,
    operations.Outcome.INSUFFICIENT_FUNDS: BooksSaid.INSUFFICIENT_FUNDS,
    operations.Outcome.NOT_FOUND: BooksSaid.NOT_FOUND,
    operations.Outcome.ALREADY_POSTED: BooksSaid.ALREADY_POSTED,
    operations.Outcome.ALREADY_VOIDED: BooksSaid.ALREADY_VOIDED,
    operations.Outcome.EXPIRED: BooksSaid.EXPIRED,
    operations.Outcome.IDEMPOTENCY_MISMATCH: BooksSaid.IDEMPOTENCY_MISMATCH,
    operations.Outcome.SHARD_MISMATCH: BooksSaid.SHARD_MISMATCH,
    operations.Outcome.LIMIT_EXCEEDED: BooksSaid.LIMIT_EXCEEDED,
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
        self, claim: Claim, user_id: UUID, asset_ids: Sequence[str]
    ) -> list[Balance]:
        """Register the user and open what is missing. Raises ClaimLost, RequestRefused."""
        self.placement.fence(claim)
        if self.users.get(user_id, claim.key) != claim.key:
            raise RequestRefused("ledger", "SHARD_MISMATCH")
        self.users[user_id] = claim.key
        balances = []
        for asset_id in map(AssetId, asset_ids):
            if asset_id not in ASSETS:
                raise RequestRefused("ledger", "UNKNOWN_ASSETS")
            account = self.accounts.setdefault(
                (user_id, asset_id), AccountState(new_uuid7(), user_id, asset_id)
            )
            balances.append(Balance(asset_id, account.posted, account.held))
        return balances

    def apply(self, claim: Claim, key: str, action: Action) -> operations.Answer:
        """One request with one operation. Raises ClaimLost."""
        self.placement.fence(claim)
        ((answer,),), changes = decide(
            self._picture(key, action), [(claim.key, [Operation(key, action)])]
        )
        self._write(changes)
        self.changed(changes)
        return answer

    def _picture(self, key: str, action: Action) -> Picture:
        user_id = action.user_id
        order_id = getattr(action, "order_id", None)
        hold = self.holds.get(order_id) if order_id is not None else None
        return Picture(
            now=at(self.placement.now()),
            registry=ASSETS,
            users={user_id: self.users[user_id]} if user_id in self.users else {},
            accounts={
                name: self.accounts[name]
                for name in ((user_id, asset_id) for asset_id in ASSETS)
                if name in self.accounts
            },
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


class SimulatedLedger:
    """ports.Ledger and trading_ports.Books"""

    def __init__(self, network: Network, tables: LedgerTables) -> None:
        self._network = network
        self._tables = tables

    async def ensure_accounts(
        self, claim: Claim, user_id: UUID, asset_ids: Sequence[str]
    ) -> Sequence[Balance]:
        """See ports."""
        tables = self._tables
        return await self._network.call(
            "ledger", "accounts", lambda: tables.ensure_accounts(claim, user_id, asset_ids)
        )

    async def open_faucet(self, claim: Claim, user_id: UUID, amount: Coins) -> bool:
        """See ports."""
        answer = await self._apply(claim, f"faucet:{user_id}", Faucet(user_id, _amount(amount)))
        is_given = answer.outcome is operations.Outcome.APPLIED
        if not is_given and answer.outcome is not operations.Outcome.LIMIT_EXCEEDED:
            raise RequestRefused("ledger", f"the faucet: {answer.outcome.name}")
        return is_given and not answer.replayed

    async def hold(self, claim: Claim, order: Order) -> BooksSaid:
        """See trading_ports."""
        draft = order.draft
        action = Hold(draft.user_id, order.order_id, _amount(draft.spend), None)
        return await self._say(claim, self.key_of("hold", order), action)

    async def fill(self, claim: Claim, order: Order) -> BooksSaid:
        """See trading_ports."""
        draft = order.draft
        if order.spent is None or order.received is None or order.fee is None:
            raise ValueError("an order that was not executed has nothing to post")
        received = AssetId(draft.receive.asset_id)
        action = Fill(
            draft.user_id,
            order.order_id,
            Amount(AssetId(draft.spend.asset_id), order.spent),
            Amount(received, order.received),
            Amount(received, order.fee),
            operations.Side(draft.wish.side.value),
        )
        return await self._say(claim, self.key_of("fill", order), action)

    async def release(self, claim: Claim, order: Order) -> BooksSaid:
        """See trading_ports."""
        action = Release(order.draft.user_id, order.order_id)
        return await self._say(claim, self.key_of("release", order), action)

    def key_of(self, kind: str, order: Order) -> str:
        """The idempotency key, as `clients.books` makes it."""
        return f"order:{order.order_id}:{kind}"

    async def trades(self, user_id: UUID, page_size: int, page_token: str) -> TradePage:
        """See ports; nobody in the simulation looks back."""
        raise NotImplementedError

    async def performance(
        self,
        user_id: UUID,
        currency_asset_id: str,
        marks: Mapping[str, Decimal],
        past: Sequence[MarkedTime],
    ) -> Performance:
        """See ports; nobody in the simulation looks back."""
        raise NotImplementedError

    async def _say(self, claim: Claim, key: str, action: Action) -> BooksSaid:
        answer = await self._apply(claim, key, action)
        return _SAID.get(answer.outcome, BooksSaid.OTHER)

    async def _apply(self, claim: Claim, key: str, action: Action) -> operations.Answer:
        return await self._network.call(
            "ledger", f"{key} under {claim}", lambda: self._tables.apply(claim, key, action)
        )


def _amount(coins: Coins) -> Amount:
    return Amount(AssetId(coins.asset_id), coins.value)
