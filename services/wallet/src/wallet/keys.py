"""Making private keys and sealing them in one breath.

A key is random, becomes an address, is sealed, and is overwritten, all inside `make_sealed_key`:
nothing outside this function ever holds it, and nothing here stores it in an attribute that a log
line, a repr or a traceback with locals could show. Envelope encryption: the key is sealed under a
data key of its own, and only the 32 bytes of the data key go to the key-encryption key's provider,
which may one day be another machine.

Python cannot promise that no copy of an immutable object stays in freed memory; what can be
overwritten (the two bytearrays) is, and the process allows neither core dumps nor a debugger
(`wallet.hardening`).
"""

import os

from coincurve import PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wallet.domain import Identity, SealedKey, address_of
from wallet.key_encryption import NONCE_BYTES, KeyEncryption

_KEY_BYTES = 32
_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""The order of secp256k1 (SEC 2, §2.4.1): a private key is from 1 to one less."""


async def make_sealed_key(identity: Identity, key_encryption: KeyEncryption) -> SealedKey:
    """Make a new key for the wallet and seal it."""
    data_key = bytearray(os.urandom(_KEY_BYTES))
    private_key = _random_private_key()
    try:
        address = address_of(PublicKey.from_secret(bytes(private_key)).format(compressed=False)[1:])
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(data_key).encrypt(nonce, private_key, identity.associated_data("key"))
        wrapped = await key_encryption.wrap(data_key, identity.associated_data("data key"))
    finally:
        _overwrite(private_key)
        _overwrite(data_key)
    return SealedKey(identity, address, key_encryption.key_id, wrapped, nonce + sealed)


def _random_private_key() -> bytearray:
    # About one in 2^128 numbers is no key; the loop is there because the standard asks for it.
    while True:
        key = bytearray(os.urandom(_KEY_BYTES))
        if 0 < int.from_bytes(key, "big") < _CURVE_ORDER:
            return key


def _overwrite(secret: bytearray) -> None:
    secret[:] = bytes(len(secret))
