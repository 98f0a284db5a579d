"""Resting orders and alerts for the conversation: see `resting_ports.Resting`.

The database decides and the watch is told. When a write is not answered, nobody knows whether there
is something to watch: the shard's watches are read again, and the job, which runs again, is told
what there is.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from kernel.sharding import Claim
from user_worker.domain.market import Instrument
from user_worker.domain.orders import Refusal, Refused, Wish
from user_worker.domain.resting import (
    Alert,
    Condition,
    RestingKind,
    RestingOrder,
    RestingState,
)
from user_worker.domain.resting_terms import is_in_reach, resting_terms, worth_question
from user_worker.domain.sizing import Terms, assets_of, first_question
from user_worker.domain.triggers import Purpose, Watch
from user_worker.ports import Pricing
from user_worker.resting_ports import Alerts, NewAlert, RestingOrders, Watching
from user_worker.trading_ports import Accounts, Drafts, Offer, Venue


@dataclass(frozen=True, slots=True)
class RestingStores:
    """Where offers, resting orders and alerts are kept."""

    drafts: Drafts
    orders: RestingOrders
    alerts: Alerts


class RestingTrading:
    """The real resting_ports.Resting."""

    def __init__(
        self,
        stores: RestingStores,
        accounts: Accounts,
        pricing: Pricing,
        venue: Venue,
        watching: Watching,
    ) -> None:
        self._stores = stores
        self._accounts = accounts
        self._pricing = pricing
        self._venue = venue
        self._watching = watching

    async def propose(
        self,
        claim: Claim,
        job_id: UUID,
        user_id: UUID,
        wish: Wish,
        condition: Condition,
        slippage_basis_points: int,
    ) -> RestingOrder | Refusal:
        """Resolve a wish into an offer; the same job again gives the same."""
        offered = await self._stores.orders.of_job(user_id, job_id)
        if offered is not None:
            return offered
        instrument = (await self._pricing.instruments()).get(wish.symbol)
        quote = await self._pricing.quote(wish.symbol)
        if instrument is None or quote is None:
            return Refusal(Refused.UNKNOWN_SYMBOL)
        if not is_in_reach(condition.price, quote.price):
            return Refusal(Refused.OUT_OF_REACH, quote.price, quote.currency)
        is_met = condition.direction.is_met(condition.price, quote.price)
        if is_met and condition.kind is not RestingKind.LIMIT:
            return Refusal(Refused.ALREADY_PAST, quote.price, quote.currency)
        available = await self._available(claim, user_id, wish, instrument)
        terms = await self._resolve(
            wish, instrument, available, condition, quote.price, slippage_basis_points
        )
        if isinstance(terms, Refusal):
            return terms
        offer = Offer(wish, terms, slippage_basis_points, quote.is_simulated, condition)
        draft = await self._stores.drafts.keep(claim, job_id, user_id, offer)
        if isinstance(draft, Refusal):
            return draft
        kept = await self._stores.orders.of_job(user_id, job_id)
        if kept is None:
            raise ValueError(f"job {job_id} offered an order at once")
        return kept

    async def place(
        self, claim: Claim, user_id: UUID, order_id: UUID, language: str
    ) -> RestingOrder | Refusal | None:
        """Confirm an offer: it waits from now on."""
        async with self._read_again_when_unknown(claim):
            placed = await self._stores.orders.place(claim, user_id, order_id, language)
        if isinstance(placed, RestingOrder) and placed.state is RestingState.WAITING:
            self._watching.add(claim, _watch_of_order(placed))
        return placed

    async def cancel(self, claim: Claim, user_id: UUID, order_id: UUID) -> RestingOrder | None:
        """Cancel what is offered or waits; gives it as it then stands."""
        cancelled = await self._stores.orders.cancel(claim, user_id, order_id)
        if cancelled is not None and cancelled.state is not RestingState.WAITING:
            self._watching.remove(claim, order_id)
        return cancelled

    async def read(self, user_id: UUID, order_id: UUID) -> RestingOrder | None:
        """Read one, whatever became of it."""
        return await self._stores.orders.read(user_id, order_id)

    async def of_receipt(self, user_id: UUID, receipt: str) -> RestingOrder | None:
        """Read one by its receipt id."""
        return await self._stores.orders.of_receipt(user_id, receipt)

    async def waiting(self, user_id: UUID) -> Sequence[RestingOrder]:
        """Read what waits, newest first."""
        return await self._stores.orders.waiting(user_id)

    async def tell_of(self, claim: Claim, user_id: UUID, order_id: UUID) -> None:
        """Have it told by a notice that one waits, if it does, and watch it."""
        await self._stores.orders.tell_of(claim, user_id, order_id)
        self._watching.read_again(claim)

    def look_again(self, claim: Claim) -> None:
        """Watch what still waits in a shard, and no more: much of it was cancelled at once."""
        self._watching.read_again(claim)

    async def set_alert(self, claim: Claim, user_id: UUID, new: NewAlert) -> Alert | Refusal:
        """Set an alert; the same job again gives the same."""
        async with self._read_again_when_unknown(claim):
            alert = await self._stores.alerts.set(claim, user_id, new)
        if isinstance(alert, Alert):
            self._watching.add(
                claim,
                Watch(alert.alert_id, Purpose.ALERT, alert.symbol, alert.direction, alert.price),
            )
        return alert

    async def remove_alert(self, claim: Claim, user_id: UUID, alert_id: UUID) -> bool:
        """Remove an alert; says whether it waited."""
        was_waiting = await self._stores.alerts.remove(claim, user_id, alert_id)
        if was_waiting:
            self._watching.remove(claim, alert_id)
        return was_waiting

    async def alerts(self, user_id: UUID) -> Sequence[Alert]:
        """Read the alerts that wait."""
        return await self._stores.alerts.waiting(user_id)

    @asynccontextmanager
    async def _read_again_when_unknown(self, claim: Claim) -> AsyncIterator[None]:
        try:
            yield
        except BaseException:
            self._watching.read_again(claim)
            raise

    async def _available(
        self, claim: Claim, user_id: UUID, wish: Wish, instrument: Instrument
    ) -> Decimal:
        spent, _ = assets_of(wish.side, instrument)
        (balance,) = await self._accounts.ensure_accounts(claim, user_id, [spent.asset_id])
        return balance.available

    async def _resolve(
        self,
        wish: Wish,
        instrument: Instrument,
        available: Decimal,
        condition: Condition,
        quoted: Decimal,
        slippage: int,
    ) -> Terms | Refusal:
        question = first_question(wish, instrument, available)
        if isinstance(question, Refusal):
            return question
        # For the fee, and for what the venue would never take.
        asked = worth_question(wish, instrument, question, condition, quoted)
        assets = assets_of(wish.side, instrument)
        preview = await self._venue.preview(wish.side, wish.symbol, asked, *assets)
        if isinstance(preview, Refusal):
            return preview
        return resting_terms(wish, instrument, available, question, condition, preview, slippage)


def _watch_of_order(placed: RestingOrder) -> Watch:
    condition = placed.condition
    return Watch(
        watch_id=placed.order_id,
        purpose=Purpose.LIMIT if condition.kind is RestingKind.LIMIT else Purpose.MARKET,
        symbol=placed.draft.wish.symbol,
        direction=condition.direction,
        price=condition.price,
    )
