"""Streams and rate limits against a real Valkey."""

# ruff: noqa: D103 (a test's name is its claim)

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from tests.awake import awake_clock

from chassis.errors import LimitReached
from chassis.rate_limit import TokenBucket
from chassis.redis import RedisSettings, open_redis
from chassis.settings import Secret
from chassis.streams import append, append_many, depth, read, remove

STREAM = "purser:{default.main/0}:jobs"
OTHER = "purser:{default.main/1}:jobs"


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of an empty Valkey."""
    client = open_redis(RedisSettings(redis_url=Secret(redis_url)))
    assert isinstance(client, Redis)
    yield client
    await client.aclose()


async def test_what_is_appended_is_read_in_order_byte_for_byte(redis: Redis) -> None:
    payloads = [bytes(range(256)), b"", b"\r\n\x00"]
    ids = [await append(redis, STREAM, payload) for payload in payloads]
    entries = await read(redis, {STREAM: b"0"}, 0, 10)
    assert entries == [(STREAM, id_, payload) for id_, payload in zip(ids, payloads, strict=True)]
    assert await read(redis, {STREAM: ids[1]}, 0, 10) == entries[2:]


async def test_several_streams_are_read_at_once_each_up_to_the_limit(redis: Redis) -> None:
    await append_many(redis, [(STREAM, b"1"), (OTHER, b"2"), (STREAM, b"3"), (STREAM, b"4")])
    entries = await read(redis, {STREAM: b"0", OTHER: b"0", "empty": b"0"}, 0, 2)
    assert sorted((stream, payload) for stream, _, payload in entries) == [
        (STREAM, b"1"),
        (STREAM, b"3"),
        (OTHER, b"2"),
    ]


async def test_depth_counts_what_is_waiting_and_running(redis: Redis) -> None:
    ids = [await append(redis, STREAM, b"job") for _ in range(3)]
    await read(redis, {STREAM: b"0"}, 0, 10)
    assert await depth(redis, [STREAM, OTHER]) == [3, 0]
    assert await remove(redis, STREAM, ids[:2]) == 2
    assert await remove(redis, STREAM, ids[:2]) == 0, "safe to repeat"
    assert await depth(redis, [STREAM, OTHER]) == [1, 0]


async def test_a_full_stream_refuses_and_drops_nothing(redis: Redis) -> None:
    first = await append(redis, STREAM, b"first", entries_max=2)
    results = await append_many(redis, [(STREAM, b"2"), (STREAM, b"3"), (OTHER, b"4")], 2)
    assert [type(result) for result in results] == [bytes, LimitReached, bytes]
    with pytest.raises(LimitReached):
        await append(redis, STREAM, b"5", entries_max=2)
    entries = await read(redis, {STREAM: b"0"}, 0, 10)
    assert [payload for _, _, payload in entries] == [b"first", b"2"]
    await remove(redis, STREAM, [first])
    await append(redis, STREAM, b"6", entries_max=2)


async def test_appending_goes_on_after_the_server_has_forgotten_everything(redis: Redis) -> None:
    await append(redis, STREAM, b"1")
    await redis.script_flush()
    await redis.flushall()
    await append(redis, STREAM, b"2")
    assert [payload for _, _, payload in await read(redis, {STREAM: b"0"}, 0, 9)] == [b"2"]


async def test_one_bad_key_does_not_fail_its_neighbours(redis: Redis) -> None:
    await redis.set(OTHER, "not a stream")
    results = await append_many(redis, [(STREAM, b"1"), (OTHER, b"2"), (STREAM, b"3")])
    assert [isinstance(result, bytes) for result in results] == [True, False, True]


async def test_a_read_waits_for_the_first_entry_and_not_for_ever(redis: Redis) -> None:
    began = time.monotonic()
    with awake_clock() as clock:
        assert await read(redis, {STREAM: b"0"}, 100, 10) == []
        assert clock() < 1
    assert 0.05 < time.monotonic() - began
    for _ in range(3):  # a machine that stood still has ended the wait before the entry came
        await redis.delete(STREAM)
        waiting = asyncio.create_task(read(redis, {STREAM: b"0"}, 2_000, 10))
        await asyncio.sleep(0.05)
        with awake_clock() as clock:
            await append(redis, STREAM, b"woken")
            if told := await waiting:
                assert clock() < 1
                break
    assert [payload for _, _, payload in told] == [b"woken"]


async def test_a_read_that_may_not_wait_does_not(redis: Redis) -> None:
    with awake_clock() as clock:
        assert await read(redis, {STREAM: b"0"}, 0, 10) == []
        assert clock() < 1


async def test_an_entry_that_is_not_ours_is_handed_over_empty(redis: Redis) -> None:
    id_ = await redis.xadd(STREAM, {"foreign": "field"})
    assert await read(redis, {STREAM: b"0"}, 0, 10) == [(STREAM, id_, b"")]


async def test_a_cancelled_read_leaves_the_client_usable(redis: Redis) -> None:
    waiting = asyncio.create_task(read(redis, {STREAM: b"0"}, 2_000, 10))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    id_ = await append(redis, STREAM, b"after")
    assert await read(redis, {STREAM: b"0"}, 0, 10) == [(STREAM, id_, b"after")]


async def test_a_bucket_gives_its_burst_then_its_rate(redis: Redis) -> None:
    bucket = TokenBucket(redis, "slow", rate_per_second=0.05, burst=3)
    assert [await bucket.take("ann") for _ in range(3)] == [0.0, 0.0, 0.0]
    wait = await bucket.take("ann")
    assert 0 < wait <= 20
    assert await bucket.take("bob") == 0.0, "each caller has a bucket"
    quick = TokenBucket(redis, "quick", rate_per_second=10, burst=1)
    # Where the machine stood still in between, the next token is there already.
    while not (wait := (await quick.take("ann"), await quick.take("ann"))[1]):
        pass
    assert wait <= 0.1
    await asyncio.sleep(wait)
    assert await quick.take("ann") == 0.0


async def test_a_bucket_holds_no_more_than_its_burst_however_long_it_rests(redis: Redis) -> None:
    bucket = TokenBucket(redis, "test", rate_per_second=20, burst=2)
    await bucket.take("ann", 2)
    while True:
        await asyncio.sleep(0.3)  # six tokens' worth
        began = time.monotonic()
        assert await bucket.take("ann", 2) == 0.0
        wait = await bucket.take("ann", 2)
        if time.monotonic() - began < 0.05:  # one token's; else the machine stood still
            break
    assert wait > 0


async def test_replicas_share_a_bucket_and_a_refusal_costs_nothing(redis: Redis) -> None:
    one, other = (TokenBucket(redis, "test", 0.01, 20) for _ in range(2))
    takes = await asyncio.gather(
        *(bucket.take("ann") for bucket in (one, other) for _ in range(15))
    )
    assert takes.count(0.0) == 20
    assert await one.take("ann", 20) > 100


async def test_a_full_bucket_is_forgotten(redis: Redis) -> None:
    await TokenBucket(redis, "test", rate_per_second=10, burst=3).take("ann")
    assert 0 < await redis.pttl("purser:bucket:test:ann") <= 1_100
