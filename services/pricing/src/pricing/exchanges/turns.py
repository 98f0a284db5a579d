"""Whose turn it is to ask the exchanges: a short lock in Redis. It saves calls, no more.

The lock is a key that forgets itself. Whoever sets it asks; while it stands the others look into
the shared cache. When the asking is over it is left standing until the step is nearly over, so that
replicas whose steps begin at different moments ask once a step between them, by Redis' clock alone.
A replica that dies in its turn keeps the others waiting for as long as a call may take.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass

from chassis.errors import TryAgain
from chassis.redis import Redis, RedisError, translating
from kernel.names import turn_key

GAP = 0.9
"""The part of a step that passes between the beginnings of two turns, at least: less than a whole
one, so that a timer that fires a little early costs no step."""

# KEYS: the turn. ARGV: whose it is, milliseconds it shall stand yet (0: none).
_END = """\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if tonumber(ARGV[2]) > 0 then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('DEL', KEYS[1])"""


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that was taken."""

    token: str
    taken_at: float


class Turns:
    """The turns of one source."""

    def __init__(
        self,
        redis: Redis,
        source: str,
        *,
        step_seconds: float,
        call_seconds_max: float,
        wait_seconds: float,
    ) -> None:
        self._redis = redis
        self._key = turn_key(source)
        self._gap_seconds = step_seconds * GAP
        self._hold_milliseconds = int((step_seconds + call_seconds_max) * 1000)
        self._wait_seconds = wait_seconds

    async def take(self) -> Turn | None:
        """Take the turn; None while it is another's. Raises TryAgain when Redis is away or slow."""
        turn = Turn(secrets.token_hex(8), time.monotonic())
        try:
            async with asyncio.timeout(self._wait_seconds):
                with translating():
                    taken = await self._redis.set(
                        self._key, turn.token, nx=True, px=self._hold_milliseconds
                    )
        except (RedisError, TimeoutError) as error:
            raise TryAgain("whose turn it is cannot be asked") from error
        return turn if taken else None

    async def end(self, turn: Turn) -> None:
        """Let the turn end with its step."""
        rest_seconds = self._gap_seconds - (time.monotonic() - turn.taken_at)
        milliseconds = max(0, int(rest_seconds * 1000))
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._redis.eval(_END, 1, self._key, turn.token, milliseconds)
        except (RedisError, OSError, TimeoutError):
            return  # It ends by itself.
