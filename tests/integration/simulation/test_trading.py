"""The simulation's drafts, orders and events answer as the real ones do."""

from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import pytest
from tests.integration.simulation.timeless import timeless
from tests.integration.simulation.two_sides import POOL, AtOnce, TwoSides, drawn, two_sides
from tests.integration.stores import make_claims
from tests.simulation.placement import ShardRow
from tests.simulation.trading import TradingTables
from tests.simulation.trading_adapters import (
    SimulatedAttempts,
    SimulatedDrafts,
    SimulatedEvents,
    SimulatedOrders,
    SimulatedPreferences,
)

from chassis.postgres import Pool
from devbox.database import Database
from kernel.sharding import Claim, ShardKey
from user_worker.domain.carrying_out import Record
from user_worker.domain.orders import (
    Coins,
    Draft,
    Money,
    OrderState,
    Refused,
    Side,
    Wish,
    receipt_of,
)
from user_worker.domain.sizing import Terms
from user_worker.postgres import (
    OrderLimits,
    PostgresAttempts,
    PostgresDrafts,
    PostgresEvents,
    PostgresOrders,
    PostgresPreferences,
)
from user_worker.trading_ports import Offer, Seen

OPERATIONS = 200
ALL = 1000
LIFETIME_SECONDS, SUBMIT_WITHIN_SECONDS, USER_OPEN_MAX = 90.0, 50.0, 2
LIMITS = OrderLimits(
    submit_within_seconds=SUBMIT_WITHIN_SECONDS, user_under_way_max=3, shard_under_way_max=4
)
STEP_SECONDS = 8.0
"""No sum of it comes within two seconds of one of the above: a busy machine decides nothing."""
USERS = [UUID(int=n + 1) for n in range(3)]
OFFER = Offer(
    Wish(Side.BUY, "BTC", Money(Decimal(100))),
    Terms(
        spend=Coins("paper:USDT", "USDT", Decimal(100)),
        receive=Coins("paper:BTC", "BTC", Decimal(1)),
        fee=Coins("paper:BTC", "BTC", Decimal("0.01")),
        receive_min=Decimal("0.9"),
        receive_max=None,
        price=Decimal(100),
    ),
    slippage_basis_points=100,
    is_simulated=True,
)
CHANGES = (
    Record(OrderState.HELD, "hold", "applied"),
    Record(OrderState.SUBMITTED, "submit", "sending"),
    Record(OrderState.EXECUTED, "venue", "filled", Decimal(99), Decimal(1), Decimal("0.01")),
    Record(OrderState.GIVEN_UP, "venue", "tombstoned", refused=Refused.TOO_LATE),
    Record(OrderState.FILLED, "post", "applied"),
    Record(OrderState.REJECTED, "void", "applied", refused=Refused.TOO_LATE),
)
AFTER = {
    OrderState.ACCEPTED: (OrderState.HELD, OrderState.REJECTED),
    OrderState.HELD: (OrderState.SUBMITTED, OrderState.GIVEN_UP),
    OrderState.SUBMITTED: (OrderState.EXECUTED, OrderState.GIVEN_UP),
    OrderState.EXECUTED: (OrderState.FILLED,),
    OrderState.GIVEN_UP: (OrderState.REJECTED,),
    OrderState.FILLED: (),
    OrderState.REJECTED: (),
}


class _Sequence:
    """A random sequence of operations under a claim that is at times stale or another shard's."""

    def __init__(self, sides: TwoSides, random: Random, claims: list[Claim], real: Pool) -> None:
        self.sides = sides
        self.answered: set[str] = set()
        self._random = random
        self._claims = claims
        tables = TradingTables(sides.placement, LIFETIME_SECONDS, USER_OPEN_MAX, LIMITS)
        self._tables = tables
        network = AtOnce()
        self._ports = {
            "drafts": (
                SimulatedDrafts(network, tables),
                PostgresDrafts(real, LIFETIME_SECONDS, USER_OPEN_MAX),
            ),
            "orders": (SimulatedOrders(network, tables), PostgresOrders(real, LIMITS)),
            "events": (SimulatedEvents(network, tables), PostgresEvents(real)),
            "attempts": (SimulatedAttempts(network, tables), PostgresAttempts(real)),
            "preferences": (SimulatedPreferences(network, tables), PostgresPreferences(real)),
        }

    async def step(self) -> None:
        """Do one."""
        random = self._random
        claim = random.choice((self._claims[0], self._claims[0], *self._claims))
        user_id = random.choice(USERS)
        draft_id = self._draft_id(user_id)
        job_id = UUID(int=random.randrange(1000, 1040))
        match random.randrange(24):
            case 0 | 1 | 2:
                self.sides.pass_time(STEP_SECONDS)
                await self._ask("drafts", "keep", claim, job_id, user_id, OFFER)
                await self._ask("drafts", "of_job", user_id, job_id)
            case 3:
                await self._ask("drafts", "cancel", claim, user_id, draft_id)
            case 4:
                if random.random() < 0.3:
                    await self._ask("drafts", "cancel_open", claim, user_id)
                await self._ask("drafts", "read", user_id, draft_id)
            case 5 | 6 | 7:
                await self._ask("orders", "accept", claim, user_id, draft_id, "en")
            case 12:
                what = random.choice(("tell_later", "look"))
                order_id = random.choice([draft_id, *self._tables.orders])
                arguments = (order_id,) if what == "look" else (claim, order_id)
                await self._ask("orders", what, *arguments)
                await self._ask("orders", "tell_of", claim, user_id, order_id)
            case 13:
                live = [c for c in self._claims if self.sides.placement.is_newest(c)]
                await self._ask("orders", "under_way", live, ALL)
                await self._ask("events", "unrelayed", live, ALL)
                await self._ask("orders", "newest", user_id, ALL)
                await self._ask("orders", "of_receipt", user_id, receipt_of(draft_id))
                if self._tables.untold:
                    some = random.choice(list(self._tables.untold))
                    await self._ask("events", "mark_relayed", claim, [some])
            case 14:
                await self._ask("attempts", random.choice(("begin", "forgive")), claim, job_id)
                await self._ask("preferences", "language", user_id)
                await self._ask("preferences", "slippage_basis_points", user_id)
                await self._choose(claim, user_id)
            case 15:
                self.sides.pass_time(STEP_SECONDS * random.randint(1, 3))
            case _:
                await self._record(claim)

    async def _choose(self, claim: Claim, user_id: UUID) -> None:
        match self._random.randrange(8):
            case 0 | 1 | 2:
                await self._ask("preferences", "choose_language", claim, user_id, "de")
            case 3 | 4 | 5:
                await self._ask("preferences", "choose_slippage", claim, user_id, 77)
            case _:
                await self._ask("preferences", "forget", claim, user_id)

    async def _record(self, claim: Claim) -> None:
        """Record what comes next, or what came before, or what never comes."""
        is_open = self._tables.under_way and self._random.random() < 0.8
        rows = self._tables.under_way if is_open else self._tables.orders
        if not rows:
            return
        row = self._random.choice(list(rows.values()))
        order = row.order
        if self._random.random() < 0.7:
            claim = self._claims[row.key.shard]
        if self._random.random() < 0.2:
            order = replace(order, state=self._random.choice(list(OrderState)))
        may_follow = [change for change in CHANGES if change.state in AFTER[order.state]]
        if may_follow:
            change = may_follow[0 if self._random.random() < 0.8 else -1]
            is_alone = self._random.random() < 0.5
            await self._ask("orders", "record", claim, order, change, nobody_waits=is_alone)

    def _draft_id(self, user_id: UUID) -> UUID:
        mine = [row.draft.draft_id for row in self._tables.drafts.values()]
        return self._random.choice(mine[-8:]) if mine else user_id

    async def _ask(self, port: str, what: str, *arguments: Any, **named: Any) -> None:
        simulated, real = self._ports[port]
        expected, answer = await self.sides.both(
            lambda: getattr(simulated, what)(*arguments, **named),
            lambda: getattr(real, what)(*arguments, **named),
        )
        assert timeless(expected) == timeless(answer), f"{what}{arguments}{named}"
        self.answered.add(f"{what} {type(answer).__name__} {answer == 'ClaimLost'}")
        if isinstance(answer, Seen):
            self.answered.add(answer.order.state.value)
        elif isinstance(answer, Draft):
            self.answered.add(f"draft {answer.state.value}")


@pytest.mark.parametrize("seed", [0, 2])
async def test_both_sides_give_the_same_answers(database: Database, seed: int) -> None:
    """Also to stale claims, to late steps and to what was recorded already."""
    async with two_sides(database) as sides:
        claim = make_claims(database)
        claims = [await claim(0), await claim(1)]
        claims.append(Claim(POOL, 0, claims[0].epoch + 5))
        for newest in claims[:2]:
            row = ShardRow(ShardKey(POOL, newest.shard), None, newest.epoch)
            sides.placement.shards[newest.shard] = row
        real = await sides.pools("purser_worker")
        sequence = _Sequence(sides, drawn(seed), claims, real)

        for _ in range(OPERATIONS):
            await sequence.step()

    met = {"filled", "rejected", "draft cancelled", "record str True", "unrelayed list False"}
    assert met <= sequence.answered
