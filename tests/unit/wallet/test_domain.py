"""Addresses and what a sealed key is bound to."""

from uuid import UUID

import pytest
from coincurve import PublicKey

from wallet.domain import Identity, address_of, checksum_address

USER, OTHER = UUID(int=1), UUID(int=2)
WALLET = UUID(int=3)


@pytest.mark.parametrize(
    "address",
    [
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x27b1fdb04752bbc536007a920d24acb045561c26",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ],
)
def test_the_checksum_is_that_of_eip_55(address: str) -> None:
    """The examples of EIP-55 itself."""
    assert address == checksum_address(bytes.fromhex(address[2:]))


def test_the_address_of_a_known_key_is_the_known_address() -> None:
    """The private key 1 belongs to a famous address: curve, hash and checksum fit together."""
    public_key = PublicKey.from_secret((1).to_bytes(32, "big")).format(compressed=False)

    assert address_of(public_key[1:]) == "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"


def test_a_public_key_of_another_length_is_no_public_key() -> None:
    """Hashing the 0x04 in front as well would give an address nobody can sign for."""
    with pytest.raises(ValueError, match="64 bytes"):
        address_of(b"\x04" + bytes(64))


def test_associated_data_differs_in_user_wallet_version_and_layer() -> None:
    """Whatever is moved to another place in the database must not open there."""
    different = {
        Identity(USER, WALLET).associated_data("key"),
        Identity(USER, WALLET).associated_data("data key"),
        Identity(OTHER, WALLET).associated_data("key"),
        Identity(USER, OTHER).associated_data("key"),
        Identity(USER, WALLET, seal_version=2).associated_data("key"),
    }

    assert len(different) == 5
