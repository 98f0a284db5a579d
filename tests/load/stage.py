"""One load on one bot, watched: its figures as a plain value that can be printed and kept."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
from tests.fakes.exchanges import FakeExchanges, fake_exchanges
from tests.load import bots
from tests.load.bots import Bot
from tests.load.crowd import Crowd, Load
from tests.load.latency import interval, percentile
from tests.load.schedule import Arrival, first_contacts
from tests.load.watching import keeps_up, watching, what_broke

from devbox.telegram.server import Simulator

UPSTREAM_DELAY_SECONDS = 0.2
"""What a call to a public exchange takes from far away."""
UPSTREAM_CALLS_PER_SECOND_MAX = 50
"""Binance allows an address a weight of 6,000 a minute; a call for one symbol weighs 2."""
SIGN_UPS_PER_SECOND = 40.0
JUMP = Decimal("1.1")
DRAIN_SECONDS = 30.0
"""What is not answered so long after the last message counts as not answered."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one load gave. Latencies are in milliseconds from the intended moment."""

    bot: str
    load: str
    users: int
    updates: int
    answered: int
    refused: int
    unasked: int
    answers_per_second: float
    p50: float
    p50_interval: tuple[float, float]
    p99: float
    p99_interval: tuple[float, float]
    worst: float
    keeps_up: bool
    late_sends: int
    """Sent more than 50 ms late by the driver itself."""
    upstream_calls: int
    upstream_refused: int
    cores_used: dict[str, float]
    """Processor seconds per second, by process."""
    processor_milliseconds: dict[str, float]
    """What one update cost each process: unlike the rest, hardly moved by what strangers do."""
    cores_strangers: float
    """The same of what is neither the bot nor the driver."""
    broke: str
    refusals: dict[str, int]


class Scene:
    """A bot with its own Telegram, exchanges and crowd."""

    def __init__(self, bot: Bot, simulator: Simulator, exchanges: FakeExchanges, seed: int) -> None:
        self.bot = bot
        self.simulator = simulator
        self.exchanges = exchanges
        self.crowd = Crowd(simulator, seed)
        self.users = 0

    async def sign_up(self, users: int) -> Outcome:
        """Let there be so many users: the new ones say hello."""
        newcomers = range(self.users, users)
        self.users = users
        return await self.load(
            f"{len(newcomers)} first contacts at {SIGN_UPS_PER_SECOND:g}/s",
            first_contacts(newcomers, SIGN_UPS_PER_SECOND),
        )

    async def load(self, name: str, schedule: Sequence[Arrival]) -> Outcome:
        """Put a load on the bot and watch it."""
        calls = self.exchanges.calls.copy()
        async with watching(self.bot, self.simulator) as watch:
            load = await self.crowd.load(schedule, DRAIN_SECONDS)
        calls = self.exchanges.calls - calls
        refused = sum(number for name, number in calls.items() if name.endswith("refused"))
        return Outcome(
            bot=self.bot.name,
            load=name,
            users=self.users,
            updates=len(load.asks),
            answered=len(load.latencies),
            refused=sum(ask.is_refused for ask in load.asks),
            unasked=load.unasked,
            answers_per_second=rate_of(load),
            p50=milliseconds(percentile(load.latencies, 0.5)),
            p50_interval=_interval(load.latencies, 0.5),
            p99=milliseconds(percentile(load.latencies, 0.99)),
            p99_interval=_interval(load.latencies, 0.99),
            worst=milliseconds(max(load.latencies, default=float("nan"))),
            keeps_up=keeps_up(load),
            late_sends=load.late_sends,
            upstream_calls=calls.total() - refused,
            upstream_refused=refused,
            cores_used={name: round(s / watch.seconds, 3) for name, s in watch.used.items()},
            processor_milliseconds={
                name: round(seconds / len(load.asks) * 1000, 2)
                for name, seconds in watch.used.items()
            },
            cores_strangers=round(watch.strangers / watch.seconds, 3),
            broke=what_broke(load, watch),
            refusals=dict(load.refusals),
        )


def rate_of(load: Load) -> float:
    """Give the right answers a second, from the begin to the last answer."""
    return round(len(load.latencies) / load.seconds, 1) if load.seconds > 0 else 0.0


def milliseconds(seconds: float) -> float:
    """Give milliseconds with one digit after the point."""
    return round(seconds * 1000, 1)


def _interval(values: Sequence[float], share: float) -> tuple[float, float]:
    low, high = interval(values, share, seed=1)
    return milliseconds(low), milliseconds(high)


@contextlib.asynccontextmanager
async def purser_scene(folder: Path, seed: int) -> AsyncIterator[Scene]:
    """Purser with a Telegram and exchanges of its own."""
    async with (
        surroundings() as (simulator, exchanges),
        bots.purser(folder, simulator, exchanges) as bot,
    ):
        yield Scene(bot, simulator, exchanges, seed)


@contextlib.asynccontextmanager
async def baseline_scene(folder: Path, seed: int) -> AsyncIterator[Scene]:
    """The baseline likewise."""
    async with (
        surroundings() as (simulator, exchanges),
        bots.baseline(folder, simulator, exchanges) as bot,
    ):
        yield Scene(bot, simulator, exchanges, seed)


@contextlib.asynccontextmanager
async def surroundings() -> AsyncIterator[tuple[Simulator, FakeExchanges]]:
    """Serve a simulated Telegram and exchanges as far away as real ones."""
    async with fake_exchanges() as exchanges, Simulator() as simulator:
        exchanges.prices = {name: dict(bots.PRICES) for name in ("binance", "kraken")}
        exchanges.delay_seconds = UPSTREAM_DELAY_SECONDS
        exchanges.calls_per_second_max = UPSTREAM_CALLS_PER_SECOND_MAX
        yield simulator, exchanges


def price_jump(scene: Scene) -> None:
    """Let every price rise by a tenth at once."""
    for name, prices in scene.exchanges.prices.items():
        scene.exchanges.prices[name] = {
            symbol: str((Decimal(price) * JUMP).quantize(Decimal(price)))
            for symbol, price in prices.items()
        }


# ms each: processor time of everything, driver included, per update. others: cores strangers used.
COLUMNS = "{:<34} {:>6} {:>7} {:>8} {:>8} {:>9} {:>9} {:>7} {:>7}"
HEADER = COLUMNS.format(
    "load", "users", "updates", "answered", "right/s", "p50 ms", "p99 ms", "ms each", "others"
)


def row(outcome: Outcome) -> str:
    """Write one line of the table under HEADER."""
    return COLUMNS.format(
        f"{outcome.bot}: {outcome.load}"[:34],
        outcome.users,
        outcome.updates,
        outcome.answered,
        f"{outcome.answers_per_second:g}",
        f"{outcome.p50:.0f}",
        f"{outcome.p99:.0f}",
        f"{sum(outcome.processor_milliseconds.values()):.1f}",
        f"{outcome.cores_strangers:.2f}",
    )
