"""Workers and stores that are wrong on purpose: each must make the simulation fail. What none of
these would catch, the simulation does not check.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tests.simulation.copies import CopyTables
from tests.simulation.copy_adapters import SimulatedCopies
from tests.simulation.freezes import FreezeTables, SimulatedFreezes
from tests.simulation.gateway import GatewayTables
from tests.simulation.ledger import LedgerTables, SimulatedLedger
from tests.simulation.network import Network
from tests.simulation.placement import PlacementTables, ShardRow
from tests.simulation.plans import PlanTables, SimulatedPlans
from tests.simulation.rule_checking import (
    COPIED_IN_TIME,
    COPIED_ONCE,
    DERIVED,
    FROZEN,
    RUN_IN_TIME,
    RUN_ONCE,
    SURVIVES,
    TOLD,
)
from tests.simulation.ruled_orders import order_by_rule
from tests.simulation.run import CALM_SECONDS_MAX, Parts
from tests.simulation.seeding import at
from tests.simulation.trading import TradingTables
from tests.simulation.waiting import SimulatedWaiting, WaitingTables

from kernel.identifiers import new_uuid7
from kernel.sharding import Claim
from ledger.domain.operations import Action, Answer
from purser.ledger.v1 import ledger_pb2
from shard_operator import controller
from shard_operator.scaling import ScalingDecision
from shard_operator.status import Observation
from user_worker.application import copying
from user_worker.application.shards import OwnedShard, Shards
from user_worker.domain.carrying_out import (
    Answer as Answered,
)
from user_worker.domain.carrying_out import (
    Ask,
    BooksSaid,
    Fresh,
    Record,
    Step,
    VenueSaid,
    VenueState,
    next_step,
)
from user_worker.domain.freezing import Frozen
from user_worker.domain.orders import Order, OrderState, Refusal, Refused, Rule
from user_worker.domain.resting import RestingState
from user_worker.domain.rules import Copy, CopyProblem, Plan, Stakes, TooMany
from user_worker.domain.triggers import Watch
from user_worker.rule_ports import DuePlan, Held, LeaderTrade, Ruled
from user_worker.trading_ports import Offer, Seen


class NoFence(PlacementTables):
    """Stores that take every claim's word."""

    def fence(self, claim: Claim) -> None:
        """Refuse nothing."""
        self.written(claim)

    def is_newest(self, claim: Claim) -> bool:
        """Believe everybody."""
        return claim.shard in self.shards


class ClaimsOfTheLiving(PlacementTables):
    """A claim that does not look at the owner's lease."""

    def is_free(self, row: ShardRow) -> bool:
        """Every shard is."""
        return True


def everybody_registered(
    seen: Observation, decision: ScalingDecision | None
) -> tuple[list[str], list[str]]:
    """Take every worker that ever registered for one that lives."""
    names = [] if seen.placement is None else [worker.name for worker in seen.placement.workers]
    return names, []


class HighWaterMark(GatewayTables):
    """An inbox that knows only the highest update id it has seen."""

    def is_new(self, update_id: int) -> bool:
        """Take a lower id for one that was seen."""
        return update_id > max(self.seen, default=0)


class NoDedupe(GatewayTables):
    """An inbox that takes what is sent again for something new."""

    def is_new(self, update_id: int) -> bool:
        """Everything is."""
        return True


class NoKeys(LedgerTables):
    """Books that forget the idempotency keys."""

    def apply(self, claim: Claim, key: str, action: Action) -> Answer:
        """Apply it whatever was applied before."""
        self.keys.clear()
        return super().apply(claim, key, action)


class TriggersAgain(WaitingTables):
    """A trigger that does not ask whether the order still waits."""

    def trigger(self, claim: Claim, order_ids: Sequence[UUID]) -> dict[UUID, Seen | None]:
        """Take all of them for waiting."""
        for row in map(self.trading.resting.get, order_ids):
            if row is not None:
                row.state = RestingState.WAITING
        return super().trigger(claim, order_ids)


class ReadsNoWatches(SimulatedWaiting):
    """An owner that watches only what is placed while it owns the shard."""

    async def page(
        self, claim: Claim, after: UUID | None, count_max: int
    ) -> tuple[Sequence[Watch], UUID | None]:
        """Find nothing."""
        return [], None


class RunsApart(SimulatedPlans):
    """A worker that counts a run in another transaction than its order."""

    async def run(self, due: DuePlan, offer: Offer) -> Seen | Held:
        """Order, and count later."""
        plans, plan = self._plans, due.plan
        ruled = Ruled(plan.user_id, new_uuid7(), due.language)
        ordered_by = (Rule.PLAN, plan.plan_id)
        seen = await self._call(
            "record an order",
            lambda: order_by_rule(plans.trading, due.claim, ruled, ordered_by, offer),
        )
        await self._call("record a run", lambda: plans.advance(due, plans.rows[plan.plan_id]))
        return seen or Held.NO_ROOM


class RunsOfOnesOwn(SimulatedPlans):
    """A worker that remembers the plans it was told of and reads no others."""

    def __init__(self, network: Network, plans: PlanTables) -> None:
        super().__init__(network, plans)
        self._known: set[UUID] = set()

    async def confirm(
        self, claim: Claim, user_id: UUID, plan_id: UUID, language: str
    ) -> Plan | TooMany | Refusal | None:
        """Remember it."""
        self._known.add(plan_id)
        return await super().confirm(claim, user_id, plan_id, language)

    async def due(self, claims: Sequence[Claim], count_max: int) -> Sequence[DuePlan]:
        """Find what is remembered."""
        return [
            one for one in await super().due(claims, count_max) if one.plan.plan_id in self._known
        ]


class MarksApart(SimulatedCopies):
    """A worker that marks a trade in another transaction than the order that copies it."""

    async def take(self, trade: LeaderTrade, offer: Offer) -> Seen | Held:
        """Order, and mark later."""
        tables, copy = self._copies, trade.copy
        row = tables.rows[copy.copy_id]
        ruled = Ruled(copy.user_id, tables.cause_of(trade), trade.language)
        ordered_by = (Rule.COPY, copy.copy_id)
        seen = await self._call(
            "record an order",
            lambda: order_by_rule(tables.trading, trade.claim, ruled, ordered_by, offer),
        )
        await self._call(
            "record a mark", lambda: tables.mark(row, trade.leader_order_id, "ordered")
        )
        return seen or Held.NO_ROOM


class DrawnCauses(CopyTables):
    """Copies whose orders have causes nobody can find again."""

    def cause_of(self, trade: LeaderTrade) -> UUID:
        """Draw one."""
        return new_uuid7()


class CopiesOfOnesOwn(SimulatedCopies):
    """A worker that remembers the copies it was told of and reads no others."""

    def __init__(self, network: Network, tables: CopyTables) -> None:
        super().__init__(network, tables)
        self._known: set[UUID] = set()

    async def confirm(
        self, claim: Claim, user_id: UUID, copy_id: UUID, language: str
    ) -> Copy | CopyProblem | TooMany | Refusal | None:
        """Remember it."""
        self._known.add(copy_id)
        return await super().confirm(claim, user_id, copy_id, language)

    async def to_take(
        self, claims: Sequence[Claim], back_seconds: float, count_max: int
    ) -> Sequence[LeaderTrade]:
        """Find what is remembered."""
        trades = await super().to_take(claims, back_seconds, count_max)
        return [trade for trade in trades if trade.copy.copy_id in self._known]


class PassesOverInSilence(CopyTables):
    """Copies that forget what they did not copy in time."""

    def pass_over(self, claim: Claim) -> int:
        """Do nothing."""
        self.trading.placement.fence(claim)
        return 0


def sells_what_the_leader_sold(stakes: Stakes, decimals: int) -> Decimal:
    """Take the leader's amount for the follower's."""
    return stakes.sold


class FreezesInMemory(SimulatedFreezes):
    """A worker that stops everything and remembers by itself that it did."""

    def __init__(self, network: Network, freezes: FreezeTables) -> None:
        super().__init__(network, freezes)
        self._frozen: dict[UUID, tuple[UUID, Frozen]] = {}

    async def freeze(self, claim: Claim, job_id: UUID, user_id: UUID) -> Frozen:
        """Remember it."""
        stopped = await self._call("freeze", lambda: self._freezes.sweep(claim, user_id))
        frozen = Frozen(at(self._tables.now()), stopped)
        self._frozen[user_id] = job_id, frozen
        return frozen

    async def frozen_since(self, user_id: UUID) -> datetime | None:
        """Remember since when."""
        return self._frozen[user_id][1].since if user_id in self._frozen else None

    async def standing(self, user_id: UUID) -> UUID | None:
        """Remember which."""
        return self._frozen[user_id][0] if user_id in self._frozen else None

    async def thaw(self, claim: Claim, user_id: UUID, freeze_id: UUID) -> bool:
        """Forget it."""
        if await self.standing(user_id) == freeze_id:
            del self._frozen[user_id]
            self._freezes.thawed(user_id, freeze_id)
        return user_id not in self._frozen


class LeavesWhatWaits(FreezeTables):
    """A freeze that stops whatever orders, and forgets what waits for a price."""

    def cancel_resting(self, claim: Claim, user_id: UUID, counts: Counter[str]) -> None:
        """Leave it."""


def asks_of_no_freeze(_trading: TradingTables, _user_id: UUID) -> bool:
    """Take everybody for somebody who may trade."""
    return False


class KeyPerTry(SimulatedLedger):
    """A worker that makes a new idempotency key for every try."""

    async def _apply(self, claim: Claim, operation: ledger_pb2.Operation) -> BooksSaid:
        operation.idempotency_key += f":{new_uuid7()}"
        return await super()._apply(claim, operation)


class AnyOrder(Shards):
    """A worker that runs what arrives, whatever came before it."""

    def _pump(self, shard: OwnedShard) -> None:
        for user_id, line in shard.queue._lines.items():
            if line.running is None and line.waiting and line.next_seq not in line.waiting:
                line.next_seq = min(line.waiting)
                if not line.in_turn:
                    line.in_turn = True
                    shard.queue._turns.append(user_id)
        super()._pump(shard)


def voids_what_is_not_found(order: Order, last: Answered | Fresh | None, *, is_late: bool) -> Step:
    """Take "not found" for an outcome."""
    if (
        order.state is OrderState.SUBMITTED
        and isinstance(last, Answered)
        and isinstance(last.said, VenueSaid)
        and last.said.state is VenueState.NOT_FOUND
    ):
        return Record(OrderState.GIVEN_UP, "venue", "not-found", refused=Refused.TOO_LATE)
    return next_step(order, last, is_late=is_late)


def forgets_to_ask(order: Order, last: Answered | Fresh | None, *, is_late: bool) -> Step:
    """Give an order up without a word to the venue when it is late."""
    if order.state is OrderState.HELD and is_late and last is None:
        return Record(OrderState.GIVEN_UP, "venue", "late", refused=Refused.TOO_LATE)
    return next_step(order, last, is_late=is_late)


def submits_unrecorded(order: Order, last: Answered | Fresh | None, *, is_late: bool) -> Step:
    """Send an order before SUBMITTED is recorded, and never learn of it after a crash."""
    if order.state is OrderState.HELD and last is None and not is_late:
        return Ask.SUBMIT
    return forgets_to_ask(order, last, is_late=is_late)


NEVER_OVER = f"all is over {CALM_SECONDS_MAX:g} s after the last fault"


@dataclass(frozen=True)
class Broken:
    """One mistake, and how the simulation calls what it breaks (one of these)."""

    parts: Parts
    breaks: tuple[str, ...]
    seen_in: int = 0
    """A seed that showed it when this was written: where to look first, which only saves time."""


def _parts(**around: Any) -> Parts:
    return Parts(around=around)


BROKEN: dict[str, Broken] = {
    "no fence": Broken(Parts(placement=NoFence), ("no stale write is accepted",)),
    "claims ignore leases": Broken(Parts(placement=ClaimsOfTheLiving), ("one owner at a time",)),
    "the planner ignores leases": Broken(
        Parts(patches=((controller, "open_workers", everybody_registered),)),
        ("a plan names workers that live", "a plan is complete"),
    ),
    "high-water mark": Broken(Parts(gateway=HighWaterMark), ("no acknowledged update is lost",)),
    "no dedupe": Broken(Parts(gateway=NoDedupe), ("an update is one job",)),
    "no keys in the books": Broken(Parts(ledger=NoKeys), (NEVER_OVER,)),
    "a key per try": Broken(_parts(books=KeyPerTry), (NEVER_OVER,)),
    "jobs out of order": Broken(
        _parts(make_shards=AnyOrder), ("a user's jobs end in order, once", NEVER_OVER)
    ),
    "triggers twice": Broken(Parts(waiting=TriggersAgain), ("a resting order triggers once",), 46),
    "reads no watches": Broken(_parts(watching=ReadsNoWatches), ("what was met has triggered",)),
    "a run is counted apart from its order": Broken(_parts(planning=RunsApart), (RUN_ONCE, TOLD)),
    "runs of one's own": Broken(_parts(planning=RunsOfOnesOwn), (RUN_IN_TIME, NEVER_OVER)),
    "a trade is marked apart from its copy": Broken(_parts(copying=MarksApart), (COPIED_ONCE,)),
    "a copy under a drawn cause": Broken(Parts(copies=DrawnCauses), (DERIVED,)),
    "copies of one's own": Broken(_parts(copying=CopiesOfOnesOwn), (COPIED_IN_TIME,), 14),
    "passes over in silence": Broken(Parts(copies=PassesOverInSilence), (NEVER_OVER,)),
    "sells what the leader sold": Broken(
        Parts(patches=((copying, "copied_sale", sells_what_the_leader_sold),)),
        ("a copy sells the leader's share of what it bought",),
    ),
    "a freeze in memory": Broken(_parts(freezing=FreezesInMemory), (FROZEN,)),
    "a freeze leaves what waits": Broken(Parts(freezes=LeavesWhatWaits), (SURVIVES,)),
    "asks of no freeze": Broken(
        Parts(
            patches=(
                (TradingTables, "is_frozen", asks_of_no_freeze),
                (TradingTables, "check_order_insert", asks_of_no_freeze),
            )
        ),
        (FROZEN,),
        31,
    ),
    "void on not found": Broken(
        _parts(decide=voids_what_is_not_found),
        ("a hold is voided on the venue's durable word only",),
    ),
    "late orders are given up unasked": Broken(
        _parts(decide=forgets_to_ask), ("a hold is voided on the venue's durable word only",)
    ),
    "submits unrecorded": Broken(
        _parts(decide=submits_unrecorded), ("a hold is voided on the venue's durable word only",)
    ),
}
