"""Users and their accounts.

`ensure_accounts` looks first and writes only what is missing: after a user's first contact it is
one read under the fence. Two calls that make the same accounts at once meet at the unique keys: the
later one waits for the earlier one's commit, inserts nothing, and its next statement sees the
other's rows (READ COMMITTED takes a new snapshot per statement, which is why the accounts are read
again after the insert rather than in the same statement). New accounts are inserted in the order of
their assets, so that two such calls cannot wait for each other in a circle.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from chassis.errors import ShardMismatch
from chassis.postgres import Connection, Pool, fence, retry_transaction, transaction
from kernel.identifiers import new_uuid7
from kernel.money import AssetId
from kernel.sharding import Claim
from ledger.domain.accounts import SPOT, Account
from ledger.errors import UnknownAssets

_FIND = """
    SELECT u.pool, u.shard, a.account_id, a.asset_id, a.posted, a.held
    FROM ledger.users u
    LEFT JOIN ledger.accounts a
        ON a.user_id = u.user_id AND a.kind = $2 AND a.asset_id = ANY ($3::text[])
    WHERE u.user_id = $1
"""
_LIST = """
    SELECT account_id, asset_id, posted, held, false AS created FROM ledger.accounts
    WHERE user_id = $1 AND kind = $2 ORDER BY asset_id
"""
_KNOWN_ASSETS = "SELECT asset_id FROM ledger.assets WHERE asset_id = ANY ($1::text[])"
_REGISTER_USER = """
    INSERT INTO ledger.users (user_id, pool, shard) VALUES ($1, $2, $3)
    ON CONFLICT (user_id) DO NOTHING
"""
_OPEN_ACCOUNTS = """
    INSERT INTO ledger.accounts (account_id, user_id, asset_id, kind)
    SELECT n.account_id, $1, n.asset_id, $2
    FROM unnest($3::uuid[], $4::text[]) AS n (account_id, asset_id) ORDER BY n.asset_id
    ON CONFLICT (user_id, asset_id, kind) DO NOTHING
    RETURNING account_id
"""


class Accounts:
    """Accounts in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def ensure_accounts(
        self, claim: Claim, user_id: UUID, asset_ids: Sequence[AssetId]
    ) -> dict[AssetId, Account]:
        """See application.AccountStore."""

        async def ensure(connection: Connection) -> dict[AssetId, Account]:
            await fence(connection, claim)
            accounts = await _find(connection, claim, user_id, asset_ids)
            missing = [asset_id for asset_id in asset_ids if asset_id not in accounts]
            if not missing:
                return accounts
            made = await _open(connection, claim, user_id, missing)
            return await _find(connection, claim, user_id, asset_ids, made)

        return await retry_transaction(self._pool, ensure)

    async def list_accounts(self, user_id: UUID) -> list[Account]:
        """See application.AccountStore."""
        async with transaction(self._pool, readonly=True) as connection:
            rows = await connection.fetch(_LIST, user_id, SPOT)
        return [Account(*row) for row in rows]


async def _find(
    connection: Connection,
    claim: Claim,
    user_id: UUID,
    asset_ids: Sequence[AssetId],
    made: Collection[UUID] = (),
) -> dict[AssetId, Account]:
    """Read the user's accounts. Raises ShardMismatch when the user is another shard's."""
    rows = await connection.fetch(_FIND, user_id, SPOT, asset_ids)
    if rows and (rows[0]["pool"], rows[0]["shard"]) != (claim.pool, claim.shard):
        raise ShardMismatch
    return {
        AssetId(row["asset_id"]): Account(
            account_id=row["account_id"],
            asset_id=AssetId(row["asset_id"]),
            posted=row["posted"],
            held=row["held"],
            created=row["account_id"] in made,
        )
        for row in rows
        if row["account_id"] is not None
    }


async def _open(
    connection: Connection, claim: Claim, user_id: UUID, asset_ids: Sequence[AssetId]
) -> set[UUID]:
    """Register the user and open accounts; which of them this call made. Raises UnknownAssets."""
    known = {row["asset_id"] for row in await connection.fetch(_KNOWN_ASSETS, asset_ids)}
    if unknown := [asset_id for asset_id in asset_ids if asset_id not in known]:
        raise UnknownAssets(unknown)
    await connection.execute(_REGISTER_USER, user_id, claim.pool, claim.shard)
    rows = await connection.fetch(
        _OPEN_ACCOUNTS, user_id, SPOT, [new_uuid7() for _ in asset_ids], asset_ids
    )
    return {row["account_id"] for row in rows}
