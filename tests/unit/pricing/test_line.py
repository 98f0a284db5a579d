"""One exchange's line: when it is asked, and what its failures lead to; by given time."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from pricing.exchanges.binance import Binance
from pricing.exchanges.breaker import FAILURES_MAX, OPEN_SECONDS
from pricing.exchanges.budget import OwnBucket
from pricing.exchanges.dialect import Answer, Request
from pricing.exchanges.errors import NoAnswer, Throttled
from pricing.exchanges.line import Line
from pricing.exchanges.listing import LEARN_AGAIN_SECONDS


class World:
    """An exchange that trades some pairs, a budget and a clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.traded = {"BTCUSDT": "100", "ETHUSDT": "10", "OTHER": "1"}
        self.failure: NoAnswer | None = None
        self.asked: list[list[str] | None] = []
        self.budget_left = 1000
        self.paused: list[float] = []

    async def get(self, request: Request) -> Answer:
        """Answer as Binance does."""
        text = request.query.get("symbols")
        pairs: list[str] | None = None if text is None else msgspec.json.decode(text)
        self.asked.append(pairs)
        if self.failure is not None:
            raise self.failure
        if pairs is not None and not set(pairs) <= set(self.traded):
            return Answer(400, b'{"code": -1121, "msg": "Invalid symbol."}')
        books = [
            {"symbol": pair, "bidPrice": price, "askPrice": price}
            for pair, price in self.traded.items()
            if pairs is None or pair in pairs
        ]
        return Answer(200, msgspec.json.encode(books))

    async def take(self) -> bool:
        """Take a call."""
        self.budget_left -= 1
        return self.budget_left >= 0

    async def pause(self, seconds: float) -> None:
        """Remember the wish."""
        self.paused.append(seconds)


@pytest.fixture
def world() -> World:
    """A world in which everything works."""
    return World()


def line(world: World, *symbols: str) -> Line:
    """A line for some symbols, two if none are named."""
    pairs = {symbol: f"{symbol}USDT" for symbol in symbols or ("BTC", "ETH")}
    return Line(Binance(), world, world, pairs, lambda: world.now)


def figure(name: str, **labels: str) -> Any:
    """A metric's value."""
    return REGISTRY.get_sample_value(f"purser_pricing_{name}", labels | {"exchange": "binance"})


async def test_one_call_states_all_symbols(world: World) -> None:
    """By their own names."""
    assert {"BTC": Decimal(100), "ETH": Decimal(10)} == await line(world).ask()
    assert world.asked == [["BTCUSDT", "ETHUSDT"]]


async def test_an_unlisted_pair_costs_one_step_and_is_left_out_afterwards(world: World) -> None:
    """The next call asks for all pairs, then for those that are traded; in an hour once more."""
    asking = line(world, "BTC", "NEW")
    assert await asking.ask() == {}
    assert await asking.ask() == {"BTC": Decimal(100)}
    assert await asking.ask() == {"BTC": Decimal(100)}
    assert world.asked == [["BTCUSDT", "NEWUSDT"], None, ["BTCUSDT"]]

    world.traded["NEWUSDT"] = "5"
    world.now += LEARN_AGAIN_SECONDS
    assert await asking.ask() == {"BTC": Decimal(100), "NEW": Decimal(5)}


async def test_a_pair_that_ceases_to_be_traded_is_noticed(world: World) -> None:
    """It must not silence the others for longer than a step."""
    asking = line(world)
    await asking.ask()
    del world.traded["ETHUSDT"]

    assert [await asking.ask() for _ in range(3)] == [
        {},
        {"BTC": Decimal(100)},
        {"BTC": Decimal(100)},
    ]


async def test_an_exchange_that_trades_nothing_of_ours_is_not_called(world: World) -> None:
    """Until it is asked again in an hour."""
    asking = line(world, "NEW")
    for _ in range(10):
        assert await asking.ask() == {}

    assert world.asked == [["NEWUSDT"], None]


async def test_failures_open_the_breaker_and_a_success_closes_it(world: World) -> None:
    """While it is open no call is made; the metric says how it stands."""
    asking = line(world)
    world.failure = NoAnswer("away")
    for _ in range(FAILURES_MAX + 3):
        assert await asking.ask() == {}
    assert len(world.asked) == FAILURES_MAX
    assert figure("exchange_breaker") == 2

    world.now, world.failure = world.now + OPEN_SECONDS, None
    assert await asking.ask()
    assert figure("exchange_breaker") == 0


async def test_a_wish_to_be_left_alone_is_heeded_and_told_to_the_others(world: World) -> None:
    """Not one more call within the time."""
    asking = line(world)
    world.failure = Throttled(delay_seconds=120.0)
    for _ in range(119):
        await asking.ask()
        world.now += 1.0
    assert (world.paused, len(world.asked)) == ([120.0], 1)

    world.now, world.failure = world.now + 1.0, None
    assert await asking.ask()


async def test_over_budget_no_call_is_made(world: World) -> None:
    """It is counted, and is no failure of the exchange."""
    asking = line(world)
    world.budget_left = 2
    refused = figure("exchange_calls_total", outcome="over_budget") or 0
    answers = [await asking.ask() for _ in range(FAILURES_MAX + 2)]

    assert [bool(answer) for answer in answers] == [True, True] + [False] * FAILURES_MAX
    assert len(world.asked) == 2
    assert figure("exchange_calls_total", outcome="over_budget") - refused == FAILURES_MAX
    assert figure("exchange_breaker") == 0


async def test_a_price_that_is_none_is_missing_and_counted(world: World) -> None:
    """A halted pair has zeros."""
    world.traded["ETHUSDT"] = "0.00000000"
    dropped = figure("prices_dropped_total", reason="no_price") or 0

    assert {"BTC": Decimal(100)} == await line(world).ask()
    assert figure("prices_dropped_total", reason="no_price") - dropped == 1


def test_the_own_budget_is_refilled_by_time_and_saves_up_a_little() -> None:
    """Five at once, then one a second."""
    bucket = OwnBucket(1.0, 5.0, 0.0)
    taken = [bucket.take(now) for now in [0.0] * 6 + [0.9, 1.0, 1.5, 2.0] + [1000.0] * 6]

    assert taken == [True] * 5 + [False, False, True, False, True] + [True] * 5 + [False]
