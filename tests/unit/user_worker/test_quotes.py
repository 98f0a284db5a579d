"""The local copy of prices: one stream, few questions, an age on every quote."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tests.unit.user_worker.fakes import instrument_of, until

from user_worker.application import quotes as quotes_module
from user_worker.application.quotes import LocalPricing, QuotesPace
from user_worker.application.single_flight import SingleFlight
from user_worker.domain.market import Candle, Candles
from user_worker.domain.pauses import Pauses
from user_worker.errors import DependencyDown
from user_worker.trading_ports import Listed, StatedQuote

SOON = Pauses(0.001, 0.002)
PACE = QuotesPace(
    fresh_seconds=3.0, asked_again_seconds=1.0, instruments_seconds=300.0, after_outage=SOON
)


def btc(price: int, stated_at: float) -> StatedQuote:
    """A quote."""
    return StatedQuote("BTC", Decimal(price), "USDT", False, stated_at)


@dataclass
class Source:
    """Pricing in memory; its streams end or fail when told to."""

    now: float = 1000.0
    known: dict[str, StatedQuote] = field(default_factory=dict)
    changes: "asyncio.Queue[Sequence[StatedQuote] | None]" = field(default_factory=asyncio.Queue)
    is_down: bool = False
    asked: int = 0
    candles_asked: int = 0
    listings: int = 0
    streams: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def clock(self) -> float:
        """Wall time."""
        return self.now

    async def listed(self) -> Sequence[Listed]:
        """What has a price."""
        self.listings += 1
        self._answer()
        return [Listed("BTC", "USDT", 2), Listed("NEW", "USDT", 2)]

    async def quotes(self, symbols: Sequence[str]) -> Sequence[StatedQuote]:
        """The latest quotes."""
        self.asked += 1
        await self.gate.wait()
        self._answer()
        return [self.known[symbol] for symbol in symbols if symbol in self.known]

    @asynccontextmanager
    async def watch(
        self, symbols: Sequence[str]
    ) -> AsyncIterator[AsyncIterator[Sequence[StatedQuote]]]:
        """A stream that ends at None."""
        assert ["BTC", "NEW"] == symbols
        self.streams += 1
        self._answer()
        yield self._read()

    async def candles(self, symbol: str, interval_minutes: int, count_max: int) -> Candles:
        """One candle, of the moment it is asked at."""
        self.candles_asked += 1
        await self.gate.wait()
        self._answer()
        price = Decimal(int(self.now))
        candle = Candle(datetime.fromtimestamp(self.now, UTC), price, price, price, price)
        return Candles(symbol, "USDT", interval_minutes, False, (candle,))

    async def decimals(self) -> Mapping[str, int]:
        """The registry knows BTC alone."""
        self._answer()
        return {"paper:BTC": 8, "paper:USDT": 6}

    async def _read(self) -> AsyncIterator[Sequence[StatedQuote]]:
        while (quotes := await self.changes.get()) is not None:
            self._answer()
            yield quotes

    def _answer(self) -> None:
        if self.is_down:
            raise DependencyDown("pricing", "down")


@pytest.fixture
async def source() -> Source:
    """Pricing with one price, stated just now."""
    return Source(known={"BTC": btc(100, 1000.0)})


@pytest.fixture
async def pricing(source: Source) -> AsyncIterator[LocalPricing]:
    """The copy, kept."""
    local = LocalPricing(source, source, PACE, source.clock)
    running = asyncio.create_task(local.run())
    yield local
    running.cancel()


async def test_a_fresh_quote_costs_no_call_however_many_ask(
    source: Source, pricing: LocalPricing
) -> None:
    """The stream brought it; its age is the present minus what the source stated."""
    source.changes.put_nowait([btc(101, 999.0)])
    await until(source.changes.empty)
    quotes = await asyncio.gather(*(pricing.quote("BTC") for _ in range(500)))

    assert 0 == source.asked
    assert {(Decimal(101), 1.0)} == {(q.price, q.age_seconds) for q in quotes if q is not None}


async def test_an_old_quote_is_asked_for_once_by_all_who_want_it(
    source: Source, pricing: LocalPricing
) -> None:
    """And the answer is good for a second, though its source stated it long ago."""
    source.known["BTC"] = btc(90, 950.0)
    source.gate.clear()
    asking = [asyncio.create_task(pricing.quote("BTC")) for _ in range(500)]
    await until(lambda: source.asked)
    source.gate.set()
    quotes = await asyncio.gather(*asking)
    await pricing.quote("BTC")

    assert 1 == source.asked
    assert {50.0} == {quote.age_seconds for quote in quotes if quote is not None}
    source.now += 1.5
    await pricing.quote("BTC")
    assert 2 == source.asked


async def test_whoever_stops_waiting_takes_nobodys_answer_along(source: Source) -> None:
    """The first asker is cancelled; the others are answered by the same call."""
    local = LocalPricing(source, source, PACE, source.clock)
    source.gate.clear()
    first, second = (asyncio.create_task(local.quote("BTC")) for _ in range(2))
    await until(lambda: source.asked)
    first.cancel()
    source.gate.set()

    quote = await second
    assert quote is not None
    assert 1 == source.asked


async def test_when_pricing_is_down_the_copy_is_given_with_its_age(
    source: Source, pricing: LocalPricing
) -> None:
    """A price nobody has seen yet is an outage; an old one is an old price."""
    source.is_down = True
    with pytest.raises(DependencyDown):
        await pricing.quote("BTC")
    source.is_down = False
    await pricing.quote("BTC")
    source.is_down, source.now = True, source.now + 60

    quote = await pricing.quote("BTC")
    assert quote is not None
    assert (Decimal(100), 60.0) == (quote.price, quote.age_seconds)


async def test_a_stream_that_breaks_is_begun_anew(source: Source, pricing: LocalPricing) -> None:
    """After an end and after an error, for the symbols there are then."""
    await until(lambda: source.streams == 1)
    source.changes.put_nowait(None)
    await until(lambda: source.streams == 2)
    source.is_down = True
    source.changes.put_nowait([])
    await until(source.changes.empty)
    source.is_down = False
    await until(lambda: source.streams == 3)
    source.changes.put_nowait([btc(101, 999.0)])
    await until(source.changes.empty)

    quote = await pricing.quote("BTC")
    assert quote is not None
    assert Decimal(101) == quote.price


async def test_only_a_stream_that_cannot_begin_is_an_outage(
    source: Source, pricing: LocalPricing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections have an age: one that has begun ends every few minutes, and is no news."""
    outages: list[str] = []
    monkeypatch.setattr(quotes_module, "note_outage", lambda _, purpose: outages.append(purpose))
    source.changes.put_nowait([btc(101, 999.0)])
    await until(source.changes.empty)
    source.is_down = True
    source.changes.put_nowait([])
    await until(lambda: source.listings == 2)  # the first try after the stream broke

    assert outages == ["watch"]


async def test_an_older_quote_never_replaces_a_newer_one(
    source: Source, pricing: LocalPricing
) -> None:
    """A stream and an answer may overtake one another."""
    for quote in (btc(100, 1000.0), btc(90, 999.0)):
        source.changes.put_nowait([quote])
    await until(source.changes.empty)

    found = await pricing.quote("BTC")
    assert found is not None
    assert Decimal(100) == found.price


async def test_candles_are_read_once_for_all_who_ask_lately(source: Source) -> None:
    """At the same time and within the time a quote is fresh; each kind of candles by itself."""
    local = LocalPricing(source, source, PACE, source.clock)
    source.gate.clear()
    asking = [asyncio.create_task(local.candles("BTC", 15, 96)) for _ in range(500)]
    await until(lambda: source.candles_asked)
    source.gate.set()
    read = await asyncio.gather(*asking)
    source.now += 2.9
    assert {read[0]} == {*read, await local.candles("BTC", 15, 96)}
    assert 1 == source.candles_asked

    for other in (("BTC", 5, 96), ("BTC", 15, 48), ("ETH", 15, 96)):
        await local.candles(*other)
    assert 4 == source.candles_asked

    source.now += 0.2
    again = await local.candles("BTC", 15, 96)
    assert again.candles[0].close == Decimal(1003)
    source.now -= 60  # the clock was set back
    assert (await local.candles("BTC", 15, 96)).candles[0].close == Decimal(943)


async def test_only_so_many_candles_are_remembered(source: Source) -> None:
    """Those read first go first; and none is remembered of a call that failed."""
    local = LocalPricing(source, source, PACE, source.clock)
    for count in range(quotes_module.CANDLES_REMEMBERED_MAX + 1):
        await local.candles("BTC", 15, count)
    before = source.candles_asked
    await local.candles("BTC", 15, 1)
    assert before == source.candles_asked
    await local.candles("BTC", 15, 0)
    assert before + 1 == source.candles_asked

    source.is_down = True
    with pytest.raises(DependencyDown):
        await local.candles("ETH", 15, 96)
    source.is_down = False
    assert "ETH" == (await local.candles("ETH", 15, 96)).symbol


async def test_an_unknown_symbol_has_no_price(pricing: LocalPricing) -> None:
    """It is asked for, and that is all."""
    assert None is await pricing.quote("NOPE")


async def test_what_is_priced_and_in_the_registry_is_traded(
    source: Source, pricing: LocalPricing
) -> None:
    """Joined by id; remembered for minutes, and longer while nobody can say better."""
    await until(lambda: source.streams == 1)
    listings = source.listings
    expected = {"BTC": instrument_of("BTC")}
    assert expected == dict(await pricing.instruments()) == dict(await pricing.instruments())
    assert listings + 1 == source.listings

    source.is_down, source.now = True, source.now + 301
    assert expected == dict(await pricing.instruments())
    source.is_down = False
    assert expected == dict(await pricing.instruments())
    assert listings + 3 == source.listings


async def test_a_single_flight_keeps_nothing() -> None:
    """Each call that has ended is forgotten, one that failed as well."""
    flight, calls = SingleFlight[int](), 0

    async def call() -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ValueError("first")
        return calls

    with pytest.raises(ValueError, match="first"):
        await flight.join("key", call)
    assert 2 == await flight.join("key", call)
    assert 3 == await flight.join("key", call)
