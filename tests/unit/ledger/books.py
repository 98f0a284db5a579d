"""Pictures of the books for unit tests, and what is true of every decision."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from kernel.money import AssetId, exact
from kernel.sharding import ShardKey
from ledger.domain.assets import Asset
from ledger.domain.bookkeeping import decide
from ledger.domain.operations import Amount, Answer, Operation
from ledger.domain.picture import AccountState, Changes, Picture

USDT, BTC = AssetId("paper:USDT"), AssetId("paper:BTC")
REGISTRY = {
    USDT: Asset(USDT, "USDT", 6, Decimal(10_000)),
    BTC: Asset(BTC, "BTC", 8, None),
}
SHARD = ShardKey("default.main", 0)
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def usdt(value: str | int) -> Amount:
    """An amount of USDT."""
    return Amount(USDT, Decimal(value))


def btc(value: str | int) -> Amount:
    """An amount of BTC."""
    return Amount(BTC, Decimal(value))


def account(user: UUID, number: int, asset_id: AssetId, posted: str | int = 0) -> AccountState:
    """An account with nothing held."""
    return AccountState(UUID(int=number), user, asset_id, Decimal(posted))


def picture(*accounts: AccountState, now: datetime = NOW) -> Picture:
    """A picture with these accounts, their users at home in SHARD, and nothing else."""
    return Picture(
        now=now,
        registry=REGISTRY,
        users={account.user_id: SHARD for account in accounts},
        accounts={(account.user_id, account.asset_id): account for account in accounts},
        holds={},
        positions={},
        keys={},
    )


def answers(before: Picture, *operations: Operation) -> list[Answer]:
    """The answers to one request."""
    return decide(before, [(SHARD, operations)])[0][0]


def names(before: Picture, *operations: Operation) -> list[str]:
    """The outcomes of one request by their names; `*` marks a replay."""
    return [a.outcome.name + "*" * a.replayed for a in answers(before, *operations)]


def written(before: Picture, changes: Changes, now: datetime | None = None) -> Picture:
    """The picture one would see after the changes were written."""
    accounts = dict(before.accounts)
    for changed in (*changes.opened, *changes.changed):
        accounts[changed.user_id, changed.asset_id] = changed
    holds = dict(before.holds)
    for hold in (*changes.holds_made, *changes.holds_resolved):
        holds[hold.order_id] = hold
    return replace(
        before,
        now=now or before.now,
        accounts=accounts,
        holds=holds,
        positions={**before.positions, **changes.positions},
        keys={**before.keys, **changes.keys},
    )


def check(before: Picture, changes: Changes) -> Picture:
    """Fail unless the changes are double entry: each balance moves by the sum of its entries.

    Gives the picture after them.
    """
    after = written(before, changes)
    entries: dict[UUID, Decimal] = defaultdict(Decimal)
    held: dict[UUID, Decimal] = defaultdict(Decimal)
    with exact():
        for transfer in changes.transfers:
            if transfer.debit_account_id is not None:
                entries[transfer.debit_account_id] -= transfer.amount
            if transfer.credit_account_id is not None:
                entries[transfer.credit_account_id] += transfer.amount
        for hold in (*changes.holds_made, *changes.holds_resolved):
            if hold.state == "posted":
                assert hold.posted_amount is not None
                entries[hold.account_id] -= hold.posted_amount
        for hold in after.holds.values():
            if hold.state == "pending":
                held[hold.account_id] += hold.amount
        for key, account in after.accounts.items():
            opened = before.accounts.get(key)
            moved = account.posted - (opened.posted if opened else 0)
            assert moved == entries[account.account_id]
            assert account.held == held[account.account_id]
            assert 0 <= account.held <= account.posted
            assert account.faucet_given <= (REGISTRY[account.asset_id].faucet_max or 0)
    return after


def balances(before: Picture, *requests: Sequence[Operation]) -> dict[str, tuple[Decimal, Decimal]]:
    """Posted and held by asset, after requests; of the only user there is."""
    _, changes = decide(before, [(SHARD, request) for request in requests])
    after = check(before, changes)
    return {
        account.asset_id.rpartition(":")[2]: (account.posted, account.held)
        for account in after.accounts.values()
    }
