"""What orders that wait for a price, and alerts, need of the world, as protocols.

All may raise DependencyDown, and those that take a claim ClaimLost. Whatever is raised by a call
that changes something, its outcome is unknown.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from kernel.sharding import Claim
from user_worker.domain.orders import Refusal, Wish
from user_worker.domain.resting import Alert, Condition, Direction, RestingOrder
from user_worker.domain.triggers import Watch
from user_worker.trading_ports import Seen, StatedQuote


@dataclass(frozen=True, slots=True)
class NewAlert:
    """An alert as it is set."""

    alert_id: UUID
    """The id of the job that sets it."""
    symbol: str
    direction: Direction
    price: Decimal
    language: str
    """What its notice is written in if need be."""


@dataclass(frozen=True, slots=True)
class Reached:
    """An alert and the quote that reached it."""

    alert_id: UUID
    quote: StatedQuote


class RestingOrders(Protocol):
    """The resting orders in the database, as users handle them."""

    async def of_job(self, user_id: UUID, job_id: UUID) -> RestingOrder | None:
        """Read the resting order a job offered."""

    async def place(
        self, claim: Claim, user_id: UUID, order_id: UUID, language: str
    ) -> RestingOrder | Refusal | None:
        """Confirm an offered one, or find what became of it; an expired offer is recorded so.

        None when the user has none such. A Refusal beyond the limit of one user, and while his
        trading is frozen.
        """

    async def cancel(self, claim: Claim, user_id: UUID, order_id: UUID) -> RestingOrder | None:
        """Cancel what is offered or waits; gives it as it then stands."""

    async def read(self, user_id: UUID, order_id: UUID) -> RestingOrder | None:
        """Read one."""

    async def of_receipt(self, user_id: UUID, receipt: str) -> RestingOrder | None:
        """Read one by its receipt id."""

    async def waiting(self, user_id: UUID) -> Sequence[RestingOrder]:
        """Read what waits, newest first; the limit of one user bounds it."""

    async def tell_of(self, claim: Claim, user_id: UUID, order_id: UUID) -> None:
        """Have it told by a note that one waits, if it does."""


class Alerts(Protocol):
    """The alerts in the database, as users handle them."""

    async def set(self, claim: Claim, user_id: UUID, new: NewAlert) -> Alert | Refusal:
        """Set an alert, or find the one the job set before. A Refusal beyond the limit."""

    async def remove(self, claim: Claim, user_id: UUID, alert_id: UUID) -> bool:
        """Remove one; says whether it waited."""

    async def waiting(self, user_id: UUID) -> Sequence[Alert]:
        """Read what waits, by symbol and price; the limit of one user bounds it."""


class Waiting(Protocol):
    """What waits in a shard, as its owner watches it."""

    async def page(
        self, claim: Claim, after: UUID | None, count_max: int
    ) -> tuple[Sequence[Watch], UUID | None]:
        """Read watches; gives also where the next page begins, None after the last."""

    async def resting(self, order_ids: Sequence[UUID]) -> Sequence[RestingOrder]:
        """Read resting orders by id."""

    async def trigger(self, claim: Claim, order_ids: Sequence[UUID]) -> Mapping[UUID, Seen | None]:
        """Turn what waits into orders, each once, within the limits of what may be under way.

        Gives the orders, also those that were turned before. None: it still waits, since there is
        no room. What is missing neither waits nor became an order.
        """

    async def reach(self, claim: Claim, reached: Sequence[Reached]) -> None:
        """End alerts, each with the note that tells of it, once. Safe to repeat."""

    async def expired(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """Say in which shards something has waited in vain."""

    async def expire(self, claim: Claim, count_max: int) -> Sequence[UUID]:
        """End what has waited in vain, at most so many, each with the note that tells of it."""


class Watching(Protocol):
    """The owner's watch over the prices of its shards: told of what changed in the database."""

    def add(self, claim: Claim, watch: Watch) -> None:
        """Watch from now on; one that is watched already is no error."""

    def remove(self, claim: Claim, watch_id: UUID) -> None:
        """Watch it no longer; an unknown one is no error."""

    def read_again(self, claim: Claim) -> None:
        """Read what waits in a shard anew: it is not known one by one what has changed."""


class QuoteFeed(Protocol):
    """Prices as they change."""

    def listen(self, listener: Callable[[Sequence[StatedQuote]], None]) -> None:
        """Tell of each newer quote, at once."""

    def latest(self, symbol: str) -> StatedQuote | None:
        """Give the newest quote, however old."""


class Resting(Protocol):
    """Resting orders and alerts, as the conversation asks for them. Every method is safe to repeat:
    the job that asks is its cause. `application.resting` is the real one.
    """

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

    async def place(
        self, claim: Claim, user_id: UUID, order_id: UUID, language: str
    ) -> RestingOrder | Refusal | None:
        """Confirm an offer: it waits from now on. As RestingOrders.place."""

    async def cancel(self, claim: Claim, user_id: UUID, order_id: UUID) -> RestingOrder | None:
        """Cancel what is offered or waits; gives it as it then stands."""

    async def read(self, user_id: UUID, order_id: UUID) -> RestingOrder | None:
        """Read one, whatever became of it."""

    async def of_receipt(self, user_id: UUID, receipt: str) -> RestingOrder | None:
        """Read one by its receipt id."""

    async def waiting(self, user_id: UUID) -> Sequence[RestingOrder]:
        """Read what waits, newest first."""

    async def tell_of(self, claim: Claim, user_id: UUID, order_id: UUID) -> None:
        """Have it told by a notice that one waits, if it does, and watch it."""

    def look_again(self, claim: Claim) -> None:
        """Watch what still waits in a shard, and no more: much of it was cancelled at once."""

    async def set_alert(self, claim: Claim, user_id: UUID, new: NewAlert) -> Alert | Refusal:
        """Set an alert; the same job again gives the same."""

    async def remove_alert(self, claim: Claim, user_id: UUID, alert_id: UUID) -> bool:
        """Remove an alert; says whether it waited."""

    async def alerts(self, user_id: UUID) -> Sequence[Alert]:
        """Read the alerts that wait."""
