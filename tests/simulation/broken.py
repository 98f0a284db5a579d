"""Workers and stores that are wrong on purpose: each must make the simulation fail. What none of
these would catch, the simulation does not check.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.simulation.gateway import GatewayTables
from tests.simulation.ledger import LedgerTables, SimulatedLedger
from tests.simulation.placement import PlacementTables, ShardRow
from tests.simulation.run import CALM_SECONDS_MAX, Parts
from tests.simulation.waiting import SimulatedWaiting, WaitingTables

from kernel.identifiers import new_uuid7
from kernel.sharding import Claim
from ledger.domain.operations import Action, Answer
from purser.ledger.v1 import ledger_pb2
from shard_operator import controller
from shard_operator.scaling import ScalingDecision
from shard_operator.status import Observation
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
from user_worker.domain.orders import Order, OrderState, Refused
from user_worker.domain.resting import RestingState
from user_worker.domain.triggers import Watch
from user_worker.trading_ports import Seen


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
    "triggers twice": Broken(Parts(waiting=TriggersAgain), ("a resting order triggers once",)),
    "reads no watches": Broken(_parts(watching=ReadsNoWatches), ("what was met has triggered",)),
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
