"""Seals on stream entries."""

from hypothesis import given
from hypothesis import strategies as st

from kernel.seals import KEY_BYTES, TAG_BYTES, seal, unseal

KEY, OTHER = b"1" * KEY_BYTES, b"2" * KEY_BYTES


@given(st.text(max_size=50), st.binary(max_size=200))
def test_what_was_sealed_is_read_in_its_own_stream_only(stream: str, payload: bytes) -> None:
    """With the same key, unchanged."""
    entry = seal(KEY, stream, payload)

    assert unseal(KEY, stream, entry) == payload
    assert unseal(OTHER, stream, entry) is None
    assert unseal(KEY, stream + "x", entry) is None


@given(st.binary(max_size=60), st.data())
def test_one_changed_bit_breaks_the_seal(payload: bytes, data: st.DataObject) -> None:
    """In the tag or in the payload."""
    entry = bytearray(seal(KEY, "s", payload))
    place = data.draw(st.integers(0, len(entry) - 1))
    entry[place] ^= 1 << data.draw(st.integers(0, 7))

    assert unseal(KEY, "s", bytes(entry)) is None


@given(st.binary(max_size=TAG_BYTES + 5))
def test_what_is_no_entry_of_ours_has_no_payload(entry: bytes) -> None:
    """Shorter than a tag, empty, anything."""
    assert unseal(KEY, "s", entry) is None


def test_a_name_and_a_payload_cannot_be_cut_elsewhere() -> None:
    """Nothing moves from the stream's name into the payload."""
    assert unseal(KEY, "a", seal(KEY, "ab", b"c")[:TAG_BYTES] + b"bc") is None
