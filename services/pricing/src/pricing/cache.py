"""The quotes all replicas share, in Redis.

Per symbol a hash under `kernel.names.quote_key`: `t`, when the quote was stated (microseconds since
1970), and `q`, the quote as a serialized purser.pricing.v1.Quote. A script compares and writes in
one go, so the first replica of a step writes and the others learn what it wrote. Each key forgets
itself. What is read is not trusted: a quote that is unreadable, of another symbol, currency or
source, from further ahead than clocks differ, or of another price than a market's move explains is
passed over for the replica's own. The venue trades on these prices: whoever can write to Redis must
not be able to name one.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from google.protobuf.message import DecodeError

from chassis.errors import TryAgain
from chassis.redis import Command, Redis, RedisError, Word, send
from kernel.malformed import Malformed
from kernel.money import exact
from kernel.names import quote_key
from pricing import metrics
from pricing.domain import Quote, Source
from pricing.wire import quote_from_message, quote_to_message
from purser.pricing.v1 import pricing_pb2

AHEAD_MAX = timedelta(seconds=5)
"""How far ahead of the own quote another replica's may be: more than honest clocks differ."""

APART_MAX = Decimal("0.01")
"""How far another replica's price may be from the own, as a share of it: two honest ones differ by
what the market moves in `AHEAD_MAX`, and by no more than exchanges may differ."""

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

    def __init__(self, client: Redis, keep_seconds: float) -> None:
        self._client = client
        self._keep_milliseconds = int(keep_seconds * 1000)

    async def share(self, quotes: Sequence[Quote]) -> list[Quote]:
        """See application.QuoteCache. One round trip for all symbols."""
        commands = [
            _of_quote(
                quote.symbol,
                "EVAL",
                _WRITE_IF_NEWER,
                1,
                quote_key(quote.symbol),
                str((quote.stated_at - _EPOCH) // _MICROSECOND),
                quote_to_message(quote).SerializeToString(),
                str(self._keep_milliseconds),
                str(AHEAD_MAX // _MICROSECOND),
            )
            for quote in quotes
        ]
        kept = await self._ask(commands)
        return [_believe(own, other) for own, other in zip(quotes, kept, strict=True)]

    async def read(self, symbols: Sequence[str], now: datetime) -> list[Quote]:
        """Read what is kept of some symbols, without what nobody can believe. Raises TryAgain."""
        kept = await self._ask([_of_quote(s, "HGET", quote_key(s), "q") for s in symbols])
        quotes = [_quote_of(each) for each in kept if isinstance(each, bytes)]
        wanted = frozenset(symbols)
        return [q for q in quotes if q and q.symbol in wanted and q.stated_at <= now + AHEAD_MAX]

    async def _ask(self, commands: Sequence[Command]) -> list[object]:
        """Give the answers; a failure among them, unless all are failures."""
        answers = await send(self._client, commands)
        failures = [answer for answer in answers if isinstance(answer, (TryAgain, RedisError))]
        if failures and len(failures) == len(answers):
            if isinstance(failures[0], TryAgain):
                raise failures[0]
            # For example something of another type under our key.
            raise TryAgain(f"the shared cache refuses ({type(failures[0]).__name__})")
        return answers


def _of_quote(symbol: str, *words: Word) -> Command:
    return Command(quote_key(symbol), words)


def _believe(own: Quote, kept: object) -> Quote:
    """Choose between the own quote and the one that was there first."""
    if kept is None:
        metrics.SHARED_QUOTES.labels("written").inc()
        return own
    other = _quote_of(kept) if isinstance(kept, bytes) else None
    ahead = other.stated_at - own.stated_at if other is not None else -_MICROSECOND
    if (
        other is None
        or _kind(other) != _kind(own)
        or not timedelta(0) <= ahead <= AHEAD_MAX
        or not _is_near(own.price, other.price)
    ):
        metrics.SHARED_QUOTES.labels("failed").inc()
        return own
    metrics.SHARED_QUOTES.labels("adopted").inc()
    return other


def _is_near(own: Decimal, other: Decimal) -> bool:
    with exact():
        return abs(other - own) <= own * APART_MAX


def _quote_of(kept: bytes) -> Quote | None:
    try:
        return quote_from_message(pricing_pb2.Quote.FromString(kept))
    except (DecodeError, Malformed):
        return None


def _kind(quote: Quote) -> tuple[str, str, Source]:
    """What two quotes must have in common to be of the same thing: a replica that is still on the
    simulated market must not be believed by one that asks exchanges."""
    return quote.symbol, quote.currency, quote.source
