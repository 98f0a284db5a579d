"""Accounts: made under a claim, read by anybody.

`AccountStore` is what this needs of the database; `postgres.Accounts` is the real one.
"""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from kernel.money import AssetId
from kernel.sharding import Claim
from ledger import metrics
from ledger.domain.accounts import Account


class AccountStore(Protocol):
    """Users' accounts, made under a claim."""

    async def ensure_accounts(
        self, claim: Claim, user_id: UUID, asset_ids: Sequence[AssetId]
    ) -> dict[AssetId, Account]:
        """Make the user's missing accounts in one transaction that holds the claim's fence.

        Raises StaleClaim, ShardMismatch or UnknownAssets, and has then written nothing.
        """
        ...

    async def list_accounts(self, user_id: UUID) -> list[Account]:
        """Read all accounts of a user, ordered by asset."""
        ...


class Ledger:
    """What callers may ask of accounts."""

    def __init__(self, store: AccountStore) -> None:
        self._store = store

    async def ensure_accounts(
        self, claim: Claim, user_id: UUID, asset_ids: Sequence[AssetId]
    ) -> list[Account]:
        """Make the user's accounts or find those that are there, in the order of `asset_ids`.

        A repeated asset is answered twice with the same account. Safe to call again. Raises
        StaleClaim, ShardMismatch (the user belongs to another shard), UnknownAssets.
        """
        accounts = await self._store.ensure_accounts(claim, user_id, list(dict.fromkeys(asset_ids)))
        metrics.ACCOUNTS_MADE.inc(sum(account.created for account in accounts.values()))
        return [accounts[asset_id] for asset_id in asset_ids]

    async def list_accounts(self, user_id: UUID) -> list[Account]:
        """Read all accounts of a user, ordered by asset; of a user nobody registered none."""
        return await self._store.list_accounts(user_id)
