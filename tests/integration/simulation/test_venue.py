"""The simulation's venue answers, and ends up, as the real paper venue does."""

from collections.abc import Sequence
from dataclasses import astuple
from decimal import Decimal
from random import Random
from uuid import UUID

import msgspec
import pytest
from tests.integration.paper_venue.conftest import settings_for, venue_on
from tests.integration.simulation.made_orders import order_of
from tests.integration.simulation.two_sides import (
    POOL,
    Asked,
    AtOnce,
    TwoSides,
    drawn,
    take_shard,
    two_sides,
)
from tests.simulation.seeding import at
from tests.simulation.venue import INSTRUMENTS, STARTS, Market, SimulatedVenue, VenueTables

from devbox.database import Database
from kernel.sharding import Claim
from pricing.domain import Quote
from user_worker.clients import VenueClient
from user_worker.domain.orders import Order, Refused, Side
from user_worker.domain.sizing import Asset, Question

OPERATIONS = 350
TIMEOUT_SECONDS = 20
USERS = [UUID(int=n + 1) for n in range(4)]
HOMES = (0, 0, 1, 1)
ORDERS = [UUID(int=1000 + n) for n in range(90)]
AT_ONCE = 8
"""Orders that are asked about at the same time: a first outcome stays, so there must be new ones
all along."""
DECIMALS = {"USDT": 6, "BTC": 8, "ETH": 18, "NONE": 8}
SYMBOLS = ("BTC", "BTC", "BTC", "ETH", "ETH", "NONE")
"""NONE is what nobody trades."""
SPENDS = {
    "USDT": ("100", "20", "250.5", "2500.25", "70000", "0.5", "2000000", "0.0000001"),
    "BTC": ("0.01", "0.2", "0.5", "3.00000001", "0.00000001", "30", "0.000000001"),
    "ETH": ("0.2", "1.000000000000000001", "0.0000001", "900"),
    "NONE": ("10",),
}
MOVED = ("0.5", "0.9", "0.98", "0.999", "1.01")
"""How much of what an order brought at the first price is the least it may bring."""
STATE = """
    SELECT order_id, pool, shard, state, refusal,
           CASE state WHEN 'filled' THEN spend_asset_id END, spent,
           CASE state WHEN 'filled' THEN receive_asset_id END, received,
           fee, price, fingerprint
    FROM venue.orders
"""


class _Market(Market):
    """The simulated prices; at times the newest there is, is too old."""

    behind = 0
    """How many ticks ago the last price came."""

    def tick(self) -> int:
        """The number of the last price that came."""
        return max(0, super().tick() - self.behind)


class _Quotes:
    """The simulated prices as the quote side of the real venue."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def latest(self, symbols: Sequence[str]) -> list[Quote]:
        """See pricing's application.Quotes."""
        quotes = map(self._market.quote, symbols)
        return [quote for quote in quotes if quote is not None]


def _state(tables: VenueTables) -> set[tuple[object, ...]]:
    """The simulated rows as `STATE` reads the real ones."""
    rows = set()
    for order_id, kept in tables.orders.items():
        outcome, fill = kept.outcome, kept.outcome.fill
        done: tuple[object, ...] = (None,) * 6
        if fill is not None:
            spent, received = fill.spent, fill.received
            done = (*astuple(spent), *astuple(received), fill.fee.value, fill.price)
        refusal = None if outcome.refusal is None else outcome.refusal.value
        mark = kept.fingerprint
        rows.add(
            (order_id, kept.key.pool, kept.key.shard, outcome.state.value, refusal, *done, mark)
        )
    return rows


class _Sequence:
    """A random sequence of what a worker asks a venue."""

    def __init__(
        self, sides: TwoSides, random: Random, claims: list[Claim], market: _Market
    ) -> None:
        self.tables = VenueTables(sides.placement, market)
        self.simulated = SimulatedVenue(AtOnce(), self.tables)
        self._sides = sides
        self._random = random
        self._claims = claims
        """The newest of each shard, then those that are not."""
        self._market = market

    async def step(self, asked: Asked, database: Database, done: float) -> None:
        """Do one; `done` is the share of the sequence that was done before."""
        random = self._random
        place = int(done * (len(ORDERS) - AT_ONCE)) + random.randrange(AT_ONCE)
        who = place % len(USERS) if random.random() < 0.9 else random.randrange(len(USERS))
        claim = self._claims[HOMES[who]]
        if random.random() < 0.2:
            claim = random.choice(self._claims)
        order = self._order(ORDERS[place], USERS[who])
        match random.randrange(12):
            case 0 | 1 | 2 | 3 | 4 | 5:
                await asked.ask("venue", "submit", claim, order)
            case 6 | 7:
                await asked.ask("venue", "inquire", order)
            case 8:
                await asked.ask("venue", "tombstone", claim, order)
            case 9 | 10:
                await self._preview(asked)
            case _:
                self._sides.pass_time(random.uniform(0.5, 20.0))
                self._market.behind = random.choice((0, 0, 0, 9, 12))
                shard = random.randrange(2)
                if random.random() < 0.3:
                    self._claims.append(self._claims[shard])
                    self._claims[shard] = await take_shard(self._sides, database, shard)

    def _order(self, order_id: UUID, user_id: UUID) -> Order:
        """What the order always was, or at times another one under its id."""
        same = Random(order_id.int)
        random = self._random if self._random.random() < 0.1 else same
        side, symbol = random.choice(list(Side)), random.choice(SYMBOLS)
        spend = random.choice(SPENDS["USDT" if side is Side.BUY else symbol])
        price = STARTS.get(symbol, Decimal(1))
        worth = Decimal(spend) / price if side is Side.BUY else Decimal(spend) * price
        least = worth * Decimal(random.choice(MOVED))
        digits = DECIMALS[symbol if side is Side.BUY else "USDT"]
        more = min(18, digits + 1)
        least = round(least, random.choice((digits, digits, digits, digits, more)))
        share = random.choice((None, None, Decimal(1), Decimal(2), Decimal("0.5")))
        most = None if share is None else round(least * share, digits)
        return order_of(order_id, user_id, side, symbol, spend, receive_min=least, receive_max=most)

    async def _preview(self, asked: Asked) -> None:
        random = self._random
        side, symbol = random.choice(list(Side)), random.choice(SYMBOLS)
        names = ("USDT", symbol) if side is Side.BUY else (symbol, "USDT")
        spent, received = (Asset(f"paper:{name}", name, DECIMALS[name]) for name in names)
        if random.random() < 0.5:
            question = Question(spend=Decimal(random.choice(SPENDS[names[0]])))
        else:
            question = Question(receive=Decimal(random.choice(SPENDS[names[1]])))
        await asked.ask("venue", "preview", side, symbol, question, spent, received)


@pytest.mark.parametrize("seed", range(2))
async def test_both_sides_give_the_same_answers(database: Database, seed: int) -> None:
    """Also to orders that come again with other contents, under stale claims, of strangers, at old
    prices, after they were given up; and both have the same rows in the end. The real venue has
    production's terms.
    """
    async with two_sides(database) as sides:
        market = _Market(drawn(seed), lambda: sides.now)
        settings = settings_for(database)
        known = [one for one in settings.venue.venue_instruments if one[:3] in INSTRUMENTS]
        venue = msgspec.structs.replace(settings.venue, venue_instruments=tuple(known))
        settings = msgspec.structs.replace(settings, venue=venue)
        async with venue_on(settings, _Quotes(market), lambda: at(sides.now)) as channel:
            claims = [await take_shard(sides, database, shard) for shard in range(2)]
            claims.append(Claim(POOL, 0, claims[0].epoch + 5))
            sequence = _Sequence(sides, drawn(seed), claims, market)
            real = VenueClient(channel, TIMEOUT_SECONDS)
            asked = Asked(sides, {"venue": (sequence.simulated, real)})

            for number in range(OPERATIONS):
                await sequence.step(asked, database, number / OPERATIONS)

            assert _state(sequence.tables) == set(map(tuple, await sides.owner.fetch(STATE)))
            homes = {(user, key.pool, key.shard) for user, key in sequence.tables.users.items()}
            users = "SELECT user_id, pool, shard FROM venue.users"
            assert homes == set(map(tuple, await sides.owner.fetch(users)))
    met = {f"submit {said}" for said in ("FILLED", "TOMBSTONED", "ClaimLost", "RequestRefused")}
    met |= {f"submit {why.name}" for why in (Refused.PRICE_MOVED, Refused.TOO_LARGE)}
    met |= {"inquire NOT_FOUND", "inquire FILLED", "tombstone FILLED", "tombstone TOMBSTONED"}
    assert set() == met - asked.answered.keys()
