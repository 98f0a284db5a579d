"""What waits for a price in the simulation answers as the real one does."""

from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import pytest
from tests.integration.simulation.test_trading import (
    ALL,
    LIFETIME_SECONDS,
    OFFER,
    STEP_SECONDS,
    USER_OPEN_MAX,
    USERS,
)
from tests.integration.simulation.timeless import timeless
from tests.integration.simulation.two_sides import POOL, AtOnce, TwoSides, drawn, two_sides
from tests.integration.stores import make_claims
from tests.simulation.placement import ShardRow
from tests.simulation.trading import TradingTables
from tests.simulation.trading_adapters import SimulatedDrafts, SimulatedEvents, SimulatedOrders
from tests.simulation.waiting import (
    USER_WAITING_MAX,
    SimulatedAlerts,
    SimulatedResting,
    SimulatedWaiting,
    WaitingTables,
)

from chassis.postgres import Pool
from devbox.database import Database
from kernel.sharding import Claim, ShardKey
from user_worker.domain.resting import Condition, Direction, RestingKind, RestingState
from user_worker.postgres import (
    OrderLimits,
    PostgresAlerts,
    PostgresDrafts,
    PostgresEvents,
    PostgresOrders,
    PostgresResting,
    PostgresWaiting,
)
from user_worker.resting_ports import NewAlert, Reached
from user_worker.trading_ports import StatedQuote

OPERATIONS = 250
LIMITS = OrderLimits(submit_within_seconds=50.0, user_under_way_max=1, shard_under_way_max=2)
LASTS_SECONDS = 36
"""No sum of the steps comes within two seconds of it."""
QUOTE = StatedQuote("BTC", Decimal(101), "USDT", True, 0.0)


class _Sequence:
    """A random sequence of operations under a claim that is at times stale or another shard's."""

    def __init__(self, sides: TwoSides, random: Random, claims: list[Claim], real: Pool) -> None:
        self.sides = sides
        self.answered: set[str] = set()
        self._random = random
        self._claims = claims
        tables = TradingTables(sides.placement, LIFETIME_SECONDS, USER_OPEN_MAX, LIMITS)
        waiting, network = WaitingTables(tables), AtOnce()
        self._tables, self._waiting = tables, waiting
        self._ports: dict[str, tuple[Any, Any]] = {
            "drafts": (
                SimulatedDrafts(network, tables),
                PostgresDrafts(real, LIFETIME_SECONDS, USER_OPEN_MAX),
            ),
            "orders": (SimulatedOrders(network, tables), PostgresOrders(real, LIMITS)),
            "events": (SimulatedEvents(network, tables), PostgresEvents(real)),
            "resting": (
                SimulatedResting(network, waiting),
                PostgresResting(real, USER_WAITING_MAX),
            ),
            "alerts": (SimulatedAlerts(network, waiting), PostgresAlerts(real, USER_WAITING_MAX)),
            "waiting": (SimulatedWaiting(network, waiting), PostgresWaiting(real, LIMITS)),
        }

    async def step(self) -> None:
        """Do one."""
        random = self._random
        claim = random.choice((self._claims[0], self._claims[0], *self._claims))
        user_id, job_id = random.choice(USERS), UUID(int=random.randrange(1000, 1040))
        rows = self._tables.resting
        waits = [one for one in rows if rows[one].state is RestingState.WAITING]
        ids = [*waits, *list(rows)[-5:]] or [user_id]
        order_id = random.choice(ids)
        row = self._tables.resting.get(order_id)
        if row is not None and random.random() < 0.8:
            claim, user_id = self._claims[row.key.shard], row.user_id
        match random.randrange(12):
            case 0 | 1:
                self.sides.pass_time(STEP_SECONDS)
                offer = replace(OFFER, condition=self._condition())
                await self._ask("drafts", "keep", claim, job_id, user_id, offer)
                await self._ask("resting", "of_job", user_id, job_id)
            case 2 | 3 | 4:
                await self._ask("resting", "place", claim, user_id, order_id, "en")
                await self._ask("orders", "accept", claim, user_id, order_id, "en")
            case 5:
                await self._ask("resting", "cancel", claim, user_id, order_id)
                await self._ask("resting", "tell_of", claim, user_id, order_id)
            case 6 | 7:
                await self._ask("waiting", "trigger", claim, sorted({*random.choices(ids, k=3)}))
            case 8:
                await self._alert(claim, user_id)
            case 9:
                await self._ask("waiting", "page", claim, None, ALL)
                await self._ask("waiting", "page", claim, None, 2)
                await self._ask("waiting", "resting", sorted(set(ids)))
                await self._ask("resting", "read", user_id, order_id)
                await self._ask("resting", "waiting", user_id)
                await self._ask("events", "unrelayed", self._claims[:2], ALL)
            case 10:
                await self._ask("waiting", "expired", self._claims[:2])
                await self._ask("waiting", "expire", claim, ALL)
            case _:
                self.sides.pass_time(STEP_SECONDS * random.randint(1, 4))

    def _condition(self) -> Condition:
        random = self._random
        return Condition(
            random.choice(list(RestingKind)),
            random.choice(list(Direction)),
            Decimal(random.randint(90, 110)),
            LASTS_SECONDS,
        )

    async def _alert(self, claim: Claim, user_id: UUID) -> None:
        random = self._random
        ids = list(self._waiting.alerts)[-4:] or [user_id]
        match random.randrange(4):
            case 0:
                await self._ask("alerts", "remove", claim, user_id, random.choice(ids))
                await self._ask("alerts", "waiting", user_id)
            case 1:
                await self._ask("waiting", "reach", claim, [Reached(i, QUOTE) for i in ids[:2]])
            case _:
                new_id = UUID(int=(hash(user_id) << 64) + random.randrange(1, 9))
                below = Direction.AT_OR_BELOW
                new = NewAlert(new_id, "BTC", below, Decimal(random.randint(90, 99)), "en")
                await self._ask("alerts", "set", claim, user_id, new)

    async def _ask(self, port: str, what: str, *arguments: Any) -> None:
        simulated, real = self._ports[port]
        expected, answer = await self.sides.both(
            lambda: getattr(simulated, what)(*arguments),
            lambda: getattr(real, what)(*arguments),
        )
        assert timeless(expected) == timeless(answer), f"{what}{arguments}"
        self.answered.add(f"{what} {bool(answer)}")
        if what == "trigger" and isinstance(answer, dict):
            self.answered |= {"triggered" if seen else "no room" for seen in answer.values()}


@pytest.mark.parametrize("seed", range(2))
async def test_both_sides_give_the_same_answers(database: Database, seed: int) -> None:
    """Also when it triggers twice, under stale claims, and without room."""
    async with two_sides(database) as sides:
        claim = make_claims(database)
        claims = [await claim(0), await claim(1)]
        claims.append(Claim(POOL, 0, claims[0].epoch + 5))
        for newest in claims[:2]:
            row = ShardRow(ShardKey(POOL, newest.shard), None, newest.epoch)
            sides.placement.shards[newest.shard] = row
        sequence = _Sequence(sides, drawn(seed), claims, await sides.pools("purser_worker"))

        for _ in range(OPERATIONS):
            await sequence.step()

    assert {"triggered", "no room", "expire True", "set True", "page True"} <= sequence.answered
