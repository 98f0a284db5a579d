"""One replica asks, the others take what it got; with fakes for source, cache and turns."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from tests.unit.chassis import virtual_time

from chassis.errors import TryAgain
from pricing.domain import Candle, Quote, Source, Traded
from pricing.exchanges.single_flight import OneAsker
from pricing.exchanges.source import ExchangeMarket
from pricing.exchanges.turns import Turn

PATIENCE_SECONDS = 0.3
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BTC = Traded("BTC", "USDT", 2, Source.EXCHANGES)
ETH = Traded("ETH", "USDT", 2, Source.EXCHANGES)


def quote(seconds: float) -> Quote:
    """BTC's quote so many seconds after noon."""
    return Quote("BTC", "USDT", Decimal(100), NOON + timedelta(seconds=seconds), Source.EXCHANGES)


class World:
    """A source, a cache and turns that do as they are told."""

    instruments = (BTC,)

    def __init__(self) -> None:
        self.calls = self.ended = 0
        self.source_away = self.cache_away = False
        self.turn: bool | None = True
        self.kept: list[Quote] = []

    async def fetch(self, symbols: Sequence[str], now: datetime) -> list[Quote]:
        """State a price."""
        self.calls += 1
        if self.source_away:
            raise TryAgain
        return [replace(quote(0), stated_at=now)]

    async def past(self, symbol: str, begin: datetime, end: datetime) -> list[Candle]:
        """Nothing is known of the past."""
        return []

    async def read(self, symbols: Sequence[str], now: datetime) -> list[Quote]:
        """Give what is kept."""
        if self.cache_away:
            raise TryAgain
        return self.kept

    async def take(self) -> Turn | None:
        """None: Redis is away."""
        if self.turn is None:
            raise TryAgain
        return Turn("t", 0.0) if self.turn else None

    async def end(self, turn: Turn) -> None:
        """Count."""
        self.ended += 1


@pytest.fixture
def world() -> World:
    """A world in which everything works and it is our turn."""
    return World()


@pytest.fixture
def asker(world: World) -> OneAsker:
    """A source shared by replicas, with little patience."""
    return OneAsker(
        world, world, world, patience_seconds=PATIENCE_SECONDS, look_timeout_seconds=0.1
    )


async def test_whose_turn_it_is_asks_and_ends_the_turn(world: World, asker: OneAsker) -> None:
    """Also when the asking fails."""
    assert [quote(0)] == await asker.fetch(["BTC"], NOON)
    world.source_away = True
    with pytest.raises(TryAgain):
        await asker.fetch(["BTC"], NOON)

    assert (world.calls, world.ended) == (2, 2)


def test_whose_turn_it_is_not_waits_for_what_another_gets(world: World, asker: OneAsker) -> None:
    """And does not take what it knows already for news."""

    async def scenario() -> None:
        world.turn, world.kept = False, [quote(1)]
        assert [quote(1)] == await asker.fetch(["BTC"], NOON)
        waiting = asyncio.create_task(asker.fetch(["BTC"], NOON))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        world.kept = [quote(2)]

        assert [quote(2)] == await waiting
        assert world.calls == 0

    virtual_time.run(scenario())


def test_a_dead_asker_costs_no_more_than_patience(world: World, asker: OneAsker) -> None:
    """A step without news; the old quotes stay."""

    async def scenario() -> None:
        world.turn = False
        began = asyncio.get_running_loop().time()
        with pytest.raises(TryAgain, match="no other replica"):
            await asker.fetch(["BTC"], NOON)
        assert asyncio.get_running_loop().time() - began == pytest.approx(PATIENCE_SECONDS)

    virtual_time.run(scenario())


async def test_without_redis_each_asks_for_itself(world: World, asker: OneAsker) -> None:
    """A lock is an optimisation."""
    world.turn, world.cache_away = None, True

    assert [quote(0)] == await asker.fetch(["BTC"], NOON)


async def test_while_the_exchanges_are_away_a_new_replica_takes_what_another_got(
    world: World, asker: OneAsker
) -> None:
    """An old quote with its age rather than none."""
    world.source_away, world.kept = True, [quote(-30)]

    assert [quote(-30)] == await asker.fetch(["BTC"], NOON)


def test_quotes_of_another_kind_are_not_adopted(world: World, asker: OneAsker) -> None:
    """A replica still on the simulated market may write to the same cache."""
    world.turn = False
    world.kept = [
        replace(quote(1), source=Source.SIMULATED),
        replace(quote(1), currency="EUR"),
        replace(quote(1), symbol="ETH"),
    ]

    async def scenario() -> None:
        with pytest.raises(TryAgain):
            await asker.fetch(["BTC"], NOON)

    virtual_time.run(scenario())


class Stating:
    """An exchange that states some prices."""

    def __init__(self, name: str, **prices: str) -> None:
        self.name = name
        self._prices = {symbol: Decimal(price) for symbol, price in prices.items()}

    async def ask(self) -> dict[str, Decimal]:
        """State them."""
        return self._prices


class Past:
    """A past with one minute in it."""

    async def minutes(self, traded: Traded, begin: datetime, end: datetime) -> list[Candle]:
        """State it."""
        price = Decimal(100)
        return [Candle(traded.symbol, "USDT", traded.source, begin, price, price, price, price)]


def market(*exchanges: Stating) -> ExchangeMarket:
    """A market of two symbols on some exchanges."""
    return ExchangeMarket([BTC, ETH], exchanges, Past(), Decimal("0.005"), 1)


async def test_a_quote_is_the_median_rounded_once_and_stated_before_asking() -> None:
    """100.005 and 100.025 have 100.015 in the middle: to the even digit it is 100.02."""
    both = market(Stating("a", BTC="100.005"), Stating("b", BTC="100.025"))

    assert [replace(quote(0), price=Decimal("100.02"))] == await both.fetch(["BTC", "NONE"], NOON)


async def test_a_disagreement_costs_its_symbol_alone() -> None:
    """No fresh quote rather than a guess; with nothing at all to say the source is away."""
    a, b = Stating("a", BTC="100", ETH="10"), Stating("b", BTC="100", ETH="11")

    assert ["BTC"] == [q.symbol for q in await market(a, b).fetch(["BTC", "ETH"], NOON)]
    with pytest.raises(TryAgain):
        await market(a, b).fetch(["ETH"], NOON)
    with pytest.raises(TryAgain):
        await market(Stating("a")).fetch(["BTC"], NOON)


async def test_the_past_is_told_of_symbols_that_are_known() -> None:
    """Of another there is none."""
    assert ["ETH"] == [c.symbol for c in await market().past("ETH", NOON, NOON)]
    assert await market().past("NONE", NOON, NOON) == []
