"""What freezes, plans and copies need of the world, as protocols; `trading_ports` has the rest.

All may raise DependencyDown, those that take a claim ClaimLost. Whatever is raised by a call that
changes something, its outcome is unknown; each is safe to repeat.
"""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from kernel.sharding import Claim
from user_worker.domain.freezing import Frozen


class Freezes(Protocol):
    """Which users' trading is frozen, in the database."""

    async def freeze(self, claim: Claim, job_id: UUID, user_id: UUID) -> Frozen:
        """Stop all of a user's trading and accept nothing of his from now on.

        The same job again gives the same answer.
        """

    async def frozen_since(self, user_id: UUID) -> datetime | None:
        """Say since when a user's trading is frozen, if it is."""

    async def thaw(self, claim: Claim, user_id: UUID) -> None:
        """Let a user trade again; one who may is no error. What was stopped stays so."""
