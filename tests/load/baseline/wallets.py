"""Wallet keys under the one Fernet key of the bot."""

import secrets

from coincurve import PublicKey
from Crypto.Hash import keccak
from cryptography.fernet import Fernet


def new_wallet(fernet: Fernet) -> tuple[str, bytes]:
    """Make a wallet: its address, and its key sealed."""
    # A random number below 2^255 is below the order of the curve, and zero is not to be expected.
    private_key = (secrets.randbits(255) or 1).to_bytes(32, "big")
    point = PublicKey.from_secret(private_key).format(compressed=False)[1:]
    digest = keccak.new(digest_bits=256, data=point).hexdigest()
    return f"0x{digest[-40:]}", fernet.encrypt(private_key)
