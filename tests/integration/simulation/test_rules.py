"""Plans, copies and freezes in the simulation answer as the real ones do."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from random import Random
from typing import Any
from uuid import UUID

import pytest
from tests.integration.simulation.test_trading import (
    AFTER,
    ALL,
    CHANGES,
    LIFETIME_SECONDS,
    OFFER,
    USER_OPEN_MAX,
    USERS,
)
from tests.integration.simulation.timeless import timeless
from tests.integration.simulation.two_sides import POOL, AtOnce, TwoSides, drawn, two_sides
from tests.integration.stores import make_claims
from tests.simulation.copies import FOLLOWERS_MAX, USER_COPIES_MAX, CopyTables, ended_at
from tests.simulation.copy_adapters import SimulatedCopies, SimulatedShares
from tests.simulation.freezes import FreezeTables, SimulatedFreezes
from tests.simulation.placement import ShardRow
from tests.simulation.plans import USER_PLANS_MAX, PlanTables, SimulatedPlans
from tests.simulation.seeding import at
from tests.simulation.trading import TradingTables
from tests.simulation.trading_adapters import SimulatedDrafts, SimulatedEvents, SimulatedOrders
from tests.simulation.trading_rows import FreezeRow, OrderRow
from tests.simulation.waiting import (
    USER_WAITING_MAX,
    SimulatedResting,
    SimulatedWaiting,
    WaitingTables,
)

from chassis.postgres import Pool
from devbox.database import Database
from kernel.sharding import Claim, ShardKey
from user_worker.domain.freezing import Stopped
from user_worker.domain.orders import Coins, DraftState, OrderState, Refused, Side, Units, Wish
from user_worker.domain.resting import Condition, Direction, RestingKind, RestingState
from user_worker.domain.rules import PATIENCE_SECONDS_MAX, CopyState, Plan, PlanState
from user_worker.postgres import (
    OrderLimits,
    PostgresCopies,
    PostgresDrafts,
    PostgresEvents,
    PostgresFreezes,
    PostgresOrders,
    PostgresPlans,
    PostgresResting,
    PostgresShares,
    PostgresWaiting,
)
from user_worker.rule_ports import DuePlan
from user_worker.trading_ports import Offer

OPERATIONS = 250
LIMITS = OrderLimits(submit_within_seconds=50.0, user_under_way_max=3, shard_under_way_max=5)
PERIOD_SECONDS = 100
FRESH_SECONDS, BACK_SECONDS = 60.0, 25.0
MARGIN = timedelta(seconds=1.5)
"""Nothing is asked so shortly before or after a moment that decides: how busy the machine is must
decide nothing.
"""
INSUFFICIENT = replace(CHANGES[5], step="hold", refused=Refused.INSUFFICIENT_FUNDS)


def offer_of(symbol: str, side: Side) -> Offer:
    """A purchase or a sale of one unit."""
    base, money = (f"paper:{symbol}", symbol), ("paper:USDT", "USDT")
    given, got = (money, base) if side is Side.BUY else (base, money)
    terms = replace(
        OFFER.terms,
        spend=Coins(*given, Decimal(100 if side is Side.BUY else 1)),
        receive=Coins(*got, Decimal(1)),
        fee=Coins(*got, Decimal("0.01")),
    )
    return replace(OFFER, wish=Wish(side, symbol, Units(Decimal(1))), terms=terms)


class _Sequence:
    """A random sequence of operations under a claim that is at times stale or another shard's."""

    def __init__(self, sides: TwoSides, random: Random, claims: list[Claim], real: Pool) -> None:
        self.sides = sides
        self.answered: set[str] = set()
        self._random = random
        self._claims = claims
        self._homes = {USERS[0]: claims[0], USERS[1]: claims[1], USERS[2]: claims[1]}
        tables = TradingTables(sides.placement, LIFETIME_SECONDS, USER_OPEN_MAX, LIMITS)
        self._tables, self._waiting = tables, WaitingTables(tables)
        self._plans = PlanTables(tables, LIFETIME_SECONDS)
        self._copies = CopyTables(tables, LIFETIME_SECONDS, FRESH_SECONDS)
        freezes, network = FreezeTables(self._plans, self._copies), AtOnce()
        self._ports: dict[str, tuple[Any, Any]] = {
            "drafts": (
                SimulatedDrafts(network, tables),
                PostgresDrafts(real, LIFETIME_SECONDS, USER_OPEN_MAX),
            ),
            "orders": (SimulatedOrders(network, tables), PostgresOrders(real, LIMITS)),
            "events": (SimulatedEvents(network, tables), PostgresEvents(real)),
            "resting": (
                SimulatedResting(network, self._waiting),
                PostgresResting(real, USER_WAITING_MAX),
            ),
            "waiting": (SimulatedWaiting(network, self._waiting), PostgresWaiting(real, LIMITS)),
            "plans": (
                SimulatedPlans(network, self._plans),
                PostgresPlans(real, LIMITS, LIFETIME_SECONDS, USER_PLANS_MAX),
            ),
            "shares": (SimulatedShares(network, self._copies), PostgresShares(real)),
            "copies": (
                SimulatedCopies(network, self._copies),
                PostgresCopies(
                    real,
                    LIMITS,
                    offer_lifetime_seconds=LIFETIME_SECONDS,
                    user_copies_max=USER_COPIES_MAX,
                    followers_max=FOLLOWERS_MAX,
                    fresh_seconds=FRESH_SECONDS,
                ),
            ),
            "freezes": (SimulatedFreezes(network, freezes), PostgresFreezes(real)),
        }

    async def step(self) -> None:
        """Do one."""
        self._pass_time(MARGIN.total_seconds())
        random = self._random
        user_id, job_id = random.choice(USERS), UUID(int=random.getrandbits(48))
        if self._tables.frozen and random.random() < 0.5:
            user_id = random.choice(list(self._tables.frozen))
        claim = self._homes[user_id]
        if random.random() < 0.05:
            claim = random.choice(self._claims)
        match random.randrange(20):
            case 0 | 1 | 2:
                await self._order(claim, user_id, job_id)
            case 3 | 4 | 5:
                await self._record()
            case 6 | 7:
                await self._plan(claim, user_id, job_id)
            case 8 | 9:
                await self._run()
            case 10 | 11 | 12:
                share_or_copy = random.choice((self._share, self._copy, self._copy))
                await share_or_copy(claim, user_id, job_id)
            case 13 | 14 | 15:
                await self._take()
                if random.random() < 0.3:
                    await self._ask("copies", "pass_over", self._claims)
            case 16:
                await self._freeze(claim, user_id, job_id)
            case 17:
                await self._read(user_id)
            case _:
                self._pass_time(8.0 * random.randint(1, 3))

    def _pass_time(self, seconds: float) -> None:
        self.sides.pass_time(seconds)
        now = at(self.sides.now)
        while any(abs(moment - now) < MARGIN for moment in self._moments()):
            self.sides.pass_time(1.0)
            now = at(self.sides.now)

    def _moments(self) -> Iterator[datetime]:
        """Whatever is decided by the time."""
        for draft in self._tables.drafts.values():
            if draft.draft.state is DraftState.OPEN:
                yield draft.draft.expires_at
        for order in self._tables.under_way.values():
            yield order.order.submit_before
        for filled in self._tables.filled.values():
            for one in filled[-20:]:
                yield ended_at(one) + timedelta(seconds=FRESH_SECONDS)
                yield ended_at(one) + timedelta(seconds=BACK_SECONDS)
        for copy in self._copies.rows.values():
            if copy.copy.state is CopyState.OFFERED:
                yield copy.copy.expires_at
        patience = timedelta(seconds=min(PERIOD_SECONDS / 2, PATIENCE_SECONDS_MAX))
        period, now = timedelta(seconds=PERIOD_SECONDS), at(self.sides.now)
        for plan in (row.plan for row in self._plans.rows.values()):
            if plan.state is PlanState.OFFERED:
                yield plan.expires_at
            elif plan.state in (PlanState.ACTIVE, PlanState.PAUSED) and plan.next_at is not None:
                yield plan.next_at + patience
                # Of a plan that waits for long, also when it would have been due by now.
                yield plan.next_at + max(0, round((now - plan.next_at) / period)) * period

    async def _order(self, claim: Claim, user_id: UUID, job_id: UUID) -> None:
        random = self._random
        offer = offer_of(random.choice(("BTC", "ETH")), random.choice((Side.BUY, Side.SELL)))
        if random.random() < 0.2:
            condition = Condition(RestingKind.STOP, Direction.AT_OR_BELOW, Decimal(90), 5000)
            offer = replace(offer, condition=condition)
        await self._ask("drafts", "keep", claim, job_id, user_id, offer)
        draft_id = self._tables.of_jobs.get(job_id)
        if draft_id is None or random.random() < 0.2:
            return
        await self._ask("orders", "accept", claim, user_id, draft_id, "en")
        await self._ask("resting", "place", claim, user_id, draft_id, "en")
        if random.random() < 0.4:
            await self._ask("waiting", "trigger", claim, [draft_id])

    async def _trade(self, user_id: UUID) -> None:
        """A user buys or sells."""
        claim, job_id = self._homes[user_id], UUID(int=self._random.getrandbits(48))
        offer = offer_of(self._random.choice(("BTC", "ETH")), self._random.choice(list(Side)))
        await self._ask("drafts", "keep", claim, job_id, user_id, offer)
        draft_id = self._tables.of_jobs.get(job_id)
        if draft_id is not None:
            await self._ask("orders", "accept", claim, user_id, draft_id, "en")
            await self._carry_on(self._tables.orders[draft_id])
            self._pass_time(MARGIN.total_seconds())

    async def _record(self) -> None:
        """Carry an order on, mostly to its end."""
        if not self._tables.under_way:
            return
        await self._carry_on(self._random.choice(list(self._tables.under_way.values())))

    async def _carry_on(self, row: OrderRow) -> None:
        claim = self._claims[row.key.shard]
        while not row.order.state.is_final and self._random.random() < 0.9:
            may_follow = [change for change in CHANGES if change.state in AFTER[row.order.state]]
            change = may_follow[0 if self._random.random() < 0.93 else -1]
            if row.order.state is OrderState.ACCEPTED and change.state is OrderState.REJECTED:
                change = INSUFFICIENT
            await self._ask("orders", "record", claim, row.order, change, nobody_waits=True)

    async def _plan(self, claim: Claim, user_id: UUID, job_id: UUID) -> None:
        random, plans = self._random, list(self._plans.rows)
        if len(plans) < 4 or random.random() < 0.5:
            runs_max = random.choice((None, None, 2, 6))
            terms = (OFFER.wish, 100, PERIOD_SECONDS, runs_max)
            await self._ask("plans", "offer", claim, job_id, user_id, *terms)
            await self._ask("plans", "of_job", user_id, job_id)
            plan_id = self._plans.of_jobs.get(job_id)
            if plan_id is not None and random.random() < 0.8:
                await self._ask("plans", "confirm", claim, user_id, plan_id, "de")
            return
        row = self._plans.rows[random.choice(plans)]
        if random.random() < 0.8:
            claim, user_id = self._claims[row.key.shard], row.plan.user_id
        what = random.choice(("pause", "pause", "resume", "resume", "cancel", "confirm"))
        more = ("de",) if what == "confirm" else ()
        await self._ask("plans", what, claim, user_id, row.plan.plan_id, *more)

    async def _run(self) -> None:
        live = [c for c in self._claims if self.sides.placement.is_newest(c)]
        await self._ask("plans", "due", live, self._random.choice((ALL, 1)))
        for due in self._plans.due(live, ALL):
            if self._random.random() < 0.1:
                await self._ask("plans", "skip", due, self._random.choice((None, *Refused)))
            else:
                stale = replace(due, claim=self._random.choice(self._claims))
                await self._ask("plans", "run", stale, OFFER)
                await self._ask("plans", "run", due, OFFER)
                for row in self._tables.by_rule.get(due.plan.plan_id, ())[-1:]:
                    if row.order.state is OrderState.ACCEPTED and self._random.random() < 0.6:
                        claim = self._claims[row.key.shard]
                        change = (claim, row.order, INSUFFICIENT)
                        await self._ask("orders", "record", *change, nobody_waits=True)

    async def _share(self, claim: Claim, user_id: UUID, _job_id: UUID) -> None:
        if self._random.random() < 0.15:
            await self._ask("shares", "stop", claim, user_id)
        else:
            await self._ask("shares", "share", claim, user_id)
        await self._ask("shares", "of_user", self._random.choice(USERS))

    async def _copy(self, claim: Claim, user_id: UUID, job_id: UUID) -> None:
        random, copies = self._random, list(self._copies.rows)
        if copies and random.random() < 0.1:
            await self._ask("copies", "end", claim, user_id, random.choice(copies))
            return
        codes = [row.code for row in self._copies.shares.values()] or ["0000-0000"]
        terms = (random.choice(codes), Decimal(50), 100)
        await self._ask("copies", "offer", claim, job_id, user_id, *terms)
        await self._ask("copies", "of_job", user_id, job_id)
        copy_id = self._copies.of_jobs.get(job_id)
        if copy_id is None and copies:
            copy_id = random.choice(copies)
        if copy_id is not None and random.random() < 0.9:
            await self._ask("copies", "confirm", claim, user_id, copy_id, "de")

    async def _take(self) -> None:
        random, claims = self._random, self._claims[:2]
        for row in list(self._copies.active.values())[:1]:
            await self._trade(row.copy.leader_id)
        back_seconds = random.choice((BACK_SECONDS, float("inf")))
        trades = self._copies.to_take(claims, back_seconds, ALL)
        await self._ask("copies", "to_take", claims, back_seconds, random.choice((ALL, 1)))
        for trade in trades[: random.choice((1, 4))]:
            if trade.side is Side.SELL:
                await self._ask("copies", "stakes", trade)
            if random.random() < 0.2:
                reason = random.choice((None, Refused.TOO_SMALL))
                await self._ask("copies", "skip", trade, reason)
                continue
            offer = offer_of(trade.symbol, trade.side)
            stale = replace(trade, claim=random.choice(self._claims))
            await self._ask("copies", "take", stale, offer)
            await self._ask("copies", "take", trade, offer)

    async def _freeze(self, claim: Claim, user_id: UUID, job_id: UUID) -> None:
        frozen = self._tables.frozen.get(user_id)
        if frozen is None:
            if self._random.random() < 0.2:
                await self._ask("freezes", "freeze", claim, job_id, user_id)
                await self._ask("freezes", "freeze", claim, job_id, user_id)
        else:
            freeze_id = self._random.choice((job_id, frozen.job_id, frozen.job_id))
            if self._random.random() < 0.2:
                await self._ask("freezes", "freeze", claim, freeze_id, user_id)
            await self._ask("freezes", "thaw", self._claims[frozen.key.shard], user_id, freeze_id)
        await self._ask("freezes", "frozen_since", user_id)
        await self._ask("freezes", "standing", user_id)

    async def _read(self, user_id: UUID) -> None:
        claims = self._claims[:2]
        await self._ask("plans", "of_user", user_id)
        await self._ask("copies", "of_user", user_id)
        await self._ask("resting", "waiting", user_id)
        await self._ask("orders", "newest", user_id, ALL)
        await self._ask("orders", "under_way", claims, ALL)
        await self._ask("events", "unrelayed", claims, ALL)
        for claim in claims:
            await self._tell_relayed(claim)

    async def _tell_relayed(self, claim: Claim) -> None:
        """Mark all events of a shard, whose notes have ids of their own on either side."""
        for port in self._ports["events"]:
            ids = [event.event_id for event in await port.unrelayed([claim], ALL)]
            await port.mark_relayed(claim, ids)

    async def _ask(self, port: str, what: str, *arguments: Any, **named: Any) -> None:
        simulated, real = self._ports[port]
        expected, answer = await self.sides.both(
            lambda: getattr(simulated, what)(*arguments, **named),
            lambda: getattr(real, what)(*arguments, **named),
        )
        assert timeless(expected) == timeless(answer), f"{what}{arguments}{named}"
        if what == "to_take":
            orders = [[trade.leader_order_id for trade in side] for side in (expected, answer)]
            assert orders[0] == orders[1], "another order"
        for one, other in zip(_nexts(expected), _nexts(answer), strict=True):
            assert abs(one + self.sides.behind - other) < MARGIN / 2, f"{what}{arguments}"
        self.answered.add(f"{what} {_name_of(answer)}")


def _nexts(answer: Any) -> list[datetime]:
    """When the plans of an answer are due, in the order of their ids."""
    found = answer if isinstance(answer, list) else [answer]
    plans = [one.plan if isinstance(one, DuePlan) else one for one in found]
    plans = sorted((p for p in plans if isinstance(p, Plan)), key=lambda plan: plan.plan_id)
    return [plan.next_at for plan in plans if plan.next_at is not None]


def _name_of(answer: Any) -> str:
    if isinstance(answer, Enum):
        return str(answer.value)
    if isinstance(answer, str):
        return answer
    return str(bool(answer)) if isinstance(answer, list | int | None) else type(answer).__name__


MET = {
    "run Seen",
    "run gone",
    "run no-room",
    "run paused",
    "run ClaimLost",
    "skip True",
    "due True",
    "confirm TooMany",
    "confirm Copy",
    "confirm Plan",
    "offer Refusal",
    "offer own-code",
    "offer copied-already",
    "offer unknown-code",
    "take Seen",
    "take gone",
    "to_take True",
    "stakes Stakes",
    "stakes False",
    "pass_over True",
    "freeze Frozen",
    "thaw True",
    "thaw False",
    "keep Refusal",
}


@pytest.mark.parametrize("seed", [39, 55])
async def test_both_sides_give_the_same_answers(database: Database, seed: int) -> None:
    """Also under stale claims, for runs and trades that were dealt with, and while frozen."""
    async with two_sides(database) as sides:
        sequence = await _begin(sides, database, seed)

        for _ in range(OPERATIONS):
            await sequence.step()

    assert set() == MET - sequence.answered


async def test_both_sides_refuse_an_order_that_forgot_to_ask(database: Database) -> None:
    """The trigger on orders, should a freeze have left something that waits."""
    async with two_sides(database) as sides:
        sequence = await _begin(sides, database, 0)
        (user_id, claim), job_id = next(iter(sequence._homes.items())), UUID(int=1)
        condition = Condition(RestingKind.STOP, Direction.AT_OR_BELOW, Decimal(90), 5000)
        await sequence._ask(
            "drafts", "keep", claim, job_id, user_id, replace(OFFER, condition=condition)
        )
        order_id = sequence._tables.of_jobs[job_id]
        await sequence._ask("resting", "place", claim, user_id, order_id, "en")
        sequence._tables.frozen[user_id] = FreezeRow(job_id, claim.key, Stopped(), sides.now)
        await sides.owner.execute(
            "INSERT INTO worker.freezes (user_id, pool, shard, job_id, stopped)"
            " VALUES ($1, $2, $3, $4, '{}')",
            *(user_id, claim.pool, claim.shard, job_id),
        )

        await sequence._ask("waiting", "trigger", claim, [order_id])

        assert {"trigger RestrictViolationError"} <= sequence.answered
        assert RestingState.WAITING is sequence._tables.resting[order_id].state


async def _begin(sides: TwoSides, database: Database, seed: int) -> _Sequence:
    claim = make_claims(database)
    claims = [await claim(0), await claim(1)]
    claims.append(Claim(POOL, 0, claims[0].epoch + 5))
    for newest in claims[:2]:
        row = ShardRow(ShardKey(POOL, newest.shard), None, newest.epoch)
        sides.placement.shards[newest.shard] = row
    return _Sequence(sides, drawn(seed), claims, await sides.pools("purser_worker"))
