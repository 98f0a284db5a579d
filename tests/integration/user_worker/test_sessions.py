"""Dialogue states in a real Redis: kept for a time, found by another worker, gone without harm."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from redis.asyncio import Redis

from chassis.redis import RedisSettings, open_redis
from chassis.settings import Secret
from kernel.names import session_key
from user_worker.domain.orders import Side
from user_worker.domain.sessions import AwaitingAmount, AwaitingSymbol, Session
from user_worker.errors import DependencyDown
from user_worker.sessions import STORED_BYTES_MAX, RedisSessions

ANN, BEN, JOB = UUID(int=1), UUID(int=2), UUID(int=7)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client as the worker opens it."""
    client = open_redis(RedisSettings(redis_url=Secret(redis_url)))
    assert isinstance(client, Redis)
    yield client
    await client.aclose()


@pytest.mark.parametrize(
    "session",
    [
        AwaitingAmount(Side.BUY, "BTC"),
        AwaitingAmount(Side.SELL, "ETH", JOB),
        AwaitingSymbol(Side.SELL),
        AwaitingSymbol(Side.BUY, "$100 \u202e\x00 ü", JOB),
    ],
)
async def test_another_worker_finds_what_was_kept(redis: Redis, session: Session) -> None:
    """Nothing of a dialogue lives in the worker that began it."""
    await RedisSessions(redis, 60).keep(ANN, session)
    elsewhere = RedisSessions(redis, 60)

    assert session == await elsewhere.read(ANN)
    assert await elsewhere.read(BEN) is None
    await elsewhere.end(ANN)
    assert await elsewhere.read(ANN) is None
    await elsewhere.end(ANN)


async def test_a_dialogue_ends_by_itself(redis: Redis) -> None:
    """Its key has a time to live, renewed with each question."""
    sessions = RedisSessions(redis, 0.3)
    await sessions.keep(ANN, AwaitingSymbol(Side.BUY))
    assert 0 < await redis.pttl(session_key(ANN)) <= 300
    await asyncio.sleep(0.35)

    assert await sessions.read(ANN) is None


async def test_after_a_flush_there_is_no_dialogue(redis: Redis) -> None:
    """And no error."""
    sessions = RedisSessions(redis, 60)
    await sessions.keep(ANN, AwaitingSymbol(Side.BUY))
    await redis.flushall()

    assert await sessions.read(ANN) is None


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"{}",
        b"\xff\xfe",
        b'{"waits_for":"amount","side":"steal","symbol":"BTC"}',
        b'{"waits_for":"everything","side":"buy"}',
        b'{"waits_for":"symbol","side":"buy","version":2}',
        b'{"waits_for":"symbol","side":"buy","amount":"' + b"1" * STORED_BYTES_MAX + b'"}',
    ],
)
async def test_what_cannot_be_read_is_no_dialogue(redis: Redis, stored: bytes) -> None:
    """Whoever can write to Redis, and the version after this one, cost the user a question."""
    await redis.set(session_key(ANN), stored)

    assert await RedisSessions(redis, 60).read(ANN) is None


async def test_a_redis_that_is_away_or_refuses_is_an_outage() -> None:
    """Which the conversation lives without."""
    away = open_redis(RedisSettings(redis_url=Secret("redis://127.0.0.1:1/0")))
    sessions = RedisSessions(away, 60)
    for call in (
        sessions.read(ANN),
        sessions.keep(ANN, AwaitingSymbol(Side.BUY)),
        sessions.end(ANN),
    ):
        with pytest.raises(DependencyDown):
            await call
    await away.aclose()


async def test_a_key_of_another_type_is_an_outage_and_no_mistake_of_ours(redis: Redis) -> None:
    """Redis answers, and refuses."""
    await redis.rpush(session_key(ANN), "x")

    with pytest.raises(DependencyDown):
        await RedisSessions(redis, 60).read(ANN)
