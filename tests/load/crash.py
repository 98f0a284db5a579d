"""What the death of a process in the middle of a load costs: messages, orders, silence."""

import asyncio
from collections import Counter
from itertools import pairwise

import msgspec
from tests.load import bots
from tests.load.bots import Purchases
from tests.load.crowd import FIRST_USER, Load
from tests.load.mix import PURCHASES, Kind
from tests.load.schedule import steady
from tests.load.stage import DRAIN_SECONDS, Scene

CRASH_AFTER_SECONDS = 6.0
LOAD_SECONDS = 18.0
TIMELINE_SECONDS = 30


class Crash(msgspec.Struct, frozen=True, kw_only=True):
    """What one crash cost."""

    bot: str
    killed: str
    updates: int
    updates_lost: int
    """Never answered, though the bot came back."""
    answered_twice: int
    orders: int
    """Confirmed by a press that Telegram took."""
    orders_refused: int
    """Told to the user as not done, and not in the books."""
    orders_lost: int
    """Neither in the books nor refused."""
    orders_misreported: int
    """Told otherwise than the books have it."""
    orders_doubled: int
    silent_seconds: float
    """The longest time without an answer to anybody."""
    slowest_seconds: float
    """The longest that somebody waited who was answered."""
    timeline: list[int]
    """Answers in each second from the load's begin."""


async def crash(scene: Scene, process: str, updates_per_second: float, seed: int) -> Crash:
    """Kill a process in the middle of purchases, as the kernel's memory killer would."""
    before = await scene.bot.purchases()
    schedule = steady(scene.users, updates_per_second, LOAD_SECONDS, PURCHASES, seed)
    killing = asyncio.create_task(_kill(scene, process))
    load = await scene.crowd.load(schedule, DRAIN_SECONDS)
    await killing
    # What was said of an order is one thing, what was done another: the books are asked.
    bought = await scene.bot.purchases() - before
    orders = count_orders(load, bought)
    return Crash(
        bot=scene.bot.name,
        killed=process,
        updates=len(load.asks),
        updates_lost=len(load.unanswered),
        answered_twice=load.unasked,
        orders=orders.total(),
        orders_refused=orders["refused"],
        orders_lost=orders["lost"],
        orders_misreported=orders["misreported"],
        orders_doubled=orders["doubled"],
        silent_seconds=round(silence(load), 2),
        slowest_seconds=round(max(load.latencies, default=float("nan")), 2),
        timeline=timeline(load),
    )


async def _kill(scene: Scene, process: str) -> None:
    await asyncio.sleep(CRASH_AFTER_SECONDS)
    bots.kill(scene.bot, process)


def count_orders(load: Load, bought: Purchases) -> Counter[str]:
    """Count the confirmed orders by what became of them, each once. Pure."""
    counts: Counter[str] = Counter()
    for ask in load.asks:
        if ask.kind is not Kind.CONFIRM:
            continue
        times = bought[FIRST_USER + ask.user, ask.worth.normalize()]
        is_told = ask.answered is not None
        if times > 1:
            counts["doubled"] += 1
        elif is_told and ask.is_refused == bool(times):
            counts["misreported"] += 1
        elif times:
            counts["done"] += 1
        else:
            counts["refused" if is_told else "lost"] += 1
    return counts


def silence(load: Load) -> float:
    """Give the longest time between two answers that follow one another. Pure."""
    times = sorted(ask.answered for ask in load.asks if ask.answered is not None)
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


def timeline(load: Load) -> list[int]:
    """Count the answers of each second. Pure."""
    counts = Counter(int(ask.answered - load.began) for ask in load.asks if ask.answered)
    return [counts[second] for second in range(TIMELINE_SECONDS)]
