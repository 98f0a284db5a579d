"""What drafts, orders and prices need of the world, as protocols; `ports` has those of the rest.

All may raise DependencyDown, those that take a claim ClaimLost, and those of other services
RequestRefused: an answer nobody expects. Whatever is raised by a call that changes something, its
outcome is unknown.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from kernel.sharding import Claim
from user_worker.domain.carrying_out import BooksSaid, Record, VenueSaid
from user_worker.domain.market import Candles, Quote
from user_worker.domain.notes import Note, UnknownNote
from user_worker.domain.orders import Draft, Order, Refusal, Side, Wish
from user_worker.domain.replies import Reply
from user_worker.domain.resting import Condition
from user_worker.domain.sizing import Asset, Preview, Question, Terms
from user_worker.ports import Balance


@dataclass(frozen=True, slots=True)
class Offer:
    """Everything of a draft but its id, its times and what becomes of it."""

    wish: Wish
    terms: Terms
    slippage_basis_points: int
    is_simulated: bool
    condition: Condition | None = None
    """What it is to wait for once it is confirmed; None for an order at once."""


class Drafts(Protocol):
    """The drafts in the database."""

    async def of_job(self, user_id: UUID, job_id: UUID) -> Draft | None:
        """Read the draft a job made."""

    async def keep(
        self, claim: Claim, job_id: UUID, user_id: UUID, offer: Offer
    ) -> Draft | Refusal:
        """Keep the job's draft, or find the one it made before; FROZEN while trading is frozen.

        The user's oldest open drafts beyond the limit are cancelled with it.
        """

    async def cancel(self, claim: Claim, user_id: UUID, draft_id: UUID) -> Draft | None:
        """Cancel a draft if it is open; gives it as it then stands."""

    async def cancel_open(self, claim: Claim, user_id: UUID) -> int:
        """Cancel the user's open drafts; gives how many there were."""

    async def read(self, user_id: UUID, draft_id: UUID) -> Draft | None:
        """Read a user's draft; an open one that has expired is EXPIRED, recorded or not."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An order as the database has it."""

    order: Order
    is_late: bool
    """Whether `submit_before` had passed, in database time."""


@dataclass(frozen=True, slots=True)
class Underway:
    """An order that has not ended, and the claim it is to be carried out under."""

    claim: Claim
    seen: Seen


class Orders(Protocol):
    """The orders in the database."""

    async def accept(
        self, claim: Claim, user_id: UUID, draft_id: UUID, language: str
    ) -> Seen | Draft | None:
        """Turn an open draft into an order, or find the order it became.

        The draft when it was cancelled or has expired, which is then recorded. None without such a
        draft, or when it is one that waits for a price. Beyond the limits of what may be under way,
        and while the user's trading is frozen, the order ends at once, REJECTED.
        """

    async def record(
        self, claim: Claim, order: Order, change: Record, *, nobody_waits: bool
    ) -> Seen:
        """Record a step with the change of state it led to, if the order still stands as given.

        SUBMITTED is recorded only before `submit_before`. An end is recorded with its event when
        `nobody_waits` or the user is to be told later. Gives the order as it then stands.
        """

    async def tell_later(self, claim: Claim, order_id: UUID) -> Seen:
        """Have the order's end, if it has not come, told by an event."""

    async def tell_of(self, claim: Claim, user_id: UUID, order_id: UUID) -> None:
        """Have the end of a user's order told by an event, come or not; no such order is no
        error.
        """

    async def look(self, order_id: UUID) -> Seen:
        """Read an order."""

    async def under_way(self, claims: Sequence[Claim], count_max: int) -> Sequence[Underway]:
        """Read the orders of some shards that have not ended, oldest first."""

    async def of_receipt(self, user_id: UUID, receipt: str) -> Order | None:
        """Read a user's order by its receipt id."""

    async def newest(self, user_id: UUID, count_max: int) -> Sequence[Order]:
        """Read a user's newest orders, newest first."""


@dataclass(frozen=True, slots=True)
class EndEvent:
    """The end of an order nobody waited for."""

    event_id: UUID
    claim: Claim
    """What it is marked under."""
    order: Order
    language: str
    """What the user was spoken to in when he confirmed; empty when unknown."""

    @property
    def user_id(self) -> UUID:
        """Who is told."""
        return self.order.draft.user_id


@dataclass(frozen=True, slots=True)
class NoteEvent:
    """Something else to tell."""

    event_id: UUID
    claim: Claim
    """What it is marked under."""
    user_id: UUID
    language: str
    """As in EndEvent."""
    note: Note | UnknownNote


Event = EndEvent | NoteEvent


class Events(Protocol):
    """The events in the database."""

    async def unrelayed(self, claims: Sequence[Claim], count_max: int) -> Sequence[Event]:
        """Read the events of some shards that were not relayed yet, oldest first."""

    async def mark_relayed(self, claim: Claim, event_ids: Sequence[UUID]) -> None:
        """Mark events of one shard as relayed. Safe to repeat."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to say that no job asked for."""

    event_id: UUID
    user_id: UUID
    replies: Sequence[Reply]


class Notices(Protocol):
    """The gateway's lane for notices."""

    async def notify(self, notices: Sequence[Notice]) -> None:
        """Put 1 to 100 notices into the outbox, or drop those for users who cannot be reached."""


class Accounts(Protocol):
    """Who has what, as a wish is resolved with it."""

    async def ensure_accounts(
        self, claim: Claim, user_id: UUID, asset_ids: Sequence[str]
    ) -> Sequence[Balance]:
        """Make or find the user's accounts, in the order asked."""


class ChosenLanguages(Protocol):
    """What users chose to be spoken to in."""

    async def language(self, user_id: UUID) -> str | None:
        """Read the language a user chose, if any."""


class Books(Protocol):
    """The ledger, as orders use it. Each operation has a key made of the order's id."""

    async def hold(self, claim: Claim, order: Order) -> BooksSaid:
        """Hold what the order spends."""

    async def fill(self, claim: Claim, order: Order) -> BooksSaid:
        """Post what an executed order did; the rest of the hold comes back."""

    async def release(self, claim: Claim, order: Order) -> BooksSaid:
        """Void the hold of an order that was given up."""


class Venue(Protocol):
    """Where orders are executed."""

    async def preview(
        self, side: Side, symbol: str, question: Question, spent: Asset, received: Asset
    ) -> Preview | Refusal:
        """Ask what an order that spends one asset and receives the other would do."""

    async def submit(self, claim: Claim, order: Order) -> VenueSaid:
        """Execute the order, once, however often it is submitted."""

    async def inquire(self, order: Order) -> VenueSaid:
        """Ask what became of the order."""

    async def tombstone(self, claim: Claim, order: Order) -> VenueSaid:
        """Make sure that the order is never executed, unless it already was."""


class Ended(Protocol):
    """What waited or ordered by rule, has ended, and became no order."""

    async def old(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """Say in which shards something ended so long ago that it may go."""

    async def forget(self, claim: Claim, count_max: int) -> Mapping[str, int]:
        """Remove it, at most so many rows of each kind; gives how many. Safe to repeat."""


@dataclass(frozen=True, slots=True)
class StatedQuote:
    """A price and when its source stated it."""

    symbol: str
    price: Decimal
    currency: str
    is_simulated: bool
    stated_at: float
    """Seconds since 1970."""

    def at(self, now: float) -> Quote:
        """Give it with its age at `now`."""
        age = max(0.0, now - self.stated_at)
        return Quote(self.symbol, self.price, self.currency, self.is_simulated, age)


@dataclass(frozen=True, slots=True)
class Listed:
    """Something that has a price."""

    symbol: str
    currency: str
    price_digits: int


class QuoteSource(Protocol):
    """Pricing, uncopied."""

    async def listed(self) -> Sequence[Listed]:
        """Read what has a price."""

    async def quotes(self, symbols: Sequence[str]) -> Sequence[StatedQuote]:
        """Read the latest quotes; unknown symbols are missing."""

    def watch(
        self, symbols: Sequence[str]
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[StatedQuote]]]:
        """Read quotes as they change, the present ones first, until the stream ends."""

    async def candles(self, symbol: str, interval_minutes: int, count_max: int) -> Candles:
        """Read the newest candles, the one under way included."""


class Assets(Protocol):
    """The ledger's registry."""

    async def decimals(self) -> Mapping[str, int]:
        """Read the fractional digits of every asset, by id."""
