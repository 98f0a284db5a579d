"""Quotes of exchanges: two fake ones on loopback, a real Valkey, one or two replicas."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from redis.asyncio import Redis
from tests.awake import awake_clock
from tests.fakes.exchanges import FakeExchanges
from tests.integration.pricing.asking import age, figure, get, has, until
from tests.integration.pricing.conftest import AWAY, PATIENT, STEP, Serve

from kernel.names import quote_key, turn_key
from pricing import history
from purser.pricing.v1.pricing_pb2 import (
    QUOTE_SOURCE_EXCHANGES,
    GetCandlesRequest,
    ListInstrumentsRequest,
    WatchQuotesRequest,
)
from purser.pricing.v1.pricing_pb2_grpc import PricingServiceStub

USERS = 500


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
    async with follow(**PATIENT) as one, follow(**PATIENT) as other:
        await until(lambda: _is(figure("turns_total", outcome="adopted") - adopted >= 3))
        await until(lambda: _is_fresh(one, 3))
        await until(lambda: _is_fresh(other, 3))

    assert figure("turns_total", outcome="alone") == alone


async def test_a_replica_that_dies_in_its_turn_costs_the_others_some_steps(
    follow: Serve, exchanges: FakeExchanges, redis_url: str
) -> None:
    """Its turn ends by itself; until then the others wait, and answer what they have."""
    async with Redis.from_url(redis_url) as redis, follow(**PATIENT) as pricing:
        await until(lambda: has(pricing, "BTC"))
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
        await until(lambda: has(pricing, "BTC"))
        await redis.client_pause(5000)
        later = datetime.now(UTC) + timedelta(seconds=0.5)
        with awake_clock() as clock:
            await until(lambda: _is_stated_after(pricing, later))
            assert clock() < 2.5
        await until(lambda: _is(figure("turns_total", outcome="alone") > alone))
        await redis.ping()  # answers when the pause is over: the next test is to find it well


async def test_without_redis_each_replica_asks_within_its_own_budget(
    follow: Serve, exchanges: FakeExchanges
) -> None:
    """One call a minute each: the second replica's is not counted against the first."""
    frugal = {**PATIENT, "binance_calls_per_minute": 1, "kraken_calls_per_minute": 1}
    async with follow(**AWAY, **frugal) as one, follow(**AWAY, **frugal) as other:
        await until(lambda: has(one, "BTC"))
        await until(lambda: has(other, "BTC"))
        await asyncio.sleep(1.5)

    assert (2, 2) == (exchanges.calls["binance"], exchanges.calls["kraken"])


async def test_the_budget_is_one_for_all_replicas(follow: Serve, exchanges: FakeExchanges) -> None:
    """Two replicas ask as often as one may."""
    frugal = {**PATIENT, "binance_calls_per_minute": 1, "kraken_calls_per_minute": 1}
    refused = figure("exchange_calls_total", exchange="kraken", outcome="over_budget")
    async with follow(**frugal) as one, follow(**frugal) as other:
        await until(lambda: has(one, "BTC"))
        await until(lambda: has(other, "BTC"))
        await asyncio.sleep(1.5)
        await until(
            lambda: _is(
                figure("exchange_calls_total", exchange="kraken", outcome="over_budget") > refused
            )
        )

    assert (1, 1) == (exchanges.calls["binance"], exchanges.calls["kraken"])


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
        await until(lambda: has(pricing, "BTC"))
        for _ in range(10):
            await asyncio.sleep(0.1)
            quote = (await get(pricing, "BTC"))["BTC"]
            assert (quote.price, quote.source) == ("64000", QUOTE_SOURCE_EXCHANGES)
        assert (await get(simulated, "BTC"))["BTC"].price != "64000"
        assert await redis.exists(quote_key("BTC"))


async def _is_fresh(pricing: PricingServiceStub, seconds: float = 0.7) -> bool:
    return age((await get(pricing, "BTC"))["BTC"]) < timedelta(seconds=seconds)


async def _is_stated_after(pricing: PricingServiceStub, time: datetime) -> bool:
    return (await get(pricing, "BTC"))["BTC"].stated_at.ToDatetime(tzinfo=UTC) >= time


async def _is(condition: bool) -> bool:
    return condition
