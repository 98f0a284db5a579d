"""Every name Purser gives to something in Redis: one function per kind of name.

All begin with `purser:`, so that Purser can share a server. The braces of a stream's name are a
Redis Cluster hash tag: whatever belongs to one shard lives in one slot, and a command or script may
name it together. Every other name stands alone. `kind` is a word of the code and must not hold a
colon, so that no two kinds can ever build the same name; what follows the last colon may be
anything.
"""

from kernel.malformed import Malformed
from kernel.sharding import ShardKey


class MalformedName(Malformed):
    """A part of a name that would make it ambiguous."""


def jobs_stream(key: ShardKey) -> str:
    """Name the stream of a shard's jobs: `purser:{<pool>/<shard>}:jobs`."""
    return f"purser:{{{key.pool}/{key.shard}}}:jobs"


def quote_key(symbol: str) -> str:
    """Name the cached quote of a symbol: `purser:quote:<symbol>`."""
    return f"purser:quote:{symbol}"


def bucket_key(kind: str, who: str) -> str:
    """Name the token bucket of one kind of limit for one caller: `purser:bucket:<kind>:<who>`."""
    if not kind or ":" in kind:
        raise MalformedName("expected the kind of a bucket as a word without a colon")
    return f"purser:bucket:{kind}:{who}"


def turn_key(source: str) -> str:
    """Name the turn of asking a source of quotes: `purser:turn:<source>`."""
    return f"purser:turn:{source}"


def pause_key(exchange: str) -> str:
    """Name the wish of an exchange to be left alone: `purser:pause:<exchange>`."""
    return f"purser:pause:{exchange}"


def session_key(user_id: object) -> str:
    """Name the chat session of a user (a UUID or its text): `purser:session:<user id>`."""
    return f"purser:session:{user_id}"
