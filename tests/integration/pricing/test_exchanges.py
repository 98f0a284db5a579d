"""Quotes of exchanges: two fake ones on loopback, a real Valkey, one or two replicas."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import grpc
import grpc.aio
import pytest
from aiohttp import web
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from tests.awake import awake_clock
from tests.fakes.exchanges import FakeExchanges, fake_exchanges
from tests.integration.pricing.conftest import Serve

from chassis.redis import RedisSettings, open_redis
from chassis.settings import Secret
from kernel.names import pause_key, quote_key, turn_key
from pricing import history
from pricing.exchanges.breaker import FAILURES_MAX
from pricing.exchanges.budget import Budget
from purser.pricing.v1.pricing_pb2 import (
    QUOTE_SOURCE_EXCHANGES,
    GetCandlesRequest,
    GetQuotesRequest,
    ListInstrumentsRequest,
    Quote,
    WatchQuotesRequest,
)
from purser.pricing.v1.pricing_pb2_grpc import PricingServiceStub

USERS = 500
STEP = timedelta(milliseconds=250)
AWAY = {"redis": RedisSettings(redis_url=Secret("redis://127.0.0.1:1/0"))}


@pytest.fixture
async def exchanges() -> AsyncIterator[FakeExchanges]:
    """Both exchanges."""
    async with fake_exchanges() as served:
        yield served


@pytest.fixture
def follow(serve: Serve, exchanges: FakeExchanges) -> Serve:
    """Start a replica that asks the fake exchanges four times a second."""

    def started(**changes: Any) -> Any:
        chosen = {
            "sources": "exchanges",
            "exchange_instruments": ("BTC:2", "ETH:2"),
            "binance_url": f"{exchanges.url}/binance",
            "kraken_url": f"{exchanges.url}/kraken/",
            "binance_calls_per_minute": 1200,
            "kraken_calls_per_minute": 1200,
            "exchange_timeout_seconds": 0.5,
            "step_milliseconds": STEP // timedelta(milliseconds=1),
            "history_hours": 0,
        }
        return serve(**{**chosen, **changes})

    return started


def figure(name: str, **labels: str) -> float:
    """A metric's value."""
    return REGISTRY.get_sample_value(f"purser_pricing_{name}", labels) or 0.0


async def get(pricing: PricingServiceStub, *symbols: str) -> dict[str, Quote]:
    """Ask once."""
    answer = await pricing.GetQuotes(GetQuotesRequest(symbols=symbols), timeout=20)
    return {quote.symbol: quote for quote in answer.quotes}


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something, at most ten seconds in which the machine runs."""
    with awake_clock() as clock:
        while not await condition():
            assert clock() < 10
            await asyncio.sleep(0.05)


def age(quote: Quote) -> timedelta:
    """How old a quote is."""
    return datetime.now(UTC) - quote.stated_at.ToDatetime(tzinfo=UTC)


async def test_a_quote_is_the_median_of_both_and_says_so(
    follow: Serve, exchanges: FakeExchanges
) -> None:
    """With its source, its currency and a fresh time; instruments are listed with their digits."""
    exchanges.prices["kraken"]["BTC"] = "64000.10"
    async with follow() as pricing:
        quote = (await get(pricing, "BTC", "NONE"))["BTC"]
        listed = (await pricing.ListInstruments(ListInstrumentsRequest(), timeout=10)).instruments

    assert ("64000.05", "USDT", QUOTE_SOURCE_EXCHANGES) == (
        quote.price,
        quote.currency,
        quote.source,
    )
    assert timedelta(0) <= age(quote) < timedelta(seconds=5)
    assert [("BTC", 2), ("ETH", 2)] == [(i.symbol, i.price_digits) for i in listed]


async def test_five_hundred_users_on_two_replicas_cost_one_upstream_call_per_step(
    follow: Serve, exchanges: FakeExchanges
) -> None:
    """For all symbols together and on each exchange, while 500 watch and ask all the time."""
    exchanges.delay_seconds = 0.05
    async with follow() as one, follow() as other:
        replicas = (one, other)
        await asyncio.gather(*(get(replica, "BTC", "ETH") for replica in replicas))
        before, began = exchanges.calls.copy(), asyncio.get_running_loop().time()

        async def use(number: int) -> int:
            replica = replicas[number % 2]
            watch = replica.WatchQuotes(WatchQuotesRequest(symbols=["BTC", "ETH"]), timeout=110)
            told = 0
            for _ in range(3):
                told += len((await watch.read()).quotes)
                assert await get(replica, "BTC", "ETH")
            watch.cancel()
            return told

        told = await asyncio.gather(*(use(number) for number in range(USERS)))
        seconds = asyncio.get_running_loop().time() - began
        answers = [await get(replica, "BTC", "ETH") for replica in replicas]

    steps = seconds / STEP.total_seconds()
    asked = exchanges.calls - before
    # One a step; a turn lasts nine tenths of it at least.
    assert 2 <= asked["binance"] <= steps / 0.9 + 1
    assert 2 <= asked["kraken"] <= steps / 0.9 + 1
    assert min(told) >= 3
    assert all(len(answer) == 2 for answer in answers)


async def test_replicas_adopt_what_one_of_them_got(follow: Serve, exchanges: FakeExchanges) -> None:
    """Both say the same quotes, and both have turns or adoptions only."""
    adopted, alone = (
        figure("turns_total", outcome="adopted"),
        figure("turns_total", outcome="alone"),
    )
    async with follow() as one, follow() as other:
        await asyncio.sleep(1.5)
        said = [(await get(replica, "BTC"))["BTC"] for replica in (one, other)]

    assert figure("turns_total", outcome="adopted") - adopted >= 3
    assert figure("turns_total", outcome="alone") == alone
    assert all(age(quote) < timedelta(seconds=3) for quote in said)


async def test_a_replica_that_dies_in_its_turn_costs_the_others_some_steps(
    follow: Serve, exchanges: FakeExchanges, redis_url: str
) -> None:
    """Its turn ends by itself; until then the others wait, and answer what they have."""
    async with Redis.from_url(redis_url) as redis, follow() as pricing:
        await until(lambda: _has(pricing, "BTC"))
        await redis.set(turn_key("exchanges"), "somebody who died", px=60_000)
        before = exchanges.calls.copy()
        await asyncio.sleep(0.8)
        assert (exchanges.calls - before)["kraken"] <= 1
        assert await get(pricing, "BTC")
        await redis.pexpire(turn_key("exchanges"), 200)

        await until(lambda: _is_fresh(pricing))


async def test_a_redis_that_stops_answering_stops_no_quotes(
    follow: Serve, exchanges: FakeExchanges, redis_url: str
) -> None:
    """While it hangs each replica asks for itself."""
    alone = figure("turns_total", outcome="alone")
    async with follow() as pricing, Redis.from_url(redis_url) as redis:
        await until(lambda: _has(pricing, "BTC"))
        await redis.client_pause(3000)
        await asyncio.sleep(2.5)
        quote = (await get(pricing, "BTC"))["BTC"]

    assert age(quote) < timedelta(seconds=2)
    assert figure("turns_total", outcome="alone") > alone


async def test_without_redis_each_replica_asks_within_its_own_budget(
    follow: Serve, exchanges: FakeExchanges
) -> None:
    """One call a minute each: the second replica's is not counted against the first."""
    frugal = {"binance_calls_per_minute": 1, "kraken_calls_per_minute": 1}
    async with follow(**AWAY, **frugal) as one, follow(**AWAY, **frugal) as other:
        await asyncio.sleep(1.5)
        answers = [await get(replica, "BTC") for replica in (one, other)]

    assert all(answers)
    assert (2, 2) == (exchanges.calls["binance"], exchanges.calls["kraken"])


async def test_the_budget_is_one_for_all_replicas(follow: Serve, exchanges: FakeExchanges) -> None:
    """Two replicas ask as often as one may."""
    frugal = {"binance_calls_per_minute": 1, "kraken_calls_per_minute": 1}
    refused = figure("exchange_calls_total", exchange="kraken", outcome="over_budget")
    async with follow(**frugal) as one, follow(**frugal) as other:
        await asyncio.sleep(1.5)
        answers = [await get(replica, "BTC") for replica in (one, other)]

    assert all(answers)
    assert (1, 1) == (exchanges.calls["binance"], exchanges.calls["kraken"])
    assert figure("exchange_calls_total", exchange="kraken", outcome="over_budget") > refused


async def test_one_exchange_away_leaves_the_other(follow: Serve, exchanges: FakeExchanges) -> None:
    """Quotes stay fresh; its breaker opens and it is called no more."""
    exchanges.answer_with("binance", _status(503))
    async with follow() as pricing:
        await until(lambda: _is(exchanges.calls["binance"] >= FAILURES_MAX))
        before = exchanges.calls["binance"]
        await asyncio.sleep(1)
        quote = (await get(pricing, "BTC"))["BTC"]

        assert age(quote) < timedelta(seconds=1.5)
        assert figure("exchange_breaker", exchange="binance") == 2
        assert exchanges.calls["binance"] == before == FAILURES_MAX


async def test_when_all_are_away_old_quotes_are_given_with_their_age(
    follow: Serve, exchanges: FakeExchanges
) -> None:
    """Also by a replica that is started while they are away; when they are back so are quotes."""
    async with follow() as one:
        first = (await get(one, "BTC"))["BTC"]
        for name in ("binance", "kraken"):
            exchanges.answer_with(name, _status(500))
        await asyncio.sleep(1)
        async with follow() as newcomer:
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
        await until(lambda: _has(pricing, "BTC"))
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
    async with follow() as pricing:
        await until(lambda: _has(pricing, "BTC"))
        exchanges.prices["kraken"]["BTC"] = "66000"
        await asyncio.sleep(1.5)
        quotes = await get(pricing, "BTC", "ETH")

    assert quotes["BTC"].price == "64000"
    assert age(quotes["BTC"]) - age(quotes["ETH"]) > timedelta(seconds=0.7)


async def test_a_429_silences_all_replicas_for_the_time_it_names(
    follow: Serve, exchanges: FakeExchanges, redis_url: str
) -> None:
    """One call between two replicas, then none, whoever's turn it is."""
    exchanges.answer_with("binance", _status(429, {"Retry-After": "30"}))
    async with follow() as one, follow() as other, Redis.from_url(redis_url) as redis:
        await asyncio.sleep(1.5)
        answers = [await get(replica, "BTC") for replica in (one, other)]
        remaining = await redis.pttl(pause_key("binance"))

    assert all(answers)
    assert exchanges.calls["binance"] == 1
    assert exchanges.calls["kraken"] >= 3
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


def _status(status: int, headers: dict[str, str] | None = None) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers, text="{}")

    return answer


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
        (_status(302, {"Location": "/kraken/0/public/Ticker"}), "away"),
        (_status(500), "away"),
        (_status(451), "away"),
        (_status(418, {"Retry-After": "nonsense"}), "throttled"),
        (_status(403), "throttled"),
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
        await until(lambda: _has(pricing, "BTC"))
        quotes = await get(pricing, "BTC", "ETH")

    assert len(quotes) == 2
    assert figure("exchange_calls_total", exchange="binance", outcome=outcome) > counted


@pytest.mark.parametrize("price", ["-64000", "0", "NaN", "1e999", "64000 USDT", "9" * 60])
async def test_a_price_that_is_none_is_left_out(
    follow: Serve, exchanges: FakeExchanges, price: str
) -> None:
    """The other exchange's is taken."""
    exchanges.prices["binance"]["BTC"] = price
    async with follow() as pricing:
        await until(lambda: _has(pricing, "BTC"))
        quotes = await get(pricing, "BTC", "ETH")

    assert {"BTC": "64000", "ETH": "3100"} == {q.symbol: q.price for q in quotes.values()}


@pytest.fixture
def unhurt_by_standstill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Filling in rests for three times what a piece took, and pauses after a call that took too
    long: a machine that stands still for a moment would be paid for with several. Both are proven
    without a machine's time (`tests/unit/pricing/test_history.py`).
    """
    monkeypatch.setattr(history, "REST_PER_WORK", 0.0)
    monkeypatch.setattr(history, "PAUSE_AFTER_OUTAGE_SECONDS", 0.1)


@pytest.mark.usefixtures("unhurt_by_standstill")
async def test_a_chart_has_a_past_though_nobody_was_here(
    follow: Serve, exchanges: FakeExchanges
) -> None:
    """An hour and more of minutes of each symbol that Binance trades, said to be of exchanges."""
    exchanges.prices["binance"]["BTC"] = "63999.50"
    request = GetCandlesRequest(symbol="BTC", interval_minutes=1, count_max=100)
    async with follow(exchange_instruments=("NEW:2", "BTC:2"), history_hours=1) as pricing:

        async def filled() -> bool:
            return len((await pricing.GetCandles(request, timeout=10)).candles) >= 60

        await until(filled)
        answer = await pricing.GetCandles(request, timeout=10)

    assert answer.source == QUOTE_SOURCE_EXCHANGES
    assert {"63999.5"} == {candle.high for candle in answer.candles[:-2]}
    begins = [candle.begins_at.seconds for candle in answer.candles]
    assert [60] * 58 == [later - earlier for earlier, later in pairwise(begins)][:58]


async def test_a_simulated_quote_in_the_shared_cache_is_not_adopted(
    follow: Serve, serve: Serve, exchanges: FakeExchanges, redis_url: str
) -> None:
    """While a deployment changes from the simulated market to exchanges both write to it."""
    async with serve() as simulated, follow() as pricing, Redis.from_url(redis_url) as redis:
        for _ in range(10):
            await asyncio.sleep(0.1)
            quote = (await get(pricing, "BTC"))["BTC"]
            assert (quote.price, quote.source) == ("64000", QUOTE_SOURCE_EXCHANGES)
        assert (await get(simulated, "BTC"))["BTC"].price != "64000"
        assert await redis.exists(quote_key("BTC"))


async def _is_fresh(pricing: PricingServiceStub) -> bool:
    return age((await get(pricing, "BTC"))["BTC"]) < timedelta(seconds=0.7)


async def _has(pricing: PricingServiceStub, symbol: str) -> bool:
    try:
        return symbol in await get(pricing, symbol)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return False


async def _is(condition: bool) -> bool:
    return condition
