"""Wallet's use cases.

`Vault` is what they need of the database; `postgres.PostgresVault` is the real one. The key is made
between two short transactions rather than inside one, because wrapping may one day ask another
machine. Both hold the claim's fence; two calls for one user may both make a key, the database
keeps the first and the other is forgotten unused.
"""

from typing import Protocol
from uuid import UUID

from kernel.identifiers import new_uuid7
from kernel.sharding import Claim
from wallet import metrics
from wallet.domain import Identity, SealedKey, Wallet
from wallet.errors import CannotUnwrap, WrongKey
from wallet.key_encryption import KeyEncryption
from wallet.keys import make_sealed_key

_CANARY = b"Purser's wallets are sealed under this key."
_CANARY_BINDING = b"purser.wallet\0canary"


class Vault(Protocol):
    """Sealed wallets, written under a claim."""

    async def find_wallet(self, claim: Claim, user_id: UUID) -> Wallet | None:
        """Find the user's wallet. Raises StaleClaim, ShardMismatch."""
        ...

    async def add_wallet(self, claim: Claim, sealed: SealedKey) -> Wallet:
        """Keep a new wallet and its audit line, or find the one made meanwhile.

        Raises StaleClaim, ShardMismatch, and has then written nothing.
        """
        ...

    async def ensure_canary(self, key_id: str, canary: bytes) -> tuple[str, bytes]:
        """Keep the canary if there is none yet; return the key id and canary that are kept."""
        ...


class Custody:
    """What callers may ask of wallet."""

    def __init__(self, vault: Vault, key_encryption: KeyEncryption) -> None:
        self._vault = vault
        self._key_encryption = key_encryption

    async def ensure_wallet(self, claim: Claim, user_id: UUID) -> Wallet:
        """Make the user's wallet or find the one that is there. Safe to call again.

        Raises StaleClaim, ShardMismatch (the user belongs to another shard).
        """
        if wallet := await self._vault.find_wallet(claim, user_id):
            return wallet
        identity = Identity(user_id, wallet_id=new_uuid7())
        sealed = await make_sealed_key(identity, self._key_encryption)
        wallet = await self._vault.add_wallet(claim, sealed)
        metrics.WALLETS_MADE.inc(wallet.created)
        return wallet


async def check_key(vault: Vault, key_encryption: KeyEncryption) -> None:
    """Make sure that the key is the one this database's wallets are sealed under.

    The first start leaves a canary: a known sentence wrapped with the key. Every later start must
    unwrap it. Raises WrongKey.
    """
    fresh = await key_encryption.wrap(_CANARY, _CANARY_BINDING)
    key_id, canary = await vault.ensure_canary(key_encryption.key_id, fresh)
    if key_id != key_encryption.key_id:
        raise WrongKey(
            f"the wallets of this database are sealed under the key-encryption key {key_id}, "
            f"not under {key_encryption.key_id}; put the right file back"
        )
    try:
        sentence = await key_encryption.unwrap(canary, _CANARY_BINDING)
    except CannotUnwrap:
        sentence = b""
    if sentence != _CANARY:
        raise WrongKey(
            f"the canary in wallet.key_encryption_keys does not open with the key {key_id} that "
            "made it: the row was changed; restore the database or the right file"
        )
