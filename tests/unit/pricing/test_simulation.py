"""The simulated market: the same for everybody, and like a market."""

import asyncio
import itertools
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from pricing.domain import Candles, Quote, Source
from pricing.errors import MalformedMarket
from pricing.simulation import ERA_LEVELS, Instrument, SimulatedMarket, read_instruments

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
BTC = Instrument("BTC", Decimal("64000.00"), Decimal("0.55"))
DOGE = Instrument("DOGE", Decimal("0.12000"), Decimal(1))


def market(seed: str = "purser", step: timedelta = SECOND) -> SimulatedMarket:
    """A market of two symbols."""
    return SimulatedMarket(seed, "USDT", [BTC, DOGE], step)


async def prices(market: SimulatedMarket, begin: datetime, count: int) -> list[Decimal]:
    """BTC's prices of so many steps."""
    return [(await market.fetch(["BTC"], begin + k * SECOND))[0].price for k in range(count)]


async def test_the_price_of_a_step_is_written_in_stone() -> None:
    """A change of this number is a change of the market: replicas of two versions would differ."""
    assert await market().fetch(["DOGE", "NONE", "BTC"], NOON + SECOND / 2) == [
        Quote("DOGE", "USDT", Decimal("0.14669"), NOON, Source.SIMULATED),
        Quote("BTC", "USDT", Decimal("77297.26"), NOON, Source.SIMULATED),
    ]


async def test_another_process_says_the_same() -> None:
    """Nothing depends on the process: not the hash seed, not what was asked before."""
    script = (
        "import asyncio, datetime as d; from decimal import Decimal as D\n"
        "from pricing.simulation import Instrument, SimulatedMarket as M\n"
        "i = [Instrument('BTC', D('64000.00'), D('0.55'))]\n"
        "m = M('purser', 'USDT', i, d.timedelta(seconds=1))\n"
        f"q = asyncio.run(m.fetch(['BTC'], d.datetime.fromisoformat('{NOON.isoformat()}')))\n"
        "print(q[0].price)"
    )
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await other.communicate()

    assert (await prices(market(), NOON, 1))[0] == Decimal(said.decode().strip())


async def test_the_order_of_asking_does_not_matter() -> None:
    """A replica that was started later, or asked backwards, states the same walk."""
    forwards = await prices(market(), NOON, 50)
    late = market()

    backwards = [
        (await late.fetch(["BTC"], NOON + k * SECOND))[0].price for k in reversed(range(50))
    ]

    assert forwards == backwards[::-1]


async def test_another_seed_or_symbol_is_another_walk() -> None:
    """Symbols do not move in step, and a test may have a market of its own."""
    assert await prices(market("one"), NOON, 10) != await prices(market("other"), NOON, 10)


async def test_it_moves_as_roughly_as_asked() -> None:
    """Standard deviation of a second's change: 55 % a year over the root of a year's seconds."""
    walk = await prices(market(), NOON, 3000)
    changes = [(after / before).ln() for before, after in itertools.pairwise(walk)]
    measured = (sum((change**2 for change in changes), Decimal(0)) / len(changes)).sqrt()
    expected = Decimal("0.55") / Decimal(365 * 24 * 3600).sqrt()

    assert measured == pytest.approx(expected, rel=Decimal("0.1"))


async def test_it_does_not_jump_where_eras_meet() -> None:
    """The end of an era is the beginning of the next."""
    era = SECOND * 2**ERA_LEVELS
    boundary = datetime(1970, 1, 1, tzinfo=UTC) + 850 * era
    around = await prices(market(), boundary - 5 * SECOND, 10)

    assert max(around) / min(around) < Decimal("1.001")


async def test_over_years_it_stays_near_its_base_price() -> None:
    """A market that drifts to nothing or to the moon is no place to practise."""
    monthly = [
        (await market().fetch(["BTC"], NOON + timedelta(days=30 * k)))[0].price for k in range(240)
    ]

    assert Decimal(20_000) < min(monthly)
    assert max(monthly) < Decimal(200_000)


async def test_prices_have_the_digits_of_the_base_price() -> None:
    """Two after the point for BTC, five for DOGE."""
    btc, doge = await market().fetch(["BTC", "DOGE"], NOON)

    assert (btc.price.as_tuple().exponent, doge.price.as_tuple().exponent) == (-2, -5)


def test_instruments_are_read_as_written() -> None:
    """The base price keeps its zeros: they say how finely to quote."""
    assert read_instruments(["BTC:64000.00:55", "DOGE:0.12000:100"]) == [BTC, DOGE]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "BTC",
        "BTC:1",
        "btc:1:1",
        "BTC:0:1",
        "BTC:-1:1",
        "BTC:1:0",
        "BTC:1e3:5",
        "BTC:1:1001",
        "BTC:1:1:1",
    ],
)
def test_a_malformed_instrument_is_one_sentence(line: str) -> None:
    """It quotes the part of the setting that is wrong and shows a right one."""
    with pytest.raises(MalformedMarket, match=r"BTC:64000\.00:55") as refusal:
        read_instruments(["ETH:1:1", line])

    assert repr(line) in str(refusal.value)


def test_a_symbol_named_twice_is_refused() -> None:
    """Which of the two would count?"""
    with pytest.raises(MalformedMarket, match="BTC twice"):
        read_instruments(["BTC:1:1", "BTC:2:1"])


@pytest.mark.parametrize("step_seconds", [1, 7, 60])
@pytest.mark.parametrize("begin", [NOON, NOON + timedelta(days=2, hours=11, minutes=7)])
async def test_its_past_is_what_somebody_would_have_collected(
    begin: datetime, step_seconds: int
) -> None:
    """Step by step and in one go: the same candles, to the last digit; across an era's end too."""
    step, end = timedelta(seconds=step_seconds), begin + timedelta(minutes=5)
    told = market(step=step)
    collector, collected, at = Candles(), [], begin - timedelta(minutes=1)
    while at < end + timedelta(minutes=1):
        collected += collector.add(await told.fetch(["BTC"], at))
        at += step

    assert [c for c in collected if begin <= c.minute < end] == told.history("BTC", begin, end)
    assert told.history("NONE", begin, end) == []


async def test_its_past_crosses_the_end_of_an_era() -> None:
    """2^21 steps end somewhere in the middle of a minute."""
    era = datetime.fromtimestamp(2**ERA_LEVELS * 850, UTC)
    begin = era.replace(second=0) - timedelta(minutes=1)
    (before, at, after) = market().history("BTC", begin, begin + timedelta(minutes=3))
    walked = await prices(market(), begin, 180)

    assert [walked[0], walked[60], walked[120]] == [before.open, at.open, after.open]
    assert max(walked[60:120]) == at.high
