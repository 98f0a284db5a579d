"""What must hold, checked at the moment it can break, by a witness with a memory of its own.

The witness believes no store: which claim is the newest, who holds it, and what was applied how
often is what it saw happen. `fail` ends the run; its first word names the promise.
"""

from collections import Counter, defaultdict
from decimal import Decimal
from uuid import UUID

from tests.simulation.gateway import GatewayTables, JobRow
from tests.simulation.ledger import LedgerTables
from tests.simulation.loop import Process
from tests.simulation.network import Network
from tests.simulation.placement import PlacementTables, ShardRow
from tests.simulation.rule_checking import SERVED_SECONDS, RuleWitness
from tests.simulation.trading import TradingTables
from tests.simulation.trading_rows import OrderRow, RestingRow
from tests.simulation.venue import TICK_SECONDS, Market, VenueTables
from tests.simulation.waiting import AlertRow, WaitingTables

from kernel.money import exact
from kernel.sharding import Claim
from ledger.domain.picture import Changes
from pricing.paper_venue import domain as paper
from shard_operator.controller import Reconciled, open_workers
from user_worker.domain.orders import OrderState
from user_worker.domain.replies import AnswerPress
from user_worker.domain.resting import Alert, Condition, Direction, RestingKind, RestingState
from user_worker.ports import Outcome

_ARROWS = {
    (None, OrderState.ACCEPTED),
    (None, OrderState.REJECTED),
    (OrderState.ACCEPTED, OrderState.HELD),
    (OrderState.ACCEPTED, OrderState.REJECTED),
    (OrderState.HELD, OrderState.SUBMITTED),
    (OrderState.HELD, OrderState.GIVEN_UP),
    (OrderState.HELD, OrderState.EXECUTED),
    (OrderState.SUBMITTED, OrderState.EXECUTED),
    (OrderState.SUBMITTED, OrderState.GIVEN_UP),
    (OrderState.EXECUTED, OrderState.FILLED),
    (OrderState.GIVEN_UP, OrderState.REJECTED),
}
"""user_worker.domain.orders draws them. HELD → EXECUTED: a submission whose record was lost is told
by the tombstone."""


QUOTE_TICKS = 12
"""How old a quote may be that triggers: `stale_quote_seconds`, and the tick it came with."""
HEARD_TICKS = 5
"""How long a price may take to be heard and acted upon."""


class Witness:
    """Sees every transaction of a run."""

    def __init__(
        self,
        network: Network,
        placement: PlacementTables,
        gateway: GatewayTables,
        trading: TradingTables,
        ledger: LedgerTables,
        venue: VenueTables,
        fresh_seconds: float,
    ) -> None:
        self.violation: str | None = None
        self.writes = 0
        self.stale_refused = 0
        self.set_aside = 0
        self.triggered = 0
        self.calm_since = float("inf")
        self.acknowledged: set[int] = set()
        """Updates the front was told are accepted."""
        self._network = network
        self._placement = placement
        self._gateway = gateway
        self._trading = trading
        self._ledger = ledger
        self._venue = venue
        self._newest: dict[int, int] = {}
        self._holders: dict[tuple[int, int], Process] = {}
        self._accepted: Counter[UUID] = Counter()
        self._updates: Counter[int] = Counter()
        self._ended: Counter[UUID] = Counter()
        self._done: Counter[tuple[str, UUID | None]] = Counter()
        """How often what may happen once has happened."""
        self._system: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.rules = RuleWitness(self.fail, trading, gateway, fresh_seconds)
        placement.claimed = self.saw_claim
        placement.written = self.saw_write
        placement.refused = self.saw_refusal
        gateway.ended = self.saw_end
        trading.moved = self.saw_order
        ledger.changed = self.saw_books

    def fail(self, promise: str, details: object) -> None:
        """Note the first violation."""
        if self.violation is None:
            self.violation = f"{promise}: {details}"

    def saw_claim(self, row: ShardRow, worker: str, incarnation: UUID) -> None:
        """A claim is about to be given."""
        owner = self._placement.workers.get(row.owner) if row.owner is not None else None
        if (
            owner is not None
            and owner.incarnation == row.owner_incarnation
            and owner.lease_until > self._placement.now()
        ):
            self.fail("one owner at a time", f"{row.owner} lives, {worker} claims {row.key}")
        epoch = row.epoch + 1
        if epoch <= self._newest.get(row.key.shard, 0):
            self.fail("epochs only rise", f"{row.key}@{epoch}")
        self._newest[row.key.shard] = epoch
        self._holders[row.key.shard, epoch] = self._network.caller

    def saw_write(self, claim: Claim) -> None:
        """A store is about to write under a claim."""
        self.writes += 1
        if claim.epoch != self._newest.get(claim.shard):
            newest = self._newest.get(claim.shard)
            self.fail("no stale write is accepted", f"{claim}, the newest is {newest}")
        elif self._holders[claim.shard, claim.epoch] is not self._network.caller:
            self.fail("one writer per claim", f"{self._network.caller.name} under {claim}")

    def saw_refusal(self, claim: Claim) -> None:
        """A store has refused a write: the newest claim must never meet that."""
        self.stale_refused += 1
        if claim.epoch == self._newest.get(claim.shard):
            self.fail("the newest claim is never refused", claim)

    def saw_job(self, row: JobRow) -> None:
        """The inbox has committed a job."""
        job = row.job
        self._updates[row.update_id] += 1
        if self._updates[row.update_id] > 1:
            self.fail("an update is one job", row.update_id)
        self._accepted[job.user_id] += 1
        if job.user_seq != self._accepted[job.user_id]:
            self.fail("user_seq has no gap", f"{job.user_seq} of {job.user_id}")
        self.rules.saw_job(row)

    def saw_end(self, row: JobRow, claim: Claim) -> None:
        """A job has ended."""
        user_id, seq = row.job.user_id, row.job.user_seq
        self._ended[user_id] += 1
        if seq != self._ended[user_id]:
            self.fail("a user's jobs end in order, once", f"{seq} after {self._ended[user_id] - 1}")
        self.set_aside += row.outcome is Outcome.SET_ASIDE
        self.rules.saw_end(row)

    def saw_order(self, row: OrderRow, before: OrderState | None) -> None:
        """An order's state has changed."""
        arrow = (before, row.order.state)
        if arrow not in _ARROWS:
            self.fail("orders follow their arrows", f"{arrow} of {row.order.order_id}")
        self.rules.saw_order(row, before)

    def saw_books(self, changes: Changes) -> None:
        """The books were changed."""
        for account in (*changes.opened, *changes.changed):
            if not 0 <= account.held <= account.posted:
                self.fail("no balance is negative", account)
        for hold in changes.holds_made:
            self._once("an order holds once", hold.order_id)
        for hold in changes.holds_resolved:
            self._once("a hold ends once", hold.order_id)
            self._check_resolved(hold.order_id, hold.state)
            with exact():
                self._system[hold.asset_id] += hold.posted_amount or 0
        for trade in changes.trades:
            self._once("an order is posted once", trade.order_id)
        for transfer in changes.transfers:
            if transfer.operation == "faucet":
                self._once("the faucet gives once", transfer.credit_account_id)
            with exact():
                if transfer.debit_system is not None:
                    self._system[transfer.asset_id] -= transfer.amount
                if transfer.credit_system is not None:
                    self._system[transfer.asset_id] += transfer.amount
        if changes.transfers or changes.holds_resolved:
            self._check_sums()

    def _once(self, promise: str, of: UUID | None) -> None:
        self._done[promise, of] += 1
        if self._done[promise, of] > 1:
            self.fail(promise, of)

    def _check_resolved(self, order_id: UUID, state: str) -> None:
        kept = self._venue.orders.get(order_id)
        outcome = None if kept is None else kept.outcome.state
        if state == "voided" and outcome not in (paper.State.REFUSED, paper.State.TOMBSTONED):
            self.fail("a hold is voided on the venue's durable word only", f"{order_id}: {outcome}")
        if state == "posted" and outcome is not paper.State.FILLED:
            self.fail("only what was executed is posted", f"{order_id}: {outcome}")

    def _check_sums(self) -> None:
        sums: defaultdict[str, Decimal] = defaultdict(Decimal, self._system)
        with exact():
            for (_, asset_id), account in self._ledger.accounts.items():
                sums[asset_id] += account.posted
        if any(sums.values()):
            self.fail("the books sum to zero", dict(sums))

    def saw_plan(self, reconciled: Reconciled) -> None:
        """A control loop has made a plan: it must be complete, and balanced when nothing waits."""
        seen, assignment = reconciled.observation, reconciled.plan.assignment
        if seen.placement is None or assignment is None:
            return
        workers, _ = open_workers(seen, reconciled.plan.decision)
        living = {worker.name for worker in seen.placement.workers if worker.alive}
        for change in assignment.changes:
            if change.desired not in living:
                self.fail("a plan names workers that live", change)
        if not workers:
            return
        desired = {shard.shard: shard.desired for shard in seen.placement.shards}
        for change in assignment.changes:
            desired[change.shard] = change.desired
        loads = Counter(name for name in desired.values() if name in workers)
        strays = len(desired) - sum(loads.values())
        if strays > assignment.deferred:
            self.fail("a plan is complete", f"{desired} of {workers}")
        spread = max(loads[name] for name in workers) - min(loads[name] for name in workers)
        if not assignment.deferred and spread > 1:
            self.fail("a plan is balanced within one", f"{dict(loads)} of {workers}")

    def watch(self, waiting: WaitingTables, market: Market) -> None:
        """See what waits for a price, too."""
        self._waiting, self._market = waiting, market
        waiting.triggered = self.saw_trigger
        waiting.reached = self.saw_alert

    def saw_trigger(self, row: RestingRow) -> None:
        """A resting order has become an order."""
        self.triggered += 1
        self._once("a resting order triggers once", row.order_id)
        condition, since = row.condition, row.placed_at or 0.0
        self._check_met(row.symbol, condition.direction, condition.price, since)

    def saw_alert(self, row: AlertRow) -> None:
        """An alert was reached."""
        self.triggered += 1
        alert = row.alert
        self._once("an alert is told once", alert.alert_id)
        self._check_met(alert.symbol, alert.direction, alert.price, row.placed_at)

    def _check_met(self, symbol: str, direction: Direction, price: Decimal, since: float) -> None:
        # What was quoted just before it was placed still counts: nobody hears faster.
        ticks = range(max(0, int(since / TICK_SECONDS) - QUOTE_TICKS), self._market.tick() + 1)
        if not any(direction.is_met(price, self._market.price(symbol, t)) for t in ticks):
            self.fail("nothing triggers before its price", f"{symbol} {direction} {price}")

    def _check_untriggered(self) -> None:
        """What was met twice in a row after the storm, by what an owner heard, has triggered."""
        waiting: list[tuple[str, Condition | Alert, float]] = [
            (row.symbol, row.condition, row.placed_at or 0.0)
            for row in self._trading.resting.values()
            if row.state is RestingState.WAITING and row.condition.kind is not RestingKind.LIMIT
        ]
        waiting += [
            (row.alert.symbol, row.alert, row.placed_at)
            for row in self._waiting.alerts.values()
            if row.state == "waiting"
        ]
        for symbol, level, placed_at in waiting:
            first = int(max(self.calm_since + SERVED_SECONDS, placed_at + 2) / TICK_SECONDS)
            for tick in range(first, self._market.tick() - HEARD_TICKS):
                both = (self._market.price(symbol, t) for t in (tick, tick + 1))
                if all(level.direction.is_met(level.price, price) for price in both):
                    self.fail("what was met has triggered", f"{symbol} {level} at {tick}")

    # When everything is over

    def begin_calm(self) -> None:
        """The storm is over."""
        self.calm_since = self.rules.calm_since = self._placement.now()

    def unfinished(self) -> str | None:
        """What is not over yet; None when everything is."""
        for key, undone in self._gateway.undone.items():
            if undone:
                return f"{len(undone)} jobs of {key} are undone"
        if self._trading.under_way:
            order = next(iter(self._trading.under_way.values())).order
            return f"order {order.order_id} is {order.state.value}"
        if self._trading.untold:
            return f"{len(self._trading.untold)} ends of orders and notes are untold"
        if (left := self.rules.unfinished()) is not None:
            return left
        for row in self._placement.shards.values():
            if not self._placement.is_served(row):
                return f"shard {row.key} has no live owner"
            if row.owner != row.desired_owner:
                return f"shard {row.key} is {row.owner}'s and wished for at {row.desired_owner}"
        return self._unbalanced()

    def _unbalanced(self) -> str | None:
        live = [
            name
            for name, row in self._placement.workers.items()
            if row.lease_until > self._placement.now() and not row.draining
        ]
        loads = Counter(row.owner for row in self._placement.shards.values())
        spread = max((loads[n] for n in live), default=0) - min((loads[n] for n in live), default=0)
        return f"the shards are spread as {dict(loads)} over {live}" if spread > 1 else None

    def check_end(self) -> None:
        """Compare everything with everything, once nothing is under way."""
        self._check_untriggered()
        self.rules.check_end()
        lost = [u for u in self.acknowledged if u not in self._gateway.seen]
        if lost:
            self.fail("no acknowledged update is lost", lost)
        for row in self._trading.orders.values():
            self._check_order(row)
        for hold in self._ledger.holds.values():
            if hold.state == "pending":
                self.fail("no hold is left behind", hold)
        for order_id, kept in self._venue.orders.items():
            if kept.outcome.state is paper.State.FILLED and order_id not in self._ledger.trades:
                self.fail("what the venue executed is posted", order_id)

    def _check_order(self, row: OrderRow) -> None:
        order = row.order
        if not self._is_told(row):
            self.fail("every end of an order is told", order)
        kept = self._venue.orders.get(order.order_id)
        fill = None if kept is None else kept.outcome.fill
        trade = self._ledger.trades.get(order.order_id)
        if order.state is OrderState.FILLED:
            if fill is None or trade is None:
                self.fail("a filled order was executed and posted", order)
                return
            said = (order.spent, order.received, order.fee)
            executed = (fill.spent.value, fill.received.value, fill.fee.value)
            posted = (trade.spent.value, trade.received.value, trade.fee)
            if not said == executed == posted:
                self.fail("order, venue and books agree", f"{said} {executed} {posted}")
        elif fill is not None or trade is not None:
            self.fail("a rejected order did nothing", order)

    def _is_told(self, row: OrderRow) -> bool:
        if row.event_id in self._gateway.notices:
            return True
        receipt = row.order.draft.receipt
        told = {f"Done. Receipt {receipt}", f"Not done. Receipt {receipt}"}
        return any(
            isinstance(reply, AnswerPress) and reply.text in told
            for job in self._gateway.jobs.values()
            if job.job.user_id == row.order.draft.user_id
            for reply in job.replies
        )
