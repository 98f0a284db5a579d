"""Wallet's SQL. It sees sealed keys only.

Concurrent calls for one user meet at the unique user id: the later one waits for the earlier one's
commit, inserts nothing, and reads the winner in a statement of its own, whose snapshot is newer.
"""

from uuid import UUID

from chassis.errors import ShardMismatch
from chassis.postgres import Connection, Pool, fence, retry_transaction, transaction
from kernel.sharding import Claim
from wallet.domain import SealedKey, Wallet

_FIND = "SELECT wallet_id, address, pool, shard FROM wallet.wallets WHERE user_id = $1"
_ADD = """
    INSERT INTO wallet.wallets (wallet_id, user_id, pool, shard, address, seal_version, key_id,
                                wrapped_data_key, sealed_key)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (user_id) DO NOTHING
    RETURNING wallet_id
"""
_AUDIT_CREATION = """
    INSERT INTO wallet.audit_log (action, wallet_id, user_id, pool, shard, epoch, key_id)
    VALUES ('wallet_created', $1, $2, $3, $4, $5, $6)
"""
_ADD_CANARY = """
    INSERT INTO wallet.key_encryption_keys (key_id, canary) VALUES ($1, $2) ON CONFLICT DO NOTHING
"""
_FIND_CANARY = "SELECT key_id, canary FROM wallet.key_encryption_keys"


class PostgresVault:
    """Sealed wallets in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find_wallet(self, claim: Claim, user_id: UUID) -> Wallet | None:
        """See application.Vault."""

        async def find(connection: Connection) -> Wallet | None:
            await fence(connection, claim)
            return await _find(connection, claim, user_id)

        return await retry_transaction(self._pool, find)

    async def add_wallet(self, claim: Claim, sealed: SealedKey) -> Wallet:
        """See application.Vault."""

        async def add(connection: Connection) -> Wallet:
            await fence(connection, claim)
            if await _add(connection, claim, sealed):
                return Wallet(sealed.identity.wallet_id, sealed.address, created=True)
            earlier = await _find(connection, claim, sealed.identity.user_id)
            if earlier is None:
                raise RuntimeError("a wallet was there and is gone: rows are never deleted")
            return earlier

        return await retry_transaction(self._pool, add)

    async def ensure_canary(self, key_id: str, canary: bytes) -> tuple[str, bytes]:
        """See application.Vault."""
        async with transaction(self._pool) as connection:
            await connection.execute(_ADD_CANARY, key_id, canary)
            row = await connection.fetchrow(_FIND_CANARY)
        if row is None:
            raise RuntimeError("the canary was there and is gone: rows are never deleted")
        return row["key_id"], row["canary"]


async def _find(connection: Connection, claim: Claim, user_id: UUID) -> Wallet | None:
    row = await connection.fetchrow(_FIND, user_id)
    if row is None:
        return None
    if (row["pool"], row["shard"]) != (claim.pool, claim.shard):
        raise ShardMismatch
    return Wallet(row["wallet_id"], row["address"], created=False)


async def _add(connection: Connection, claim: Claim, sealed: SealedKey) -> bool:
    """Insert the wallet and its audit line. False: the user has one already."""
    identity = sealed.identity
    made = await connection.fetchval(
        _ADD,
        identity.wallet_id,
        identity.user_id,
        claim.pool,
        claim.shard,
        sealed.address,
        identity.seal_version,
        sealed.key_id,
        sealed.wrapped_data_key,
        sealed.sealed_key,
    )
    if made is None:
        return False
    await connection.execute(
        _AUDIT_CREATION,
        identity.wallet_id,
        identity.user_id,
        claim.pool,
        claim.shard,
        claim.epoch,
        sealed.key_id,
    )
    return True
