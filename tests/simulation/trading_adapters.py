"""The worker's ports in front of schema `worker` in memory."""

from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from tests.simulation.network import Network
from tests.simulation.trading import TradingTables

from kernel.sharding import Claim
from user_worker.domain.carrying_out import Record
from user_worker.domain.orders import Draft, Order, Refusal
from user_worker.trading_ports import Event, Offer, Seen, Underway

Result = TypeVar("Result")


class Port:
    """Calls the database."""

    def __init__(self, network: Network, tables: TradingTables) -> None:
        self._network = network
        self._tables = tables

    async def _call(self, what: str, effect: Callable[[], Result]) -> Result:
        return await self._network.call("database", what, effect)


class SimulatedDrafts(Port):
    """trading_ports.Drafts"""

    async def of_job(self, user_id: UUID, job_id: UUID) -> Draft | None:
        """See trading_ports."""
        return await self._call("draft", lambda: self._tables.draft_of_job(user_id, job_id))

    async def keep(
        self, claim: Claim, job_id: UUID, user_id: UUID, offer: Offer
    ) -> Draft | Refusal:
        """See trading_ports."""
        tables = self._tables
        return await self._call("keep", lambda: tables.keep(claim, job_id, user_id, offer))

    async def cancel(self, claim: Claim, user_id: UUID, draft_id: UUID) -> Draft | None:
        """See trading_ports."""
        return await self._call("cancel", lambda: self._tables.cancel(claim, user_id, draft_id))

    async def cancel_open(self, claim: Claim, user_id: UUID) -> int:
        """See trading_ports."""
        return await self._call("cancel all", lambda: self._tables.cancel_open(claim, user_id))

    async def read(self, user_id: UUID, draft_id: UUID) -> Draft | None:
        """See trading_ports."""
        return await self._call("draft", lambda: self._tables.draft(user_id, draft_id))


class SimulatedOrders(Port):
    """trading_ports.Orders"""

    async def accept(
        self, claim: Claim, user_id: UUID, draft_id: UUID, language: str
    ) -> Seen | Draft | None:
        """See trading_ports."""
        tables = self._tables
        return await self._call(
            f"accept {draft_id}", lambda: tables.accept(claim, user_id, draft_id, language)
        )

    async def record(
        self, claim: Claim, order: Order, change: Record, *, nobody_waits: bool
    ) -> Seen:
        """See trading_ports."""
        tables = self._tables
        return await self._call(
            f"record {order.order_id} {order.state.value} → {change.state.value} under {claim}",
            lambda: tables.record(claim, order, change, nobody_waits=nobody_waits),
        )

    async def tell_later(self, claim: Claim, order_id: UUID) -> Seen:
        """See trading_ports."""
        return await self._call(
            f"tell later {order_id}", lambda: self._tables.tell_later(claim, order_id)
        )

    async def tell_of(self, claim: Claim, user_id: UUID, order_id: UUID) -> None:
        """See trading_ports."""
        await self._call("tell of", lambda: self._tables.tell_of(claim, user_id, order_id))

    async def look(self, order_id: UUID) -> Seen:
        """See trading_ports."""
        return await self._call(f"look {order_id}", lambda: self._tables.look(order_id))

    async def under_way(self, claims: Sequence[Claim], count_max: int) -> Sequence[Underway]:
        """See trading_ports."""
        return await self._call("orders", lambda: self._tables.open_orders(claims, count_max))

    async def of_receipt(self, user_id: UUID, receipt: str) -> Order | None:
        """See trading_ports."""
        return await self._call("receipt", lambda: self._tables.order_of_receipt(user_id, receipt))

    async def newest(self, user_id: UUID, count_max: int) -> Sequence[Order]:
        """See trading_ports."""
        return await self._call("newest", lambda: self._tables.newest(user_id, count_max))


class SimulatedEvents(Port):
    """trading_ports.Events"""

    async def unrelayed(self, claims: Sequence[Claim], count_max: int) -> Sequence[Event]:
        """See trading_ports."""
        return await self._call("events", lambda: self._tables.unrelayed(claims, count_max))

    async def mark_relayed(self, claim: Claim, event_ids: Sequence[UUID]) -> None:
        """See trading_ports."""
        await self._call("mark", lambda: self._tables.mark_relayed(claim, event_ids))


class SimulatedAttempts(Port):
    """ports.Attempts"""

    async def begin(self, claim: Claim, job_id: UUID) -> int:
        """See ports."""
        return await self._call("begin", lambda: self._tables.begin_attempt(claim, job_id))

    async def forgive(self, claim: Claim, job_id: UUID) -> None:
        """See ports."""
        await self._call("forgive", lambda: self._tables.forgive(claim, job_id))


class SimulatedPreferences(Port):
    """ports.Preferences"""

    async def language(self, user_id: UUID) -> str | None:
        """See ports."""
        return await self._call("language", lambda: self._tables.languages.get(user_id))

    async def choose_language(self, claim: Claim, user_id: UUID, language: str) -> None:
        """See ports."""
        tables = self._tables
        await self._call("choose", lambda: tables.choose_language(claim, user_id, language))

    async def slippage_basis_points(self, user_id: UUID) -> int | None:
        """See ports."""
        return await self._call("slippage", lambda: self._tables.slippages.get(user_id))

    async def choose_slippage(self, claim: Claim, user_id: UUID, basis_points: int) -> None:
        """See ports."""
        tables = self._tables
        await self._call("choose", lambda: tables.choose_slippage(claim, user_id, basis_points))

    async def forget(self, claim: Claim, user_id: UUID) -> None:
        """See ports."""
        await self._call("forget", lambda: self._tables.forget(claim, user_id))
