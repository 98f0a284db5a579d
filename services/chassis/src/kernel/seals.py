"""Seals on stream entries: whoever can write to Redis cannot make up a job, or change one.

A sealed entry is a tag followed by the payload. The tag is HMAC-SHA-256 (RFC 2104) over the
stream's name and the payload, cut to 128 bits (RFC 2104 allows half): the name is part of it, so
that an entry of one shard is none in another's stream. An entry that is put there twice, or later,
is still sealed; that does no harm, because every job has its place in its user's order.
"""

import hmac

KEY_BYTES = 32
TAG_BYTES = 16


def seal(key: bytes, stream: str, payload: bytes) -> bytes:
    """Put a seal on a payload that goes to `stream`."""
    return _tag(key, stream, payload) + payload


def unseal(key: bytes, stream: str, entry: bytes) -> bytes | None:
    """Give the payload of an entry met in `stream`; None when the seal is not ours."""
    tag, payload = entry[:TAG_BYTES], entry[TAG_BYTES:]
    return payload if hmac.compare_digest(tag, _tag(key, stream, payload)) else None


def _tag(key: bytes, stream: str, payload: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key for seals has {KEY_BYTES} bytes")
    name = stream.encode()
    # The length first: no name and payload together read like another name and payload.
    message = len(name).to_bytes(2) + name + payload
    return hmac.digest(key, message, "sha256")[:TAG_BYTES]
