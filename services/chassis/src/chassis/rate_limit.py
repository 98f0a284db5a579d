"""Token buckets in Redis, shared by all replicas.

One script does a whole take: it reads Redis' own clock (so replicas' clocks do not matter),
refills, takes or says how long to wait. A bucket is a hash that expires once it would be full
again, so idle callers cost nothing. When Redis is away the answer is "taken": limits protect
against excess, they must not stop the service; the counter `purser_rate_limit_unanswered_total`
shows how often that happened.
"""

from prometheus_client import Counter

from chassis.errors import TryAgain
from chassis.redis import Redis, RedisError, translating
from kernel.names import bucket_key

_UNANSWERED = Counter(
    "purser_rate_limit_unanswered_total", "Takes allowed because Redis was away", ["kind"]
)

# KEYS: the bucket. ARGV: tokens per second, burst, tokens to take. Answers microseconds to wait, 0
# when taken.
_TAKE = """\
local rate, burst, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local bucket = redis.call('HMGET', KEYS[1], 't', 'at')
local tokens, at = tonumber(bucket[1]) or burst, tonumber(bucket[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - at) / 1000000 * rate)
if tokens < want then return math.ceil((want - tokens) / rate * 1000000) end
tokens = tokens - want
redis.call('HSET', KEYS[1], 't', tostring(tokens), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - tokens) / rate * 1000) + 1000)
return 0"""


class TokenBucket:
    """One kind of limit: `rate_per_second` on average, `burst` at once, counted per caller."""

    def __init__(self, redis: Redis, kind: str, rate_per_second: float, burst: float) -> None:
        if rate_per_second <= 0 or burst <= 0:
            raise ValueError("a rate and a burst are above 0")
        self._redis = redis
        self._kind = kind
        self._rate_per_second = rate_per_second
        self._burst = burst

    async def take(self, who: str, tokens: float = 1) -> float:
        """Take tokens for `who`; return 0.0 when they were taken, else the seconds until they could
        be.

        More than the burst can never be taken: ValueError. Redis away: 0.0.
        """
        if not 0 < tokens <= self._burst:
            raise ValueError(f"tokens must be above 0 and at most {self._burst}")
        try:
            with translating():
                microseconds: int = await self._redis.eval(
                    _TAKE,
                    1,
                    bucket_key(self._kind, who),
                    self._rate_per_second,
                    self._burst,
                    tokens,
                )
        except (TryAgain, RedisError):
            _UNANSWERED.labels(self._kind).inc()
            return 0.0
        return microseconds / 1_000_000
