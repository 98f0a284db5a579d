"""Filling in what nobody was there to collect, on a virtual clock."""

import asyncio
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest

from chassis.errors import TryAgain
from pricing import history
from pricing.domain import Candle, Source, Span, Traded, beginning, spans
from pricing.history import fill_in

NOW = datetime(2026, 11, 23, 12, 20, 30, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ONE = Decimal(1)


def candle(symbol: str, minute: datetime, close: int = 1) -> Candle:
    """A candle that closes so."""
    price = Decimal(close)
    return Candle(symbol, "USDT", Source.SIMULATED, minute, ONE, max(ONE, price), ONE, price)


class World:
    """A source with a past and a book."""

    instruments = tuple(Traded(s, "USDT", 2, Source.SIMULATED) for s in ("BTC", "ETH"))

    def __init__(self) -> None:
        self.kept: dict[tuple[str, datetime], Candle] = {}
        self.asked: list[tuple[str, datetime, datetime]] = []
        self.failures = 0

    async def past(self, symbol: str, begin: datetime, end: datetime) -> list[Candle]:
        """State every minute."""
        self.asked.append((symbol, begin, end))
        if self.failures:
            self.failures -= 1
            raise TryAgain
        return [candle(symbol, begin + k * MINUTE) for k in range(int((end - begin) / MINUTE))]

    async def count(self, traded: Traded, begin: datetime, end: datetime) -> int:
        """Count what is kept."""
        return sum(s == traded.symbol and begin <= m < end for s, m in self.kept)

    async def add(self, candles: Sequence[Candle]) -> None:
        """Keep what is new."""
        for one in candles:
            self.kept.setdefault((one.symbol, one.minute), one)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world without waiting."""
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda _seconds: sleep(0))
    return World()


async def test_every_minute_of_the_reach_is_filled_in_newest_hours_first(world: World) -> None:
    """All symbols' newest hour before anybody's next."""
    await fill_in(world, world, NOW, 2 * HOUR)

    minutes = {minute for symbol, minute in world.kept if symbol == "ETH"}
    start = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
    assert minutes == {start + k * MINUTE for k in range(141)}
    assert [s for s, _, _ in world.asked[:4]] == ["BTC", "ETH", "BTC", "ETH"]
    assert world.asked[0][1:] == (NOW.replace(minute=0, second=0), NOW.replace(second=0))


async def test_what_is_whole_is_not_asked_for_again(world: World) -> None:
    """A second start costs a count per piece."""
    await fill_in(world, world, NOW, HOUR)
    world.asked.clear()
    await fill_in(world, world, NOW, HOUR)

    assert world.asked == []


async def test_an_outage_is_waited_out(world: World) -> None:
    """And nothing is left out for it."""
    world.failures = 3
    await fill_in(world, world, NOW, HOUR)

    assert len(world.kept) == 2 * (60 + 21)


async def test_it_rests_for_three_times_what_a_piece_took(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter of a core at most, however slow the machine is."""
    ticks, rests = itertools.count(step=2), list[float]()
    wait = asyncio.sleep

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        await wait(0)

    monkeypatch.setattr(history, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    monkeypatch.setattr(asyncio, "sleep", rest)
    await fill_in(world, world, NOW, HOUR)

    assert [6.0] * 4 == rests[:4]


async def test_nothing_is_filled_in_when_none_is_wanted(world: World) -> None:
    """The setting's 0."""
    await fill_in(world, world, NOW, timedelta(0))

    assert world.asked == []


def test_later_minutes_extend_the_interval_they_lie_in() -> None:
    """First price of the first, last of the last, the extremes of all; the newest are given."""
    ten = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
    kept = [Span(ten, ONE, Decimal(3), ONE, Decimal(2)), Span(ten + HOUR, ONE, ONE, ONE, ONE)]
    later = [candle("BTC", ten + HOUR + 5 * MINUTE, 9), candle("BTC", ten + 2 * HOUR, 4)]

    assert spans(kept, later, HOUR, 2) == [
        Span(ten + HOUR, ONE, Decimal(9), ONE, Decimal(9)),
        Span(ten + 2 * HOUR, ONE, Decimal(4), ONE, Decimal(4)),
    ]


@pytest.mark.parametrize(("minutes", "expected"), [(1, "12:20"), (15, "12:15"), (1440, "00:00")])
def test_an_interval_begins_at_a_whole_multiple_of_it(minutes: int, expected: str) -> None:
    """In UTC, since 1970."""
    assert beginning(NOW, timedelta(minutes=minutes)).strftime("%H:%M") == expected
