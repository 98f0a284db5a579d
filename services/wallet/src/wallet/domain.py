"""What a wallet is: an EVM address, and a sealed key bound to its user. No I/O, no open key.

The address is the last 20 bytes of the Keccak-256 hash of the public key. Its letters are written
in the case EIP-55 asks for, which is a checksum: one mistyped letter is caught with 99.98 %.
"""

from dataclasses import dataclass
from uuid import UUID

from Crypto.Hash import keccak

SEAL_VERSION = 1
"""AES-256-GCM with a random 96-bit nonce, for the key and for its data key."""
_PUBLIC_KEY_BYTES = 64


@dataclass(frozen=True, slots=True)
class Identity:
    """What a sealed key is bound to: it opens for this user and this wallet only."""

    user_id: UUID
    wallet_id: UUID
    seal_version: int = SEAL_VERSION

    def associated_data(self, layer: str) -> bytes:
        """Give the bytes that sealing authenticates; `layer` tells the key from its data key."""
        version = self.seal_version.to_bytes(2, "big")
        return b"\0".join(
            (b"purser.wallet", layer.encode(), version + self.user_id.bytes + self.wallet_id.bytes)
        )


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A private key nobody can read without the key-encryption key `key_id`."""

    identity: Identity
    address: str
    key_id: str
    wrapped_data_key: bytes
    sealed_key: bytes


@dataclass(frozen=True, slots=True)
class Wallet:
    """What a caller may know of a wallet."""

    wallet_id: UUID
    address: str
    created: bool


def address_of(public_key: bytes) -> str:
    """Compute the address of a public key: 64 bytes, x and y, without the 0x04 in front."""
    if len(public_key) != _PUBLIC_KEY_BYTES:
        raise ValueError(f"expected a public key of {_PUBLIC_KEY_BYTES} bytes")
    return checksum_address(_keccak256(public_key)[-20:])


def checksum_address(address: bytes) -> str:
    """Write 20 bytes as EIP-55 does: a letter is upper case where the hash's digit is 8 or more.

    Source: https://eips.ethereum.org/EIPS/eip-55
    """
    digits = address.hex()
    check = _keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(nibble, 16) >= 8 else digit
        for digit, nibble in zip(digits, check, strict=False)
    )


def _keccak256(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()
