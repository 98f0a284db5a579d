"""Making and sealing a private key."""

import os
from pathlib import Path
from uuid import uuid4

import pytest
from coincurve import PublicKey
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wallet import keys
from wallet.domain import Identity, SealedKey, address_of
from wallet.key_encryption import NONCE_BYTES, FileKeyEncryption, make_key_file
from wallet.keys import make_sealed_key


@pytest.fixture
def provider(tmp_path: Path) -> FileKeyEncryption:
    """A provider with a new key."""
    make_key_file(tmp_path / "key")
    return FileKeyEncryption(tmp_path / "key")


async def opened(sealed: SealedKey, identity: Identity, provider: FileKeyEncryption) -> bytes:
    """Open a sealed key as the next issue's signer will: data key first, then the key."""
    data_key = await provider.unwrap(sealed.wrapped_data_key, identity.associated_data("data key"))
    nonce, ciphertext = sealed.sealed_key[:NONCE_BYTES], sealed.sealed_key[NONCE_BYTES:]
    return AESGCM(data_key).decrypt(nonce, ciphertext, identity.associated_data("key"))


async def test_a_sealed_key_opens_to_the_key_of_its_address(provider: FileKeyEncryption) -> None:
    """What is kept can sign for the address that is shown."""
    identity = Identity(uuid4(), uuid4())

    sealed = await make_sealed_key(identity, provider)

    key = await opened(sealed, identity, provider)
    assert sealed.address == address_of(PublicKey.from_secret(key).format(compressed=False)[1:])
    assert sealed.key_id == provider.key_id


async def test_a_sealed_key_does_not_open_for_another_user(provider: FileKeyEncryption) -> None:
    """A row copied to another user, with both layers opened by hand, stays shut."""
    identity = Identity(uuid4(), uuid4())
    sealed = await make_sealed_key(identity, provider)
    data_key = await provider.unwrap(sealed.wrapped_data_key, identity.associated_data("data key"))
    thief = Identity(uuid4(), identity.wallet_id)

    with pytest.raises(InvalidTag):
        AESGCM(data_key).decrypt(
            sealed.sealed_key[:NONCE_BYTES],
            sealed.sealed_key[NONCE_BYTES:],
            thief.associated_data("key"),
        )


async def test_no_two_keys_are_alike(provider: FileKeyEncryption) -> None:
    """Key, data key and nonces are random each time, for the same wallet too."""
    identity = Identity(uuid4(), uuid4())

    one, other = [await make_sealed_key(identity, provider) for _ in range(2)]

    assert one.address != other.address
    assert one.sealed_key[:NONCE_BYTES] != other.sealed_key[:NONCE_BYTES]
    assert one.wrapped_data_key != other.wrapped_data_key


async def test_keys_are_overwritten_also_when_wrapping_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No bytearray with key material outlives the call, whatever happens in it."""
    seen: list[bytearray] = []
    overwrite = keys._overwrite

    def remember(secret: bytearray) -> None:
        assert any(secret)
        overwrite(secret)
        seen.append(secret)

    monkeypatch.setattr(keys, "_overwrite", remember)

    with pytest.raises(ConnectionError):
        await make_sealed_key(Identity(uuid4(), uuid4()), _Away())

    assert [bytes(32), bytes(32)] == [bytes(secret) for secret in seen]


async def test_numbers_outside_the_curve_are_no_keys(
    monkeypatch: pytest.MonkeyPatch, provider: FileKeyEncryption
) -> None:
    """Zero and the order of the curve are passed over, however unlikely they are."""
    order = keys._CURVE_ORDER.to_bytes(32, "big")
    draws = iter([bytes(32), order, b"\xff" * 32, (1).to_bytes(32, "big")])
    monkeypatch.setattr("wallet.keys.os.urandom", lambda count: next(draws, os.getrandom(count)))

    assert bytes(keys._random_private_key()) == (1).to_bytes(32, "big")


class _Away:
    key_id = "0" * 16

    async def wrap(self, data_key: bytes | bytearray, associated_data: bytes) -> bytes:
        raise ConnectionError

    async def unwrap(self, wrapped: bytes, associated_data: bytes) -> bytes:
        raise ConnectionError
