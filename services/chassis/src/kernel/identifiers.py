"""Ids that sort by the time they were made, and the strict reading of ids that arrive from outside.

A UUIDv7 here (RFC 9562, §5.7 with method 3 of §6.2) is 48 bits of milliseconds, 12 bits of the
millisecond's fraction and 62 random bits. The upper 60 bits form one counter of 1/4096 ms: it never
repeats and never goes back within a process, whatever the wall clock does, so ids made later sort
later. Two processes order by their clocks only: an id is a name, never a proof of order.
"""

import re
import secrets
import threading
import time
from uuid import UUID

from kernel.malformed import Malformed

_CANONICAL = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TICKS_PER_MILLISECOND = 4096

_lock = threading.Lock()
_last_tick = 0


class MalformedIdentifier(Malformed):
    """Not a UUID in canonical text."""


def new_uuid7() -> UUID:
    """Make an id greater than every id this process made before. Safe in any thread."""
    global _last_tick  # noqa: PLW0603 (one counter per process is the point)
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    tick = milliseconds * _TICKS_PER_MILLISECOND + rest * _TICKS_PER_MILLISECOND // 1_000_000
    with _lock:
        _last_tick = tick = max(tick, _last_tick + 1)
    milliseconds, fraction = divmod(tick, _TICKS_PER_MILLISECOND)
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76 | fraction << 64
    value |= 0b10 << 62 | secrets.randbits(62)
    return UUID(int=value)


def parse_uuid(text: str) -> UUID:
    """Read a UUID of any version in canonical text: 36 characters with hyphens, in either case.

    Braces, `urn:uuid:` and missing hyphens, which `uuid.UUID` would take, raise
    MalformedIdentifier.
    """
    if not _CANONICAL.fullmatch(text):
        raise MalformedIdentifier("expected a UUID as 36 characters of hexadecimal and hyphens")
    return UUID(text)
