"""Streams of jobs: append, read, remove, measure.

One stream has one reader, so there are no consumer groups: the reader keeps its own position and
removes an entry when the work is done. XLEN is then what is waiting plus what is running. An entry
has one field, `p`: the payload.

A stream has a named limit. XADD's MAXLEN would keep it by dropping the oldest entries in silence,
so instead a script compares XLEN (O(1)) and appends in one atomic step, or refuses. It is sent with
each call (EVAL, 120 bytes): the server finds it by its digest anyway, and there is no "unknown
script" to recover from after a restart.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from chassis.errors import LimitReached, ServiceError, TryAgain
from chassis.redis import BLOCK_MILLISECONDS_MAX, Redis, translating

ENTRIES_MAX = 100_000
"""The default limit of one stream: some 30 MB of small jobs, hours of work for the fifty users of a
shard."""

_FIELD = b"p"
_APPEND = """\
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[2]) then return false end
return redis.call('XADD', KEYS[1], '*', 'p', ARGV[1])"""

# One answer for all of them: packing and unpacking a command for each costs the caller ten times as
# much, and 20,000 streams are counted every few seconds.
_DEPTHS = """\
local depths = {}
for i, stream in ipairs(KEYS) do depths[i] = redis.call('XLEN', stream) end
return depths"""

Entry = tuple[str, bytes, bytes]
"""(stream, entry id, payload)"""
_Answer = list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]


async def append(
    redis: Redis, stream: str, payload: bytes, entries_max: int = ENTRIES_MAX
) -> bytes:
    """Append one entry and return its id.

    Raises LimitReached when the stream is full, TryAgain when Redis is away.
    """
    (result,) = await append_many(redis, [(stream, payload)], entries_max)
    if isinstance(result, bytes):
        return result
    raise result


async def append_many(
    redis: Redis, items: Sequence[tuple[str, bytes]], entries_max: int = ENTRIES_MAX
) -> list[bytes | ServiceError]:
    """Append many entries in one round trip; per item, in order, its id or why it was not appended.

    After TryAgain an entry may or may not be there: append it again, readers ignore what they know.
    """
    if not items:
        return []
    pipeline = redis.pipeline(transaction=False)
    for stream, payload in items:
        pipeline.eval(_APPEND, 1, stream, payload, entries_max)
    try:
        with translating():
            results = await pipeline.execute(raise_on_error=False)
    except TryAgain as error:
        return [error] * len(items)
    return [_appended(stream, result) for (stream, _), result in zip(items, results, strict=True)]


async def read(
    redis: Redis, positions: Mapping[str, bytes], block_milliseconds: int, entries_max: int
) -> list[Entry]:
    """Read what follows each stream's position (`b"0"` is the beginning), at most `entries_max` per
    stream.

    Waits up to `block_milliseconds` (0: not at all, at most 2000) for the first entry; an empty
    list is a normal answer. An entry that is not ours has the payload `b""`. Raises TryAgain when
    Redis is away.
    """
    if not 0 <= block_milliseconds <= BLOCK_MILLISECONDS_MAX:
        raise ValueError(f"block_milliseconds must be 0 to {BLOCK_MILLISECONDS_MAX}")
    if not positions:
        return []
    streams: dict[Any, Any] = dict(positions)
    with translating():
        # To Redis BLOCK 0 means for ever, and no BLOCK means not at all.
        answer = await redis.xread(streams, count=entries_max, block=block_milliseconds or None)
    return [
        (stream.decode(), entry_id, fields.get(_FIELD, b""))
        for stream, entries in cast("_Answer", answer)
        for entry_id, fields in entries
    ]


async def remove(redis: Redis, stream: str, ids: Sequence[bytes]) -> int:
    """Remove entries whose work is done; return how many were there.

    Safe to repeat. Raises TryAgain.
    """
    if not ids:
        return 0
    with translating():
        removed: int = await redis.xdel(stream, *ids)
    return removed


async def depth(redis: Redis, streams: Sequence[str]) -> list[int]:
    """Count the entries of each stream, in order; a stream that does not exist has 0.

    Nobody else is served meanwhile (1 ms for a thousand): do not ask for much more at once.
    Raises TryAgain: unknown is not 0.
    """
    if not streams:
        return []
    with translating():
        counts: list[int] = await redis.eval(_DEPTHS, len(streams), *streams)
    return counts


def _appended(stream: str, result: object) -> bytes | ServiceError:
    if isinstance(result, bytes):
        return result
    if result is None:
        return LimitReached(f"the stream {stream} is full")
    return TryAgain(f"Redis did not append ({type(result).__name__})")
