"""GetQuotes and WatchQuotes over gRPC, with a real Valkey and PostgreSQL."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import grpc
import grpc.aio
import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from tests.awake import awake_clock
from tests.integration.pricing.asking import until
from tests.integration.pricing.conftest import AWAY, Serve

from chassis.grpc_client import open_channel, reason_of
from kernel.names import quote_key
from pricing.main import running
from pricing.settings import Settings
from purser.pricing.v1.pricing_pb2 import (
    QUOTE_SOURCE_SIMULATED,
    GetQuotesRequest,
    Quote,
    WatchQuotesRequest,
)
from purser.pricing.v1.pricing_pb2_grpc import PricingServiceStub

SYMBOLS = ("ETH", "BTC")


def counted(outcome: str) -> float:
    """How many quotes met this outcome at the shared cache, since the test process began."""
    name = "purser_pricing_shared_quotes_total"
    return REGISTRY.get_sample_value(name, {"outcome": outcome}) or 0.0


def in_microseconds(seconds: float) -> str:
    """So many seconds from now, as the cache writes times."""
    return str(int((datetime.now(UTC).timestamp() + seconds) * 1_000_000))


async def get(pricing: PricingServiceStub, *symbols: str) -> list[Quote]:
    """Ask once."""
    answer = await pricing.GetQuotes(GetQuotesRequest(symbols=symbols), timeout=10)
    return list(answer.quotes)


async def test_quotes_come_in_the_order_asked_without_the_unknown(serve: Serve) -> None:
    """Each says its currency, a price above zero, when it was stated, and that it is simulated."""
    async with serve() as pricing:
        quotes = await get(pricing, "ETH", "NOBODY", "BTC")

    assert [(q.symbol, q.currency) for q in quotes] == [("ETH", "USDT"), ("BTC", "USDT")]
    assert all(Decimal(q.price) > 0 for q in quotes)
    assert {QUOTE_SOURCE_SIMULATED} == {q.source for q in quotes}
    assert all(
        timedelta(0)
        <= datetime.now(UTC) - q.stated_at.ToDatetime(tzinfo=UTC)
        < timedelta(seconds=5)
        for q in quotes
    )


async def test_replicas_say_the_same_and_only_the_first_writes(
    serve: Serve, redis_url: str
) -> None:
    """Two replicas follow one market: for each step and symbol one write, one adoption."""
    written, adopted = counted("written"), counted("adopted")

    async def both_did() -> bool:
        # More than one step of nine symbols was written by one replica and adopted by the other.
        return counted("adopted") - adopted > 9 and counted("written") - written > 9

    async with serve() as one, serve() as other:
        await until(both_did)
        answers = await asyncio.gather(get(one, *SYMBOLS), get(other, *SYMBOLS))

    said = {(q.symbol, q.stated_at.ToMicroseconds()): q.price for q in answers[0]}
    again = {(q.symbol, q.stated_at.ToMicroseconds()): q.price for q in answers[1]}
    assert all(said[key] == again[key] for key in said.keys() & again.keys())


async def test_the_shared_quote_is_readable_and_forgets_itself(
    serve: Serve, redis_url: str
) -> None:
    """Under the one name kernel.names builds, as the contract's own message."""
    chosen = {"quote_keep_seconds": 30.0, "share_timeout_seconds": 10.0}
    async with serve(**chosen) as pricing, Redis.from_url(redis_url) as redis:
        await get(pricing, "BTC")
        kept = await redis.hget(quote_key("BTC"), "q")
        remaining = await redis.pttl(quote_key("BTC"))

    assert isinstance(kept, bytes)
    assert Quote.FromString(kept).symbol == "BTC"
    assert 0 < remaining <= 30_000


async def test_without_redis_quotes_are_answered_and_the_absence_counted(serve: Serve) -> None:
    """From the first call on; a cache is an optimisation."""
    failed = counted("failed")
    async with serve(**AWAY) as pricing:
        quotes = await get(pricing, *SYMBOLS)

    assert len(quotes) == 2
    assert counted("failed") > failed


def lie(symbol: str, stated_in_seconds: float) -> bytes:
    """A quote nobody stated: the price is 1."""
    quote = Quote(symbol=symbol, currency="USDT", price="1", source=QUOTE_SOURCE_SIMULATED)
    quote.stated_at.FromDatetime(datetime.now(UTC) + timedelta(seconds=stated_in_seconds))
    return quote.SerializeToString()


def timeless(seconds: int, nanos: int) -> bytes:
    """A quote of a time that cannot be."""
    quote = Quote(symbol="BTC", currency="USDT", price="64000", source=QUOTE_SOURCE_SIMULATED)
    quote.stated_at.seconds, quote.stated_at.nanos = seconds, nanos
    return quote.SerializeToString()


async def test_a_redis_that_stops_answering_delays_no_step(serve: Serve, redis_url: str) -> None:
    """While it hangs quotes go on within their time; when it is back it is used again."""
    async with serve() as pricing, Redis.from_url(redis_url) as redis:
        await redis.client_pause(4000)
        failed = counted("failed")
        begun = (await get(pricing, "BTC"))[0]

        async def goes_on() -> bool:
            hanging = (await get(pricing, "BTC"))[0]
            passed = hanging.stated_at.ToMicroseconds() - begun.stated_at.ToMicroseconds()
            return passed >= 600_000

        with awake_clock() as clock:
            await until(goes_on)
            assert clock() < 2
        assert counted("failed") > failed
        await redis.ping()  # answers when it is back
        written = counted("written")
        await until(lambda: _is(counted("written") > written))


async def test_a_flushed_or_spoilt_cache_changes_no_answer(serve: Serve, redis_url: str) -> None:
    """Another symbol's quote, another price, a wrong time or one that cannot be, garbage, another
    type: passed over; prices go on.
    """
    key, soon, far = quote_key("BTC"), in_microseconds(2), in_microseconds(10**6)
    async with serve() as pricing, Redis.from_url(redis_url) as redis:
        for spoil in (
            redis.flushall(),
            redis.hset(key, mapping={"t": soon, "q": lie("DOGE", 1.5)}),
            redis.hset(key, mapping={"t": soon, "q": lie("BTC", 1.5)}),
            redis.hset(key, mapping={"t": soon, "q": timeless(10**15, 0)}),
            redis.hset(key, mapping={"t": soon, "q": timeless(1, -1)}),
            redis.hset(key, mapping={"t": soon, "q": lie("BTC", 10**6)}),
            redis.hset(key, mapping={"t": far, "q": lie("BTC", 10**6)}),
            redis.hset(key, mapping={"t": "soon", "q": b"\xff"}),
            redis.set(key, "not a hash"),
        ):
            before = (await get(pricing, "BTC"))[0]
            await spoil
            await asyncio.sleep(0.3)
            await until(partial(_is_newer, pricing, before))
            assert Decimal((await get(pricing, "BTC"))[0].price) > 1000


async def test_a_quote_from_too_far_ahead_is_written_over(serve: Serve, redis_url: str) -> None:
    """One replica with a wrong clock must not silence the cache for the others."""
    key = quote_key("BTC")
    async with serve() as pricing, Redis.from_url(redis_url) as redis:
        await redis.hset(key, mapping={"t": in_microseconds(60), "q": lie("BTC", 60)})

        async def is_written_over() -> bool:
            return int(await redis.hget(key, "t") or 0) <= int(in_microseconds(0))

        await until(is_written_over)
        assert await get(pricing, "BTC")


async def test_a_watch_gives_the_present_first_and_then_each_change(serve: Serve) -> None:
    """Of the symbols asked for only, newer each time."""
    async with serve() as pricing:
        watch = pricing.WatchQuotes(WatchQuotesRequest(symbols=["BTC", "NOBODY"]), timeout=30)
        answers = [await watch.read() for _ in range(4)]
        watch.cancel()

    stated = [answer.quotes[0].stated_at.ToMicroseconds() for answer in answers]
    assert stated == sorted(set(stated))
    assert {"BTC"} == {quote.symbol for answer in answers for quote in answer.quotes}


async def test_a_watch_ends_with_unavailable_when_the_server_drains(settings: Settings) -> None:
    """At once rather than after the drain's timeout; the watcher goes elsewhere."""
    async with AsyncExitStack() as life:
        server = await life.enter_async_context(running(settings))
        channel = open_channel(server.address)
        watch = PricingServiceStub(channel).WatchQuotes(
            WatchQuotesRequest(symbols=["BTC"]), timeout=30
        )
        await watch.read()
        reading = asyncio.ensure_future(_drained(watch))
    error = await reading
    await channel.close()

    assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_watch_too_many_is_refused_and_one_that_left_makes_room(serve: Serve) -> None:
    """RESOURCE_EXHAUSTED tells the caller to go to another replica."""
    request = WatchQuotesRequest(symbols=["BTC"])
    async with serve(watches_max=1) as pricing:
        first = pricing.WatchQuotes(request, timeout=30)
        await first.read()
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await pricing.WatchQuotes(request, timeout=30).read()
        first.cancel()

        async def second_has_room() -> bool:
            second = pricing.WatchQuotes(request, timeout=30)
            try:
                return bool((await second.read()).quotes)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                return False
            finally:
                second.cancel()

        await until(second_has_room)

    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_malformed_symbols_are_refused_naming_the_field(serve: Serve) -> None:
    """In both calls; nothing hostile is echoed."""
    malformed: tuple[tuple[str, list[str]], ...] = (
        ("symbols", []),
        ("symbols", ["BTC"] * 201),
        ("symbols[1]", ["BTC", "btc"]),
        ("symbols[0]", ["\u202eCTB"]),
        ("symbols[0]", ["B" * 17]),
        ("symbols[0]", ["\0"]),
    )
    async with serve() as pricing:
        for field, symbols in malformed:
            calls: tuple[Any, ...] = (
                pricing.GetQuotes(GetQuotesRequest(symbols=symbols), timeout=10),
                pricing.WatchQuotes(WatchQuotesRequest(symbols=symbols), timeout=10).read(),
            )
            for call in calls:
                with pytest.raises(grpc.aio.AioRpcError) as refusal:
                    await call
                assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
                assert (refusal.value.details() or "").startswith(f"{field}: expected ")
                assert (refusal.value.details() or "").isascii()
                assert reason_of(refusal.value) == "MALFORMED"


async def _is(condition: bool) -> bool:
    return condition


async def _is_newer(pricing: PricingServiceStub, before: Quote) -> bool:
    after = (await get(pricing, "BTC"))[0]
    return after.stated_at.ToMicroseconds() > before.stated_at.ToMicroseconds()


async def _drained(watch: Any) -> grpc.aio.AioRpcError:
    try:
        while await watch.read():
            pass
    except grpc.aio.AioRpcError as error:
        return error
    pytest.fail("the watch ended without an error")
