"""The ledger's use cases.

`Books` is what they need of the database; `postgres.PostgresBooks` is the real one. Nothing here
remembers anything between two calls, so any number of ledgers may run side by side.
"""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from kernel.money import AssetId
from kernel.sharding import Claim
from ledger import metrics
from ledger.domain import Account


class Books(Protocol):
    """The books, written under a claim."""

    async def ensure_accounts(
        self, claim: Claim, user_id: UUID, asset_ids: Sequence[AssetId]
    ) -> dict[AssetId, Account]:
        """Make the user's missing accounts in one transaction that holds the claim's fence.

        Raises StaleClaim, ShardMismatch or UnknownAssets, and has then written nothing.
        """
        ...


class Ledger:
    """What callers may ask of the books."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def ensure_accounts(
        self, claim: Claim, user_id: UUID, asset_ids: Sequence[AssetId]
    ) -> list[Account]:
        """Make the user's accounts or find those that are there, in the order of `asset_ids`.

        A repeated asset is answered twice with the same account. Safe to call again. Raises
        StaleClaim, ShardMismatch (the user belongs to another shard), UnknownAssets.
        """
        accounts = await self._books.ensure_accounts(claim, user_id, list(dict.fromkeys(asset_ids)))
        metrics.ACCOUNTS_MADE.inc(sum(account.created for account in accounts.values()))
        return [accounts[asset_id] for asset_id in asset_ids]
