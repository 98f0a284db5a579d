"""Exchanges that are away, disagree, answer rubbish or want to be left alone, on loopback."""

import asyncio
from contextlib import aclosing, suppress
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest
from aiohttp import web
from redis.asyncio import Redis
from tests.fakes.exchanges import FakeExchanges
from tests.integration.pricing.asking import age, answer_of, figure, get, has, until
from tests.integration.pricing.conftest import AWAY, PATIENT, Serve

from chassis.redis import open_redis
from kernel.names import pause_key
from pricing.exchanges.breaker import FAILURES_MAX
from pricing.exchanges.budget import Budget
from purser.pricing.v1.pricing_pb2 import (
    WatchQuotesRequest,
)
from purser.pricing.v1.pricing_pb2_grpc import PricingServiceStub


async def test_one_exchange_away_leaves_the_other(follow: Serve, exchanges: FakeExchanges) -> None:
    """Quotes stay fresh; its breaker opens and it is called no more."""
    exchanges.answer_with("binance", answer_of(503))
    async with follow() as pricing:
        await until(lambda: _is(exchanges.calls["binance"] >= FAILURES_MAX))
        before = exchanges.calls["binance"]
        await asyncio.sleep(1)

        assert figure("exchange_breaker", exchange="binance") == 2
        assert exchanges.calls["binance"] == before == FAILURES_MAX
        await until(lambda: _is_fresh(pricing))


async def test_when_all_are_away_old_quotes_are_given_with_their_age(
    follow: Serve, exchanges: FakeExchanges
) -> None:
    """Also by a replica that is started while they are away; when they are back so are quotes."""
    async with follow(**PATIENT) as one:
        await until(lambda: has(one, "BTC"))
        first = (await get(one, "BTC"))["BTC"]
        for name in ("binance", "kraken"):
            exchanges.answer_with(name, answer_of(500))
        await asyncio.sleep(1)
        async with follow(**PATIENT) as newcomer:
            await until(lambda: has(newcomer, "BTC"))
            old = [(await get(replica, "BTC"))["BTC"] for replica in (one, newcomer)]
        for name in ("binance", "kraken"):
            exchanges.answer_with(name, None)

    assert all(age(quote) >= timedelta(seconds=0.7) for quote in old)
    assert all(
        quote.stated_at.ToMicroseconds() >= first.stated_at.ToMicroseconds() for quote in old
    )


async def test_a_symbol_no_exchange_trades_does_not_silence_the_others(
    follow: Serve, exchanges: FakeExchanges
) -> None:
    """Asked for alone it is UNAVAILABLE; among others it is missing."""
    async with follow(exchange_instruments=("BTC:2", "NEW:2")) as pricing:
        await until(lambda: has(pricing, "BTC"))
        assert set(await get(pricing, "BTC", "NEW")) == {"BTC"}
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await get(pricing, "NEW")
        watch = pricing.WatchQuotes(WatchQuotesRequest(symbols=["NEW", "BTC"]), timeout=30)
        assert [quote.symbol for quote in (await watch.read()).quotes] == ["BTC"]
        watch.cancel()

    assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_exchanges_that_disagree_give_no_fresh_quote(
    follow: Serve, exchanges: FakeExchanges
) -> None:
    """The old one ages; the symbols they agree on go on."""
    async with follow(**PATIENT) as pricing:
        await until(lambda: has(pricing, "BTC"))
        exchanges.prices["kraken"]["BTC"] = "66000"
        await asyncio.sleep(1.5)

        async def has_aged() -> bool:
            quotes = await get(pricing, "BTC", "ETH")
            assert quotes["BTC"].price == "64000"
            return age(quotes["BTC"]) - age(quotes["ETH"]) > timedelta(seconds=0.7)

        await until(has_aged)


async def test_a_429_silences_all_replicas_for_the_time_it_names(
    follow: Serve, exchanges: FakeExchanges, redis_url: str
) -> None:
    """One call between two replicas, then none, whoever's turn it is."""
    exchanges.answer_with("binance", answer_of(429, {"Retry-After": "30"}))
    async with (
        follow(**PATIENT) as one,
        follow(**PATIENT) as other,
        Redis.from_url(redis_url) as redis,
    ):
        await until(lambda: has(one, "BTC"))
        await until(lambda: has(other, "BTC"))
        await asyncio.sleep(1.5)
        await until(lambda: _is(exchanges.calls["kraken"] >= 3))
        remaining = await redis.pttl(pause_key("binance"))

    assert exchanges.calls["binance"] == 1
    assert 20_000 < remaining <= 30_000


async def test_a_wish_to_be_left_alone_is_heeded_without_redis_too() -> None:
    """By whoever heard it; and a budget that cannot ask the others is its own."""
    now = 1000.0
    async with aclosing(open_redis(AWAY["redis"])) as redis:
        budget = Budget(redis, "kraken", 60, 0.1, lambda: now)
        assert await budget.take()
        await budget.pause(30.0)
        now += 29.9
        assert not await budget.take()
        now += 0.1
        assert [True] * 5 + [False] == [await budget.take() for _ in range(6)]


def _text(text: str, headers: dict[str, str] | None = None) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=text, headers=headers, content_type="application/json")

    return answer


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with suppress(ConnectionError):
        while True:
            await response.write(b" " * 65536)
    return response


async def _hanging(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3)
    return web.Response(text="[]")


async def _hanging_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (answer_of(302, {"Location": "/kraken/0/public/Ticker"}), "away"),
        (answer_of(500), "away"),
        (answer_of(451), "away"),
        (answer_of(418, {"Retry-After": "nonsense"}), "throttled"),
        (answer_of(403), "throttled"),
        (_text("<html>we are back soon</html>"), "garbled"),
        (_text("[" * 100_000), "garbled"),
        (_text('{"symbol": "BTCUSDT"}'), "garbled"),
        (_text("x", {"Content-Encoding": "gzip"}), "garbled"),
        (_endless, "garbled"),
        (_hanging, "away"),
        (_hanging_up, "away"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_rubbish_of_one_exchange_is_counted_and_costs_no_quote(
    follow: Serve, exchanges: FakeExchanges, answer: Any, outcome: str
) -> None:
    """Redirects are not followed, bodies are bounded, nothing else is raised."""
    exchanges.answer_with("binance", answer)
    counted = figure("exchange_calls_total", exchange="binance", outcome=outcome)
    async with follow() as pricing:
        await until(lambda: has(pricing, "BTC"))
        quotes = await get(pricing, "BTC", "ETH")
        await until(
            lambda: _is(
                figure("exchange_calls_total", exchange="binance", outcome=outcome) > counted
            )
        )

    assert len(quotes) == 2


@pytest.mark.parametrize("price", ["-64000", "0", "NaN", "1e999", "64000 USDT", "9" * 60])
async def test_a_price_that_is_none_is_left_out(
    follow: Serve, exchanges: FakeExchanges, price: str
) -> None:
    """The other exchange's is taken."""
    exchanges.prices["binance"]["BTC"] = price
    async with follow() as pricing:
        await until(lambda: has(pricing, "BTC"))
        quotes = await get(pricing, "BTC", "ETH")

    assert {"BTC": "64000", "ETH": "3100"} == {q.symbol: q.price for q in quotes.values()}


async def _is_fresh(pricing: PricingServiceStub) -> bool:
    return age((await get(pricing, "BTC"))["BTC"]) < timedelta(seconds=1.5)


async def _is(condition: bool) -> bool:
    return condition
