"""Following the market, with fakes for source, cache and book."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from chassis.errors import TryAgain
from pricing.application import Limits, Market
from pricing.domain import Candle, Quote, Source, Span, Traded
from pricing.errors import NoQuotes, TooManyWatches, UnknownSymbol

pytestmark = pytest.mark.virtual_time

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class World:
    """A source, a cache, a book and a clock that do as they are told."""

    symbols = ("BTC", "ETH")
    instruments = tuple(Traded(symbol, "USDT", 2, Source.SIMULATED) for symbol in symbols)

    def __init__(self) -> None:
        self.now = NOON
        self.price = Decimal(100)
        self.fetches = 0
        self.source_away = self.book_away = False
        self.cache_delay_seconds: float | None = 0.0
        self.believed: list[Quote] | None = None
        self.kept: list[Candle] = []

    async def fetch(self, symbols: Sequence[str], now: datetime) -> list[Quote]:
        """State one price for all."""
        self.fetches += 1
        if self.source_away:
            raise TryAgain
        return [Quote(s, "USDT", self.price, now, Source.SIMULATED) for s in symbols]

    async def share(self, quotes: Sequence[Quote]) -> list[Quote]:
        """Believe what the test says."""
        if self.cache_delay_seconds is None:
            raise TryAgain
        await asyncio.sleep(self.cache_delay_seconds)
        return list(quotes) if self.believed is None else self.believed

    async def add(self, candles: Sequence[Candle]) -> None:
        """Keep the candles."""
        if self.book_away:
            raise TryAgain
        self.kept.extend(candles)

    async def read(
        self, traded: Traded, interval: timedelta, begin: datetime, end: datetime
    ) -> list[Span]:
        """Read the minutes one by one: the tests ask for no other interval."""
        return [
            Span(c.minute, c.open, c.high, c.low, c.close)
            for c in self.kept
            if c.symbol == traded.symbol and begin <= c.minute < end
        ]


@pytest.fixture
def world() -> World:
    """A world in which everything works."""
    return World()


@pytest.fixture
def market(world: World) -> Market:
    """A market in that world, with small limits."""
    limits = Limits(
        step=timedelta(milliseconds=20),
        share_timeout_seconds=0.05,
        watches_max=2,
        candles_pending_max=4,
    )
    return Market(world, world, world, limits, now=lambda: world.now)


async def test_any_number_of_askers_cost_one_call_per_step(world: World, market: Market) -> None:
    """500 users asking for two symbols: the source hears of one step only."""
    await market.step()

    for _ in range(500):
        assert [q.symbol for q in market.latest(["ETH", "BTC"])] == ["ETH", "BTC"]

    assert world.fetches == 1


async def test_unknown_symbols_are_missing_and_silent_ones_are_unavailable(
    world: World, market: Market
) -> None:
    """Nobody quotes XYZ: not an error. BTC is quoted and has not answered yet: try again."""
    assert market.latest(["XYZ"]) == []

    with pytest.raises(NoQuotes, match="BTC"):
        market.latest(["XYZ", "BTC"])


async def test_old_quotes_outlive_their_source(world: World, market: Market) -> None:
    """They keep the time they were stated at, by which a reader sees their age."""
    await market.step()
    world.source_away, world.now = True, NOON + timedelta(minutes=5)

    await market.step()

    assert [q.stated_at for q in market.latest(["BTC"])] == [NOON]


@pytest.mark.parametrize("delay", [None, 5.0], ids=["away", "slow"])
async def test_a_cache_that_is_away_or_slow_costs_no_answer(
    delay: float | None, world: World, market: Market
) -> None:
    """The replica goes on with its own quotes, within the share's time limit."""
    world.cache_delay_seconds = delay

    async with asyncio.timeout(1):
        await market.step()

    assert market.latest(["BTC"])


async def test_what_another_replica_wrote_first_is_believed(world: World, market: Market) -> None:
    """All replicas answer alike for a step."""
    world.believed = [Quote("BTC", "USDT", Decimal(7), NOON, Source.SIMULATED)]

    await market.step()

    assert world.believed == market.latest(["BTC"])


async def test_quotes_never_go_back_in_time(world: World, market: Market) -> None:
    """A clock set back, or a cache that kept an older quote, changes nothing."""
    await market.step()
    world.now, world.price = NOON - timedelta(seconds=1), Decimal(1)

    await market.step()

    assert [Decimal(100)] == [q.price for q in market.latest(["BTC"])]


async def test_a_watcher_hears_the_present_first_then_changes_of_its_symbols(
    world: World, market: Market
) -> None:
    """Only what it asked for, each time a quote is stated anew."""
    await market.step()
    watch = market.watch(["BTC", "XYZ"])
    assert [(q.symbol, q.stated_at) for q in await anext(watch)] == [("BTC", NOON)]
    world.now = later = NOON + timedelta(seconds=1)

    await market.step()

    assert [("BTC", later)] == [(q.symbol, q.stated_at) for q in await anext(watch)]
    await watch.aclose()


async def test_a_slow_watcher_is_given_the_latest_only(world: World, market: Market) -> None:
    """A hundred steps unread are one quote per symbol, not a hundred."""
    await market.step()
    watch = market.watch(["BTC"])
    await anext(watch)
    for second in range(1, 101):
        world.now = NOON + timedelta(seconds=second)
        await market.step()

    assert [NOON + timedelta(seconds=100)] == [q.stated_at for q in await anext(watch)]
    await watch.aclose()


async def test_watches_are_bounded_and_given_back(world: World, market: Market) -> None:
    """The third of two is refused; one that ends makes room."""
    await market.step()
    first, second = market.watch(["BTC"]), market.watch(["BTC"])
    await anext(first)
    await anext(second)

    with pytest.raises(TooManyWatches):
        await anext(market.watch(["BTC"]))

    await first.aclose()
    third = market.watch(["BTC"])
    assert await anext(third)
    await second.aclose()
    await third.aclose()


async def test_candles_wait_for_the_database_within_a_bound(world: World, market: Market) -> None:
    """While it is away finished candles wait; past the limit the oldest are given up."""
    world.book_away = True
    following = asyncio.create_task(market.keep_candles())
    for minute in range(6):
        world.now = NOON + timedelta(minutes=minute)
        await market.step()
        await asyncio.sleep(0)
    assert world.kept == []
    world.book_away = False
    world.now = NOON + timedelta(minutes=6)

    await market.step()
    await asyncio.sleep(0.01)

    following.cancel()
    await asyncio.wait([following])
    assert [candle.minute.minute for candle in world.kept] == [4, 4, 5, 5]


async def test_candles_hold_what_the_book_does_not_have_yet(world: World, market: Market) -> None:
    """The minute under way, and finished ones that still wait for the database."""
    minute = timedelta(minutes=1)
    for number in range(4):
        world.price = Decimal(100 + number)
        world.now = NOON + number * minute
        await market.step()

    traded, candles = await market.candles("ETH", minute, 10, None)

    assert traded == Traded("ETH", "USDT", 2, Source.SIMULATED)
    # The first minute may have begun before its first quote: it is not given.
    assert [(c.begins_at, c.close) for c in candles] == [
        (NOON + number * minute, Decimal(100 + number)) for number in (1, 2, 3)
    ]
    assert (await market.candles("ETH", minute, 2, None))[1] == candles[1:]
    assert (await market.candles("ETH", minute, 9, NOON + 2 * minute))[1] == candles[:1]


async def test_a_symbol_nobody_trades_has_no_candles(market: Market) -> None:
    """And the caller is told its name."""
    with pytest.raises(UnknownSymbol, match="NONE"):
        await market.candles("NONE", timedelta(minutes=1), 1, None)
