"""Orders that wait for a price and alerts in memory, as `user_worker.postgres` keeps them,
and the worker's ports in front.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from tests.simulation.network import Network
from tests.simulation.seeding import at
from tests.simulation.trading import TradingTables
from tests.simulation.trading_adapters import Port
from tests.simulation.trading_rows import RestingRow

from kernel.sharding import Claim, ShardKey
from user_worker.domain.notes import AlertExpired, AlertReached, RestingExpired, RestingPlaced
from user_worker.domain.orders import DraftState, Refusal, Refused, Side
from user_worker.domain.resting import (
    ALERT_SECONDS,
    Alert,
    Direction,
    RestingKind,
    RestingOrder,
    RestingState,
)
from user_worker.domain.triggers import Purpose, Watch
from user_worker.resting_ports import NewAlert, Reached
from user_worker.trading_ports import Seen

USER_WAITING_MAX = 50


@dataclass(slots=True)
class AlertRow:
    """worker.alerts"""

    alert: Alert
    user_id: UUID
    key: ShardKey
    language: str
    placed_at: float
    state: str = "waiting"


@dataclass
class WaitingTables:
    """worker.resting_orders, whose rows stand in `trading.resting`, and worker.alerts."""

    trading: TradingTables
    alerts: dict[UUID, AlertRow] = field(default_factory=dict)
    triggered: Callable[[RestingRow], None] = lambda _: None
    """Called with what has just triggered."""
    reached: Callable[[AlertRow], None] = lambda _: None
    """Called with an alert that was just reached."""

    def resting_of_job(self, user_id: UUID, job_id: UUID) -> RestingOrder | None:
        """The resting order a job offered."""
        draft_id = self.trading.of_jobs.get(job_id)
        return None if draft_id is None else self.read(user_id, draft_id)

    def read(self, user_id: UUID, order_id: UUID) -> RestingOrder | None:
        """A user's resting order as it stands."""
        row, draft = self.trading.resting.get(order_id), self.trading.draft(user_id, order_id)
        if row is None or draft is None:
            return None
        return RestingOrder(
            draft,
            row.condition,
            row.state,
            placed_at=None if row.placed_at is None else at(row.placed_at),
            expires_at=None if row.expires_at is None else at(row.expires_at),
            ended_at=None if row.ended_at is None else at(row.ended_at),
        )

    def of_receipt(self, user_id: UUID, receipt: str) -> RestingOrder | None:
        """A user's resting order by its receipt id."""
        found = (self.read(user_id, order_id) for order_id in self.trading.resting)
        return next((one for one in found if one and one.draft.receipt == receipt), None)

    def waiting_of(self, user_id: UUID) -> list[RestingOrder]:
        """What waits of a user's, newest first."""
        rows = [
            row
            for row in self.trading.resting.values()
            if row.user_id == user_id and row.state is RestingState.WAITING
        ]
        rows.sort(key=lambda row: (row.placed_at or 0.0, row.order_id), reverse=True)
        found = (self.read(user_id, row.order_id) for row in rows)
        return [one for one in found if one is not None]

    def place(
        self, claim: Claim, user_id: UUID, order_id: UUID, language: str
    ) -> RestingOrder | Refusal | None:
        """Confirm an offered one, or find what became of it."""
        trading = self.trading
        trading.placement.fence(claim)
        taken = self._taken(claim, user_id, order_id)
        if taken is None:
            return None
        draft = trading.drafts[order_id]
        if taken.draft.state is DraftState.EXPIRED:
            draft.draft = taken.draft
        if not taken.is_open:
            return taken
        if trading.is_frozen(user_id):
            return Refusal(Refused.FROZEN)
        if len(self.waiting_of(user_id)) >= USER_WAITING_MAX:
            return Refusal(Refused.TOO_MANY_RESTING, Decimal(USER_WAITING_MAX))
        draft.draft = replace(draft.draft, state=DraftState.CONFIRMED)
        row, now = trading.resting[order_id], trading.now()
        row.state, row.language, row.placed_at = RestingState.WAITING, language, now
        row.expires_at = now + row.condition.lasts_seconds
        return self.read(user_id, order_id)

    def cancel(self, claim: Claim, user_id: UUID, order_id: UUID) -> RestingOrder | None:
        """Cancel what is offered or waits."""
        trading = self.trading
        trading.placement.fence(claim)
        taken = self._taken(claim, user_id, order_id)
        if taken is None:
            return None
        if taken.is_open:
            draft = trading.drafts[order_id]
            draft.draft = replace(draft.draft, state=DraftState.CANCELLED)
        elif taken.state is RestingState.WAITING:
            self._end(trading.resting[order_id], RestingState.CANCELLED)
        return self.read(user_id, order_id)

    def tell_of(self, claim: Claim, user_id: UUID, order_id: UUID) -> None:
        """Have it told that one waits, if it does."""
        self.trading.placement.fence(claim)
        taken = self._taken(claim, user_id, order_id)
        if taken is not None and taken.state is RestingState.WAITING:
            wish = taken.draft.wish
            note = RestingPlaced(
                resting=taken.condition.kind.value,
                side=wish.side.value,
                symbol=wish.symbol,
                receipt=taken.draft.receipt,
            )
            self.trading.add_note(claim, order_id, user_id, "", note)

    def page(
        self, claim: Claim, after: UUID | None, count_max: int
    ) -> tuple[list[Watch], UUID | None]:
        """Watches of a shard in the order of their ids."""
        key = claim.key
        watches = [
            Watch(
                row.order_id,
                Purpose.LIMIT if row.condition.kind is RestingKind.LIMIT else Purpose.MARKET,
                row.symbol,
                row.condition.direction,
                row.condition.price,
            )
            for row in self.trading.resting.values()
            if row.key == key and row.state is RestingState.WAITING
        ]
        watches += [
            Watch(row.alert.alert_id, Purpose.ALERT, row.alert.symbol, *_level(row.alert))
            for row in self.alerts.values()
            if row.key == key and row.state == "waiting"
        ]
        watches.sort(key=lambda watch: watch.watch_id)
        rest = [watch for watch in watches if after is None or watch.watch_id > after]
        page = rest[:count_max]
        return page, page[-1].watch_id if len(page) == count_max else None

    def trigger(self, claim: Claim, order_ids: Sequence[UUID]) -> dict[UUID, Seen | None]:
        """Turn what waits into orders, each once, within the limits of what may be under way."""
        trading = self.trading
        trading.placement.fence(claim)
        rows = [
            row
            for row in map(trading.resting.get, order_ids)
            if row is not None and row.key == claim.key
        ]
        waiting = [row for row in rows if row.state is RestingState.WAITING]
        waiting.sort(key=lambda row: (row.placed_at or 0.0, row.order_id))
        for row in waiting:
            is_over = row.expires_at is not None and row.expires_at <= trading.now()
            if is_over or not trading.has_room(claim.key, row.user_id):
                continue
            draft = trading.drafts[row.order_id]
            trading.make_order(claim, draft, row.language, tell_later=True, step="triggered")
            self._end(row, RestingState.TRIGGERED)
            self.triggered(row)
        found: dict[UUID, Seen | None] = {
            row.order_id: None for row in rows if row.state is RestingState.WAITING
        }
        for order_id in order_ids:
            order = trading.orders.get(order_id)
            if order is not None and order.key == claim.key:
                found[order_id] = trading.look(order_id)
        return found

    def set_alert(self, claim: Claim, user_id: UUID, new: NewAlert) -> Alert | Refusal:
        """Set an alert, or find the one the job set before."""
        trading = self.trading
        trading.placement.fence(claim)
        others = [one for one in self.alerts_of(user_id) if one.alert_id != new.alert_id]
        if len(others) >= USER_WAITING_MAX:
            return Refusal(Refused.TOO_MANY_ALERTS, Decimal(USER_WAITING_MAX))
        now = trading.now()
        ends = at(now) + timedelta(seconds=ALERT_SECONDS)
        alert = Alert(new.alert_id, new.symbol, new.direction, new.price, ends)
        row = self.alerts.setdefault(
            new.alert_id, AlertRow(alert, user_id, claim.key, new.language, now)
        )
        if row.user_id != user_id:
            raise ValueError(f"alert {new.alert_id} is somebody else's")
        return row.alert

    def remove_alert(self, claim: Claim, user_id: UUID, alert_id: UUID) -> bool:
        """Remove one; says whether it waited."""
        self.trading.placement.fence(claim)
        row = self.alerts.get(alert_id)
        if row is None or (row.user_id, row.key, row.state) != (user_id, claim.key, "waiting"):
            return False
        row.state = "removed"
        return True

    def alerts_of(self, user_id: UUID) -> list[Alert]:
        """The alerts of a user that wait."""
        mine = [
            row.alert
            for row in self.alerts.values()
            if row.user_id == user_id and row.state == "waiting"
        ]
        return sorted(mine, key=lambda alert: (alert.symbol, -alert.price))

    def reach(self, claim: Claim, reached: Sequence[Reached]) -> None:
        """End alerts, each with the note that tells of it, once."""
        self.trading.placement.fence(claim)
        for one in reached:
            row = self.alerts.get(one.alert_id)
            if row is None or row.key != claim.key or row.state != "waiting":
                continue
            if row.alert.expires_at <= at(self.trading.now()):
                continue
            row.state = "reached"
            note = AlertReached(
                symbol=row.alert.symbol,
                currency=one.quote.currency,
                direction=row.alert.direction.value,
                price=row.alert.price,
                quoted=one.quote.price,
                is_simulated=one.quote.is_simulated,
            )
            self.trading.add_note(claim, one.alert_id, row.user_id, row.language, note)
            self.reached(row)

    def expired(self, claims: Sequence[Claim]) -> list[Claim]:
        """In which shards something has waited in vain."""
        keys = {row.key for row in self._expired_resting()}
        keys |= {row.key for row in self._expired_alerts()}
        return [claim for claim in claims if claim.key in keys]

    def expire(self, claim: Claim, count_max: int) -> list[UUID]:
        """End what has waited in vain, each with the note that tells of it."""
        trading = self.trading
        trading.placement.fence(claim)
        orders = [row for row in self._expired_resting() if row.key == claim.key][:count_max]
        for row in orders:
            self._end(row, RestingState.EXPIRED)
            draft = trading.drafts[row.order_id].draft
            is_buy = draft.wish.side is Side.BUY
            note = RestingExpired(
                resting=row.condition.kind.value,
                side=draft.wish.side.value,
                symbol=row.symbol,
                currency=(draft.spend if is_buy else draft.receive).symbol,
                trigger_price=row.condition.price,
                receipt=draft.receipt,
            )
            trading.add_note(claim, row.order_id, row.user_id, row.language, note)
        alerts = [row for row in self._expired_alerts() if row.key == claim.key][:count_max]
        for one in alerts:
            one.state, alert = "expired", one.alert
            told = AlertExpired(
                symbol=alert.symbol, direction=alert.direction.value, price=alert.price
            )
            trading.add_note(claim, alert.alert_id, one.user_id, one.language, told)
        return [row.order_id for row in orders] + [one.alert.alert_id for one in alerts]

    def _expired_resting(self) -> list[RestingRow]:
        now = self.trading.now()
        rows = [row for row in self.trading.resting.values() if row.state is RestingState.WAITING]
        return [row for row in rows if row.expires_at is not None and row.expires_at <= now]

    def _expired_alerts(self) -> list[AlertRow]:
        now = at(self.trading.now())
        rows = [row for row in self.alerts.values() if row.state == "waiting"]
        return [row for row in rows if row.alert.expires_at <= now]

    def _taken(self, claim: Claim, user_id: UUID, order_id: UUID) -> RestingOrder | None:
        row = self.trading.resting.get(order_id)
        return None if row is None or row.key != claim.key else self.read(user_id, order_id)

    def _end(self, row: RestingRow, state: RestingState) -> None:
        row.state, row.ended_at = state, self.trading.now()


class _WaitingPort(Port):
    def __init__(self, network: Network, tables: WaitingTables) -> None:
        super().__init__(network, tables.trading)
        self._waiting = tables


class SimulatedResting(_WaitingPort):
    """resting_ports.RestingOrders"""

    async def of_job(self, user_id: UUID, job_id: UUID) -> RestingOrder | None:
        """See resting_ports."""
        return await self._call("resting", lambda: self._waiting.resting_of_job(user_id, job_id))

    async def place(
        self, claim: Claim, user_id: UUID, order_id: UUID, language: str
    ) -> RestingOrder | Refusal | None:
        """See resting_ports."""
        return await self._call(
            f"place {order_id} under {claim}",
            lambda: self._waiting.place(claim, user_id, order_id, language),
        )

    async def cancel(self, claim: Claim, user_id: UUID, order_id: UUID) -> RestingOrder | None:
        """See resting_ports."""
        return await self._call(
            f"unrest {order_id}", lambda: self._waiting.cancel(claim, user_id, order_id)
        )

    async def read(self, user_id: UUID, order_id: UUID) -> RestingOrder | None:
        """See resting_ports."""
        return await self._call("resting", lambda: self._waiting.read(user_id, order_id))

    async def of_receipt(self, user_id: UUID, receipt: str) -> RestingOrder | None:
        """See resting_ports."""
        return await self._call("resting", lambda: self._waiting.of_receipt(user_id, receipt))

    async def waiting(self, user_id: UUID) -> Sequence[RestingOrder]:
        """See resting_ports."""
        return await self._call("resting", lambda: self._waiting.waiting_of(user_id))

    async def tell_of(self, claim: Claim, user_id: UUID, order_id: UUID) -> None:
        """See resting_ports."""
        await self._call("tell of", lambda: self._waiting.tell_of(claim, user_id, order_id))


class SimulatedAlerts(_WaitingPort):
    """resting_ports.Alerts"""

    async def set(self, claim: Claim, user_id: UUID, new: NewAlert) -> Alert | Refusal:
        """See resting_ports."""
        return await self._call(
            f"alert {new.alert_id}", lambda: self._waiting.set_alert(claim, user_id, new)
        )

    async def remove(self, claim: Claim, user_id: UUID, alert_id: UUID) -> bool:
        """See resting_ports."""
        return await self._call(
            "remove alert", lambda: self._waiting.remove_alert(claim, user_id, alert_id)
        )

    async def waiting(self, user_id: UUID) -> Sequence[Alert]:
        """See resting_ports."""
        return await self._call("alerts", lambda: self._waiting.alerts_of(user_id))


class SimulatedWaiting(_WaitingPort):
    """resting_ports.Waiting"""

    async def page(
        self, claim: Claim, after: UUID | None, count_max: int
    ) -> tuple[Sequence[Watch], UUID | None]:
        """See resting_ports."""
        return await self._call("watches", lambda: self._waiting.page(claim, after, count_max))

    async def resting(self, order_ids: Sequence[UUID]) -> Sequence[RestingOrder]:
        """See resting_ports."""

        def found() -> list[RestingOrder]:
            rows = [self._tables.resting[one] for one in order_ids if one in self._tables.resting]
            orders = (self._waiting.read(row.user_id, row.order_id) for row in rows)
            return [order for order in orders if order is not None]

        return await self._call("resting", found)

    async def trigger(self, claim: Claim, order_ids: Sequence[UUID]) -> Mapping[UUID, Seen | None]:
        """See resting_ports."""
        return await self._call(
            f"record triggers of {[str(one) for one in order_ids]} under {claim}",
            lambda: self._waiting.trigger(claim, order_ids),
        )

    async def reach(self, claim: Claim, reached: Sequence[Reached]) -> None:
        """See resting_ports."""
        await self._call(
            f"record {len(reached)} alerts under {claim}",
            lambda: self._waiting.reach(claim, reached),
        )

    async def expired(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """See resting_ports."""
        return await self._call("expired", lambda: self._waiting.expired(claims))

    async def expire(self, claim: Claim, count_max: int) -> Sequence[UUID]:
        """See resting_ports."""
        return await self._call("expire", lambda: self._waiting.expire(claim, count_max))


def _level(alert: Alert) -> tuple[Direction, Decimal]:
    return alert.direction, alert.price
