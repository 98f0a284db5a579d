"""When Redis is away each part of the shelf gives the answer written for that."""

# ruff: noqa: D102, D103 (a test's name is its claim)

from typing import Any, cast

import pytest
import redis.exceptions
from prometheus_client import REGISTRY

from chassis import streams
from chassis.errors import CannotStart, TryAgain
from chassis.rate_limit import TokenBucket
from chassis.redis import Redis, RedisSettings, open_redis
from chassis.settings import Secret


class AwayRedis:
    """Fails every command the same way."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def pipeline(self, **_: Any) -> "AwayRedis":
        return self

    def eval(self, *_: Any) -> Any:
        return self._fail()

    async def execute(self, **_: Any) -> Any:
        raise self._error

    async def xread(self, *_: Any, **__: Any) -> Any:
        raise self._error

    async def xdel(self, *_: Any) -> Any:
        raise self._error

    async def _fail(self) -> Any:
        raise self._error


AWAY = [
    redis.exceptions.ConnectionError("redis://u:hidden@host"),
    redis.exceptions.TimeoutError("hidden"),
    redis.exceptions.BusyLoadingError("hidden"),
    redis.exceptions.ReadOnlyError("hidden"),
    redis.exceptions.OutOfMemoryError("hidden"),
    ConnectionRefusedError("hidden"),
]


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
async def test_streams_say_try_again_and_quote_nothing(error: Exception) -> None:
    away = cast("Redis", AwayRedis(error))
    for call in (
        streams.read(away, {"s": b"0"}, 0, 1),
        streams.remove(away, "s", [b"1-1"]),
        streams.depth(away, ["s"]),
    ):
        with pytest.raises(TryAgain) as caught:
            await call
        assert "hidden" not in str(caught.value)


async def test_a_batch_of_appends_answers_each_item() -> None:
    class Away(AwayRedis):
        def execute_command(self, *_: Any) -> Any:
            return None

    away = cast("Redis", Away(AWAY[0]))
    results = await streams.append_many(away, [("a", b"1"), ("b", b"2")])
    assert [type(result) for result in results] == [TryAgain, TryAgain]


async def test_an_append_that_nobody_answers_is_to_be_tried_again() -> None:
    class Away(AwayRedis):
        async def execute_command(self, *_: Any) -> Any:
            raise self._error

    with pytest.raises(TryAgain):
        await streams.append(cast("Redis", Away(AWAY[0])), "a", b"1")


async def test_a_limit_nobody_can_ask_about_allows_and_is_counted() -> None:
    name, labels = "purser_rate_limit_unanswered_total", {"kind": "away"}
    bucket = TokenBucket(cast("Redis", AwayRedis(AWAY[0])), "away", 1, 1)
    before = REGISTRY.get_sample_value(name, labels) or 0
    assert await bucket.take("anyone") == 0.0
    assert REGISTRY.get_sample_value(name, labels) == before + 1


@pytest.mark.parametrize("milliseconds", [-1, 2_001])
async def test_a_read_may_not_block_longer_than_sockets_wait(milliseconds: int) -> None:
    with pytest.raises(ValueError, match="0 to 2000"):
        await streams.read(cast("Redis", None), {"s": b"0"}, milliseconds, 1)


@pytest.mark.parametrize("tokens", [0, -1, 4])
async def test_a_take_that_could_never_succeed_is_a_mistake(tokens: float) -> None:
    with pytest.raises(ValueError, match="at most 3"):
        await TokenBucket(cast("Redis", None), "kind", 1, 3).take("anyone", tokens)


async def test_nothing_to_do_asks_nobody() -> None:
    nobody = cast("Redis", None)
    assert await streams.append_many(nobody, []) == []
    assert await streams.read(nobody, {}, 0, 1) == []
    assert await streams.remove(nobody, "s", []) == 0
    assert await streams.depth(nobody, []) == []


def test_an_address_that_is_none_is_refused_without_showing_it() -> None:
    with pytest.raises(CannotStart) as caught:
        open_redis(RedisSettings(redis_url=Secret("http://u:hidden@host")))
    assert "hidden" not in str(caught.value)
