"""How often an exchange may be asked: so many calls a minute, counted by all replicas together.

The common budget is a token bucket in Redis, and beside it a key remembers that the exchange wants
to be left alone, so that one replica's 429 silences all of them. Each replica also keeps a bucket
of its own at the same rate: it is what bounds the calls while Redis is away, slow or flushed.
"""

import asyncio
from collections.abc import Callable

from chassis.errors import TryAgain
from chassis.rate_limit import TokenBucket
from chassis.redis import Redis, RedisError, translating
from kernel.names import pause_key

BURST_SECONDS = 5.0
"""What may be saved up: a late step must not be lost, a minute's calls at once would be rude."""


class Budget:
    """The budget of one exchange for one purpose. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        redis: Redis,
        exchange: str,
        calls_per_minute: int,
        wait_seconds: float,
        clock: Callable[[], float],
        purpose: str = "exchange",
    ) -> None:
        per_second = calls_per_minute / 60
        burst = max(1.0, per_second * BURST_SECONDS)
        self._redis = redis
        self._exchange = exchange
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._common = TokenBucket(redis, purpose, per_second, burst)
        self._own = OwnBucket(per_second, burst, clock())
        self._paused_until = clock()

    async def take(self) -> bool:
        """Take a call out of it; False when there is none to take."""
        now = self._clock()
        if now < self._paused_until or not self._own.take(now):
            return False
        try:
            async with asyncio.timeout(self._wait_seconds):
                with translating():
                    paused = await self._redis.exists(pause_key(self._exchange))
                return not paused and await self._common.take(self._exchange) == 0.0
        except (TryAgain, RedisError, TimeoutError):
            return True

    async def pause(self, seconds: float) -> None:
        """Leave the exchange alone, and tell the other replicas as far as Redis can be reached."""
        self._paused_until = self._clock() + seconds
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._redis.set(pause_key(self._exchange), b"1", px=int(seconds * 1000))
        except (RedisError, OSError, TimeoutError):
            return


class OwnBucket:
    """A token bucket in memory. Times are monotonic seconds."""

    def __init__(self, rate_per_second: float, burst: float, now: float) -> None:
        self._rate_per_second = rate_per_second
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Take a token; False when there is none."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate_per_second)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
