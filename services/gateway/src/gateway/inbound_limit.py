"""How much one user may send: a token bucket per user in Redis, shared by all gateways.

One script looks at a whole batch. Of each user it refills the bucket by Redis' own clock, takes a
token per update and says which updates found none. In a Redis Cluster each user is a script of his
own, and those whose node is away pass. Two more things live in the bucket, so that an update met
again (Telegram repeats what was not acknowledged, Redis' client what was not answered) changes
nothing. The newest update ids that took a token take no second one. And a rush, which lasts
from the first update refused until the bucket is full again, has a name, the time it began: by that
name the user is told of it once, whoever refuses the rest. A bucket expires when it would be full,
and the rush with it. A bucket owes no tokens: one that says so is none of ours and counts as full,
or it would shut its user out for as long as it likes.

Redis away, or slower than a gateway can wait: everything passes, counted. Limits protect against
excess; they must not stop the service.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import cast
from uuid import UUID, uuid5

from chassis.errors import TryAgain
from chassis.redis import Command, Redis, RedisError, Word, send, together, value_of
from chassis.telemetry import get_logger
from gateway import metrics
from gateway.domain import Incoming
from kernel.names import bucket_key

WAIT_SECONDS = 0.25
"""For one answer of Redis, which takes well under a millisecond: every update of the batch waits
for it."""

ASK_AGAIN_SECONDS = 1.0
"""After Redis has not answered: so long nobody is made to wait for it."""

_log = get_logger(__name__)

_RUSHES = UUID("5b3c0c52-6f0e-5a0e-9c39-7d1f0a2b8e11")
"""The namespace of the names of rushes."""

# KEYS: a bucket per user. ARGV: tokens per second, burst, then per user how many updates and their
# ids. Answers per update, in that order, 0 when it has a token, else when the rush began, in
# microseconds. 512 characters hold the ids of some 45 updates.
_LOOK = """\
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local answers, arg = {}, 3
for _, key in ipairs(KEYS) do
  local bucket = redis.call('HMGET', key, 't', 'at', 'passed', 'rush')
  local tokens, at = tonumber(bucket[1]) or burst, tonumber(bucket[2]) or now
  if not (tokens >= 0) then tokens = burst end
  local passed, rush = bucket[3] or ' ', tonumber(bucket[4]) or 0
  tokens = math.min(burst, tokens + math.max(0, now - at) / 1000000 * rate)
  if tokens >= burst then rush = 0 end
  local count = tonumber(ARGV[arg])
  for i = 1, count do
    local id = ARGV[arg + i] .. ' '
    if string.find(passed, ' ' .. id, 1, true) then
      answers[#answers + 1] = 0
    elseif tokens >= 1 then
      tokens, passed = tokens - 1, passed .. id
      answers[#answers + 1] = 0
    else
      if rush == 0 then rush = now end
      answers[#answers + 1] = rush
    end
  end
  arg = arg + count + 1
  if #passed > 512 then passed = string.match(passed, ' .*', -512) end
  redis.call('HSET', key, 't', tostring(tokens), 'at', string.format('%.0f', now),
    'passed', passed, 'rush', string.format('%.0f', rush))
  redis.call('PEXPIRE', key, math.ceil((burst - tokens) / rate * 1000) + 1000)
end
return answers"""


class InboundLimit:
    """The limit of one bot's users."""

    def __init__(self, redis: Redis, bot_id: int, per_second: float, burst: int) -> None:
        self._redis = redis
        self._bot_id = bot_id
        self._per_second = per_second
        self._burst = burst
        self._ask_at = -math.inf
        self._is_away = False

    async def rushes(self, updates: Sequence[Incoming]) -> list[UUID | None]:
        """Per update, in order: None when it may pass, else the name of the rush it is part of.

        The same rush has the same name at every gateway. Redis away: all may pass.
        """
        if not updates:
            return []
        clock = asyncio.get_running_loop().time
        if clock() >= self._ask_at:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    found = await self._look(updates)
            except (TryAgain, RedisError, TimeoutError) as error:
                self._ask_at = clock() + ASK_AGAIN_SECONDS
                if not self._is_away:
                    away = isinstance(error, TryAgain)
                    failure = str(error) if away else type(error).__name__
                    _log.warning("inbound_unlimited", failure=failure)
                self._is_away = True
            else:
                self._is_away = False
                return found
        metrics.UNLIMITED.inc(len(updates))
        return [None] * len(updates)

    async def _look(self, updates: Sequence[Incoming]) -> list[UUID | None]:
        places: dict[int, list[int]] = {}
        for place, update in enumerate(updates):
            places.setdefault(update.telegram_id, []).append(place)
        users = list(places)
        keys = [bucket_key("inbound", f"{self._bot_id}/{user}") for user in users]
        groups = [[users[n] for n in group] for group in together(self._redis, keys)]
        answers = await send(
            self._redis,
            [
                self._look_at(
                    {user: [updates[n].update_id for n in places[user]] for user in group}
                )
                for group in groups
            ],
        )
        if all(isinstance(answer, Exception) for answer in answers):
            value_of(answers[0])
        found: list[UUID | None] = [None] * len(updates)
        for group, answer in zip(groups, answers, strict=True):
            order = [(user, place) for user in group for place in places[user]]
            if isinstance(answer, Exception):
                metrics.UNLIMITED.inc(len(order))
                continue
            for (user, place), began in zip(order, cast("list[int]", answer), strict=True):
                if began:
                    found[place] = uuid5(_RUSHES, f"{self._bot_id}/{user}/{began}")
        return found

    def _look_at(self, update_ids: Mapping[int, Sequence[int]]) -> Command:
        """Ask about the updates of some users."""
        keys = [bucket_key("inbound", f"{self._bot_id}/{user}") for user in update_ids]
        arguments: list[Word] = [self._per_second, self._burst]
        for own in update_ids.values():
            arguments += [len(own), *own]
        return Command(keys[0], ("EVAL", _LOOK, len(keys), *keys, *arguments))
