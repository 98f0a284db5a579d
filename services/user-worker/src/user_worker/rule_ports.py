"""What freezes, plans and copies need of the world, as protocols; `trading_ports` has the rest.

All may raise DependencyDown, those that take a claim ClaimLost. Whatever is raised by a call that
changes something, its outcome is unknown; each is safe to repeat.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from kernel.sharding import Claim
from user_worker.domain.freezing import Frozen
from user_worker.domain.orders import Refusal, Refused, Side, Wish
from user_worker.domain.rules import Copy, CopyProblem, Plan, Share, Stakes, TooMany
from user_worker.trading_ports import Offer, Seen


class Freezes(Protocol):
    """Which users' trading is frozen, in the database."""

    async def freeze(self, claim: Claim, job_id: UUID, user_id: UUID) -> Frozen:
        """Stop all of a user's trading and accept nothing of his from now on.

        The same job again gives the same answer.
        """

    async def frozen_since(self, user_id: UUID) -> datetime | None:
        """Say since when a user's trading is frozen, if it is."""

    async def standing(self, user_id: UUID) -> UUID | None:
        """Name the freeze that stands: the job that asked for it last."""

    async def thaw(self, claim: Claim, user_id: UUID, freeze_id: UUID) -> bool:
        """End a freeze, unless another one stands by now; says whether the user may trade.

        What was stopped stays so. Safe to repeat.
        """


class Resolver(Protocol):
    """Turns wishes into exact amounts where nobody waits to confirm them."""

    async def resolve(self, wish: Wish, slippage_basis_points: int) -> Offer | Refusal:
        """Resolve a wish by the venue's preview; whether there is enough, the hold will tell."""

    async def spend_refused(self, spend: Decimal) -> Refusal | None:
        """Say why no purchase for so much is ever taken, whatever is bought; None: some may be.

        STALE_PRICE when that cannot be said just now.
        """


class Held(enum.Enum):
    """Why a rule ordered nothing."""

    NO_ROOM = "no-room"
    """Too many orders are under way: to be tried again."""
    GONE = "gone"
    """It was done before, or the rule is not active any more."""
    PAUSED = "paused"
    """The plan pauses from now on."""


@dataclass(frozen=True, slots=True)
class Ruled:
    """For whom a rule orders, and by what cause."""

    user_id: UUID
    cause: UUID
    language: str


@dataclass(frozen=True, slots=True)
class DuePlan:
    """A plan whose next run is due."""

    claim: Claim
    """What it is run under."""
    plan: Plan
    language: str
    is_overdue: bool
    """Whether it was tried for long enough."""


class Plans(Protocol):
    """The plans in the database."""

    async def of_job(self, user_id: UUID, job_id: UUID) -> Plan | None:
        """Read the plan a job offered."""

    async def offer(
        self,
        claim: Claim,
        job_id: UUID,
        user_id: UUID,
        wish: Wish,
        slippage_basis_points: int,
        period_seconds: int,
        runs_max: int | None,
    ) -> Plan | Refusal:
        """Keep the job's offered plan, or find it; FROZEN while trading is frozen."""

    async def confirm(
        self, claim: Claim, user_id: UUID, plan_id: UUID, language: str
    ) -> Plan | TooMany | Refusal | None:
        """Make an offered plan active; its first run is due at once.

        Gives it as it then stands, also when it was not offered any more. None without such a plan.
        """

    async def pause(self, claim: Claim, user_id: UUID, plan_id: UUID) -> Plan | None:
        """Pause an active plan; gives it as it then stands."""

    async def resume(self, claim: Claim, user_id: UUID, plan_id: UUID) -> Plan | Refusal | None:
        """Make a paused plan active; what it missed is not made up."""

    async def cancel(self, claim: Claim, user_id: UUID, plan_id: UUID) -> Plan | None:
        """End a plan for good, whatever it does; gives it as it then stands."""

    async def of_user(self, user_id: UUID) -> Sequence[Plan]:
        """Read a user's active and paused plans, oldest first."""

    async def due(self, claims: Sequence[Claim], count_max: int) -> Sequence[DuePlan]:
        """Read the plans of some shards whose run is due, the longest due first, at most so many
        of each.
        """

    async def run(self, due: DuePlan, offer: Offer) -> Seen | Held:
        """Accept the run's order and count the run, once.

        A plan whose last runs all found too little money pauses instead, which is told.
        """

    async def skip(self, due: DuePlan, reason: Refused | None) -> bool:
        """Count the run without an order and tell why; None: there was no price. Says whether it
        was still to be run.
        """


@dataclass(frozen=True, slots=True)
class LeaderTrade:
    """A filled order of a leader that a copy has not dealt with."""

    claim: Claim
    """The follower's, under which it is copied."""
    copy: Copy
    language: str
    leader_order_id: UUID
    side: Side
    symbol: str


class Shares(Protocol):
    """Who lets others copy his trades, in the database."""

    async def share(self, claim: Claim, user_id: UUID) -> Share:
        """Let others copy a user's trades by a code, or find what he shares by."""

    async def stop(self, claim: Claim, user_id: UUID) -> bool:
        """Let nobody copy him any more; says whether somebody might have."""

    async def of_user(self, user_id: UUID) -> Share | None:
        """Read by what a user shares, if he does."""


class Copies(Protocol):
    """Who copies whom, in the database."""

    async def of_job(self, user_id: UUID, job_id: UUID) -> Copy | None:
        """Read the copy a job offered."""

    async def offer(
        self,
        claim: Claim,
        job_id: UUID,
        user_id: UUID,
        code: str,
        spend: Decimal,
        slippage_basis_points: int,
    ) -> Copy | CopyProblem | Refusal:
        """Keep the job's offered copy, or find it; FROZEN while trading is frozen."""

    async def confirm(
        self, claim: Claim, user_id: UUID, copy_id: UUID, language: str
    ) -> Copy | CopyProblem | TooMany | Refusal | None:
        """Make an offered copy active: trades the leader orders from now on are copied.

        Gives it as it then stands, also when it was not offered any more. None without such a copy.
        """

    async def end(self, claim: Claim, user_id: UUID, copy_id: UUID) -> Copy | None:
        """Stop copying; gives it as it then stands."""

    async def of_user(self, user_id: UUID) -> Sequence[Copy]:
        """Read a user's active copies, oldest first."""

    async def to_take(
        self, claims: Sequence[Claim], back_seconds: float, count_max: int
    ) -> Sequence[LeaderTrade]:
        """Read what leaders of some shards' followers traded and was not dealt with.

        Of each copy at most so many, the first of each symbol before the second of any, in the
        order in which the leader's trades of the symbol were executed; none before an earlier one
        has ended, and none older than may be copied. Only of leaders of whom something is not older
        than `back_seconds`. Nothing of a leader whose trading is frozen, and nothing that was
        copied itself.
        """

    async def stakes(self, trade: LeaderTrade) -> Stakes | None:
        """Read what a leader's sale is measured by; None while an order of this copy and symbol is
        under way.
        """

    async def take(self, trade: LeaderTrade, offer: Offer) -> Seen | Held:
        """Accept the order that copies a trade and mark the trade, once."""

    async def skip(self, trade: LeaderTrade, reason: Refused | None) -> None:
        """Mark a trade without an order and tell why; None: there was nothing to sell, untold."""

    async def pass_over(self, claims: Sequence[Claim]) -> int:
        """Mark and tell what was not copied in time, and end copies of those who share no more.

        Gives how many there are to tell.
        """
