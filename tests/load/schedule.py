"""When users send: an open model. Arrivals are fixed before the first answer comes. Pure.

Each schedule is a list of `Arrival`, ordered by time in seconds from its begin. The same seed gives
the same list.
"""

import math
import random
from dataclasses import dataclass

from tests.load.mix import Kind, Mix

MESSAGES_PER_USER_HOUR = 360.0
"""In the busiest hour an active user sends a message every ten seconds. That is far more than the
few a day of most people: 500 such users stand for many thousands."""

DAY_CURVE = (0.15, 0.1, 0.1, 0.2, 0.4, 0.6, 0.7, 0.8, 0.7, 0.8, 1.0, 0.7)
"""How busy each two hours of a day are, the busiest 1.0: night, morning, an evening peak."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message: when, whose (a number from 0), what about."""

    at: float
    user: int
    kind: Kind


def day(users: int, seconds: float, mix: Mix, seed: int) -> list[Arrival]:
    """Compress a day into some seconds: a Poisson process whose rate follows the day's curve, by
    thinning (Lewis & Shedler 1979); the peak is what `MESSAGES_PER_USER_HOUR` comes to.
    """
    chance = random.Random(seed)
    peak = users * MESSAGES_PER_USER_HOUR / 3600
    arrivals, at = [], 0.0
    while (at := at + chance.expovariate(peak)) < seconds:
        busy = DAY_CURVE[int(at / seconds * len(DAY_CURVE))]
        if chance.random() < busy / max(DAY_CURVE):
            arrivals.append(Arrival(at, chance.randrange(users), mix.draw(chance)))
    return arrivals


def steady(
    users: int, updates_per_second: float, seconds: float, mix: Mix, seed: int
) -> list[Arrival]:
    """Give a Poisson process of an even rate, presses of buttons counted in the rate."""
    chance = random.Random(seed)
    rate = updates_per_second / mix.updates_per_message
    arrivals, at = [], 0.0
    while (at := at + chance.expovariate(rate)) < seconds:
        arrivals.append(Arrival(at, chance.randrange(users), mix.draw(chance)))
    return arrivals


def burst(users: int, mix: Mix, seed: int) -> list[Arrival]:
    """Give one message of everybody at the same moment."""
    chance = random.Random(seed)
    order = chance.sample(range(users), users)
    return [Arrival(0.0, user, mix.draw(chance)) for user in order]


def first_contacts(users: range, per_second: float) -> list[Arrival]:
    """Give the first `/start` of each of these users, evenly spread."""
    return [Arrival(number / per_second, user, Kind.START) for number, user in enumerate(users)]


def rates_up_to(highest: float) -> list[float]:
    """Give rates to try, each about a third above the last, from 25/s to `highest`."""
    count = max(0, math.floor(math.log(highest / 25) / math.log(4 / 3) + 1e-9))
    return [round(25 * (4 / 3) ** step) for step in range(count + 1)]
