"""Dialogue states in Redis: one key per user, gone by itself after the time to live.

What is stored is a line of JSON with a version, read leniently: what this version cannot read is no
state at all, and the user is asked to start again. Every failure to answer is DependencyDown.
"""

from typing import Literal
from uuid import UUID

import msgspec

from chassis.redis import Redis
from kernel.names import session_key
from user_worker.domain.orders import Side
from user_worker.domain.sessions import AwaitingAmount, AwaitingSymbol, AwaitingWords, Session
from user_worker.redis_calls import answering

STORED_BYTES_MAX = 1024
"""What is longer was not written by this program."""


class _Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a state is kept."""

    waits_for: Literal["amount", "symbol", "words"]
    side: Side | None = None
    symbol: str = ""
    amount: str = ""
    command: str = ""
    words: str = ""
    answered_by: UUID | None = None
    version: Literal[1] = 1


class RedisSessions:
    """The sessions."""

    def __init__(self, redis: Redis, lifetime_seconds: float) -> None:
        self._redis = redis
        self._lifetime_milliseconds = max(1, int(lifetime_seconds * 1000))

    async def read(self, user_id: UUID) -> Session | None:
        """Read what the dialogue waits for, if anything."""
        with answering():
            stored = await self._redis.get(session_key(user_id))
        return _session_of(stored) if isinstance(stored, bytes) else None

    async def keep(self, user_id: UUID, session: Session) -> None:
        """Keep what it waits for now."""
        with answering():
            await self._redis.set(
                session_key(user_id), _stored_of(session), px=self._lifetime_milliseconds
            )

    async def end(self, user_id: UUID) -> None:
        """Forget it."""
        with answering():
            await self._redis.delete(session_key(user_id))


def _stored_of(session: Session) -> bytes:
    match session:
        case AwaitingAmount(side, symbol, answered_by):
            stored = _Stored("amount", side, symbol=symbol, answered_by=answered_by)
        case AwaitingSymbol(side, amount, answered_by):
            stored = _Stored("symbol", side, amount=amount, answered_by=answered_by)
        case AwaitingWords(command, words, answered_by):
            stored = _Stored("words", command=command, words=words, answered_by=answered_by)
    return msgspec.json.encode(stored)


def _session_of(stored: bytes) -> Session | None:
    if len(stored) > STORED_BYTES_MAX:
        return None
    try:
        kept = msgspec.json.decode(stored, type=_Stored)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if kept.waits_for == "words":
        return AwaitingWords(kept.command, kept.words, kept.answered_by)
    if kept.side is None:
        return None
    if kept.waits_for == "amount":
        return AwaitingAmount(kept.side, kept.symbol, kept.answered_by)
    return AwaitingSymbol(kept.side, kept.amount, kept.answered_by)
