"""What wallet's schema refuses by itself, whoever asks."""

import asyncpg
import pytest

from devbox.database import Database

FORBIDDEN = (
    "UPDATE wallet.wallets SET shard = 1",
    "UPDATE wallet.wallets SET sealed_key = ''",
    "DELETE FROM wallet.wallets",
    "UPDATE wallet.key_encryption_keys SET canary = ''",
    "DELETE FROM wallet.key_encryption_keys",
    "SELECT * FROM wallet.audit_log",
    "UPDATE wallet.audit_log SET epoch = 0",
    "DELETE FROM wallet.audit_log",
    "CREATE TABLE wallet.mine ()",
    "SELECT * FROM ledger.accounts",
    "SELECT * FROM pricing.candles",
    "SELECT * FROM placement.shards",
)


async def test_wallets_role_can_do_no_more_than_it_must(database: Database) -> None:
    """It cannot change a wallet, read or mend the audit log, or look into another room."""
    connection = await asyncpg.connect(database.url("purser_wallet"))
    try:
        for statement in FORBIDDEN:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        assert await connection.fetchval("SHOW transaction_timeout") == "1s"
    finally:
        await connection.close()


async def test_wallet_rows_stay_as_they_are_also_for_the_owner(database: Database) -> None:
    """A migration that rewrote a sealed key by mistake would lose somebody's money."""
    connection = await asyncpg.connect(database.owner_url)
    try:
        await connection.execute(
            "INSERT INTO wallet.key_encryption_keys (key_id, canary) VALUES (repeat('0', 16), '')"
        )
        for statement in (
            "UPDATE wallet.key_encryption_keys SET canary = 'x'",
            "DELETE FROM wallet.key_encryption_keys",
        ):
            with pytest.raises(asyncpg.RestrictViolationError):
                await connection.execute(statement)
        with pytest.raises(asyncpg.UniqueViolationError, match="one_key_encryption_key"):
            await connection.execute(
                "INSERT INTO wallet.key_encryption_keys (key_id, canary)"
                " VALUES (repeat('1', 16), '')"
            )
    finally:
        await connection.close()
