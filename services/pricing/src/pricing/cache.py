"""The quotes all replicas share, in Redis.

Per symbol a hash under `kernel.names.quote_key`: `t`, when the quote was stated (microseconds since
1970), and `q`, the quote as a serialized purser.pricing.v1.Quote. A script compares and writes in
one go, so the first replica of a step writes and the others learn what it wrote. Each key forgets
itself. What is read is not trusted: a quote that is unreadable, of another symbol, or from further
ahead than clocks differ is passed over for the replica's own.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import redis.asyncio
import redis.exceptions
from google.protobuf.message import DecodeError

from chassis.errors import TryAgain
from chassis.redis import translating
from kernel.malformed import Malformed
from kernel.names import quote_key
from pricing import metrics
from pricing.domain import Quote
from pricing.wire import quote_from_message, quote_to_message
from purser.pricing.v1 import pricing_pb2

AHEAD_MAX = timedelta(seconds=5)
"""How far ahead of the own quote another replica's may be: more than honest clocks differ."""

_WRITE_IF_NEWER = """
local kept = tonumber(redis.call('HGET', KEYS[1], 't') or '0')
if kept and kept >= tonumber(ARGV[1]) and kept <= tonumber(ARGV[1]) + tonumber(ARGV[4]) then
  return redis.call('HGET', KEYS[1], 'q')
end
redis.call('HSET', KEYS[1], 't', ARGV[1], 'q', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return false
"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class RedisQuoteCache:
    """The cache in Redis or Valkey."""

    def __init__(self, client: redis.asyncio.Redis, keep_seconds: float) -> None:
        self._client = client
        self._keep_milliseconds = int(keep_seconds * 1000)

    async def share(self, quotes: Sequence[Quote]) -> list[Quote]:
        """See application.QuoteCache. One round trip for all symbols."""
        pipeline = self._client.pipeline(transaction=False)
        for quote in quotes:
            pipeline.eval(
                _WRITE_IF_NEWER,
                1,
                quote_key(quote.symbol),
                str((quote.stated_at - _EPOCH) // _MICROSECOND),
                quote_to_message(quote).SerializeToString(),
                str(self._keep_milliseconds),
                str(AHEAD_MAX // _MICROSECOND),
            )
        try:
            with translating():
                kept = await pipeline.execute()
        except redis.exceptions.RedisError as error:
            # For example something of another type under our key.
            raise TryAgain(f"the shared cache refuses ({type(error).__name__})") from error
        return [_believe(own, other) for own, other in zip(quotes, kept, strict=True)]


def _believe(own: Quote, kept: bytes | None) -> Quote:
    """Choose between the own quote and the one that was there first."""
    if kept is None:
        metrics.SHARED_QUOTES.labels("written").inc()
        return own
    try:
        other = quote_from_message(pricing_pb2.Quote.FromString(kept))
    except (DecodeError, Malformed):
        other = None
    ahead = other.stated_at - own.stated_at if other is not None else -_MICROSECOND
    if other is None or other.symbol != own.symbol or not timedelta(0) <= ahead <= AHEAD_MAX:
        metrics.SHARED_QUOTES.labels("failed").inc()
        return own
    metrics.SHARED_QUOTES.labels("adopted").inc()
    return other
