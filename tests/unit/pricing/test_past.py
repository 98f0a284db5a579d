"""Past minutes of Binance: what is read of its klines, and how patiently it is asked."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from tests.unit.chassis import virtual_time

from pricing.domain import Candle, Source, Traded
from pricing.exchanges.dialect import Answer, Request
from pricing.exchanges.errors import Garbled, NoAnswer, PairUnlisted, Throttled
from pricing.exchanges.past import KLINES_MAX, BinancePast, read_klines

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOON_MILLISECONDS = 1_795_435_200_000
MINUTE = timedelta(minutes=1)
BTC = Traded("BTC", "USDT", 2, Source.EXCHANGES)


def kline(minute: int, *prices: object) -> list[object]:
    """A kline so many minutes after noon, as documented."""
    at = NOON_MILLISECONDS + minute * 60_000
    return [at, *prices, "148976.11427815", at + 59_999, "2434.19055334", 308, "1.7", "28.4", "0"]


def answer(content: object, status: int = 200) -> Answer:
    """An answer with some content."""
    return Answer(status, json.dumps(content).encode())


def test_klines_become_minutes_with_our_digits() -> None:
    """Open, high, low and close, rounded as quotes are."""
    told = [kline(0, "100.004", "101.006", "99", "100"), kline(1, "100", "100", "100", "100")]
    prices = (Decimal("100.00"), Decimal("101.01"), Decimal("99.00"), Decimal("100.00"))
    same = (Decimal("100.00"),) * 4

    assert [
        Candle("BTC", "USDT", Source.EXCHANGES, NOON, *prices),
        Candle("BTC", "USDT", Source.EXCHANGES, NOON + MINUTE, *same),
    ] == read_klines(BTC, answer(told))


@pytest.mark.parametrize(
    "rubbish",
    [
        None,
        [],
        [NOON_MILLISECONDS],
        ["noon", "1", "1", "1", "1"],
        [10**40, "1", "1", "1", "1"],
        [NOON_MILLISECONDS + 1, "1", "1", "1", "1"],
        kline(0, "1", "1", "1", 1),
        kline(0, "1", "NaN", "1", "1"),
        kline(0, "1", "1e999", "1", "1"),
        kline(0, "-1", "1", "1", "1"),
        kline(0, "2", "1", "1", "1"),
        kline(0, "1", "2", "1.5", "1"),
    ],
    ids=repr,
)
def test_a_kline_that_is_none_is_a_gap(rubbish: object) -> None:
    """The others are kept."""
    read = read_klines(BTC, answer([rubbish, kline(1, "1", "1", "1", "1")]))

    assert [NOON + MINUTE] == [candle.minute for candle in read]


def test_other_shapes_are_garbled_and_refusals_told_apart() -> None:
    """Also more klines than were asked for."""
    contents: list[object] = [{}, None, [[]] * (KLINES_MAX + 1)]
    for content in contents:
        with pytest.raises(Garbled):
            read_klines(BTC, answer(content))
    with pytest.raises(PairUnlisted):
        read_klines(BTC, answer({"code": -1121}, 400))


class World:
    """A Binance that answers as it is told, and a budget."""

    def __init__(self) -> None:
        self.failures: list[NoAnswer] = []
        self.asked: list[tuple[float, Request]] = []
        self.paused: list[float] = []
        self.budget_from = 0.0

    async def get(self, request: Request) -> Answer:
        """Answer with three minutes."""
        self.asked.append((asyncio.get_running_loop().time(), request))
        if self.failures:
            raise self.failures.pop(0)
        return answer([kline(minute, "1", "1", "1", "1") for minute in (-1, 0, 1)])

    async def take(self) -> bool:
        """Let calls through from a certain time on."""
        return asyncio.get_running_loop().time() >= self.budget_from

    async def pause(self, seconds: float) -> None:
        """Remember the wish."""
        self.paused.append(seconds)


@pytest.fixture
def world() -> World:
    """A world in which everything works."""
    return World()


def past(world: World) -> BinancePast:
    """The past of that world; inside a loop."""
    return BinancePast(world, world, asyncio.get_running_loop().time)


async def test_the_minutes_asked_for_are_given_and_no_others(world: World) -> None:
    """The end is excluded, on the wire too: Binance includes it."""
    read = await past(world).minutes(BTC, NOON, NOON + MINUTE)

    assert [NOON] == [candle.minute for candle in read]
    query = world.asked[0][1].query
    assert (query["symbol"], query["interval"]) == ("BTCUSDT", "1m")
    assert int(query["startTime"]) == NOON_MILLISECONDS
    assert int(query["endTime"]) == NOON_MILLISECONDS + 59_999


async def test_a_pair_it_does_not_trade_has_no_past(world: World) -> None:
    """That is an answer: nobody shall ask for ever."""
    world.failures = [PairUnlisted("unlisted")]

    assert await past(world).minutes(BTC, NOON, NOON + MINUTE) == []


def test_it_waits_until_it_may_ask(world: World) -> None:
    """The present has the first claim on the exchange's patience."""

    async def scenario() -> None:
        began = asyncio.get_running_loop().time()
        world.budget_from = began + 30.0
        await past(world).minutes(BTC, NOON, NOON + MINUTE)
        assert began + 30.0 <= world.asked[0][0] <= began + 31.0

    virtual_time.run(scenario())


def test_an_exchange_that_stays_away_is_asked_four_times_a_minute(world: World) -> None:
    """However often the caller tries; a wish to be left alone is passed on."""

    async def scenario() -> None:
        asking, began = past(world), asyncio.get_running_loop().time()
        world.failures = [Throttled(delay_seconds=90.0)] + [NoAnswer("away") for _ in range(29)]
        for _ in range(30):
            with pytest.raises(NoAnswer):
                await asking.minutes(BTC, NOON, NOON + MINUTE)
        assert asyncio.get_running_loop().time() - began > (30 - 10) * 15
        assert world.paused == [90.0]
        assert await asking.minutes(BTC, NOON, NOON + MINUTE)

    virtual_time.run(scenario())
