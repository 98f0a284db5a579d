"""Streams of jobs: append, read, remove, measure.

One stream has one reader, so there are no consumer groups: the reader keeps its own position and
removes an entry when the work is done. XLEN is then what is waiting plus what is running. An entry
has one field, `p`: the payload.

A stream has a named limit. XADD's MAXLEN would keep it by dropping the oldest entries in silence,
so instead a script compares XLEN (O(1)) and appends in one atomic step, or refuses. It is sent with
each call (EVAL, 120 bytes): the server finds it by its digest anyway, and there is no "unknown
script" to recover from after a restart.

In a cluster no read blocks: `chassis.stream_looks`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from chassis.errors import LimitReached, ServiceError, TryAgain
from chassis.redis import (
    BLOCK_MILLISECONDS_MAX,
    ClusterRedis,
    Command,
    Redis,
    send,
    translating,
    value_of,
)
from chassis.stream_looks import Answer, Entry, SomeAway, entries_of, read_nodes

__all__ = [
    "ENTRIES_MAX",
    "Entry",
    "SomeAway",
    "append",
    "append_many",
    "depth",
    "read",
    "remove",
]

ENTRIES_MAX = 100_000
"""The default limit of one stream: some 30 MB of small jobs, hours of work for the fifty users of a
shard."""

_APPEND = """\
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[2]) then return false end
return redis.call('XADD', KEYS[1], '*', 'p', ARGV[1])"""

# One answer for all of them: packing and unpacking a command for each costs the caller ten times as
# much, and 20,000 streams are counted every few seconds.
_DEPTHS = """\
local depths = {}
for i, stream in ipairs(KEYS) do depths[i] = redis.call('XLEN', stream) end
return depths"""


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
    commands = [
        Command(stream, ("EVAL", _APPEND, 1, stream, payload, entries_max))
        for stream, payload in items
    ]
    results = await send(redis, commands)
    return [_appended(stream, result) for (stream, _), result in zip(items, results, strict=True)]


async def read(
    redis: Redis, positions: Mapping[str, bytes], block_milliseconds: int, entries_max: int
) -> list[Entry]:
    """Read what follows each stream's position (`b"0"` is the beginning), at most `entries_max` per
    stream.

    Waits up to `block_milliseconds` (0: not at all, at most 2000) for the first entry; an empty
    list is a normal answer. An entry that is not ours has the payload `b""`. Raises TryAgain when
    Redis is away, SomeAway when a part of it is.
    """
    if not 0 <= block_milliseconds <= BLOCK_MILLISECONDS_MAX:
        raise ValueError(f"block_milliseconds must be 0 to {BLOCK_MILLISECONDS_MAX}")
    if not positions:
        return []
    if isinstance(redis, ClusterRedis):
        return await read_nodes(redis, positions, block_milliseconds / 1000, entries_max)
    streams: dict[Any, Any] = dict(positions)
    with translating():
        # To Redis BLOCK 0 means for ever, and no BLOCK means not at all.
        answer = await redis.xread(streams, count=entries_max, block=block_milliseconds or None)
    return entries_of(cast("Answer", answer))


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
        if isinstance(redis, ClusterRedis):
            answers = await send(redis, [Command(name, ("XLEN", name)) for name in streams])
            return [value_of(answer) for answer in answers]
        counts: list[int] = await redis.eval(_DEPTHS, len(streams), *streams)
    return counts


def _appended(stream: str, result: object) -> bytes | ServiceError:
    if isinstance(result, bytes):
        return result
    if isinstance(result, TryAgain):
        return result
    if result is None:
        return LimitReached(f"the stream {stream} is full")
    return TryAgain(f"Redis did not append ({type(result).__name__})")
