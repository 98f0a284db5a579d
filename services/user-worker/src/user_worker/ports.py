"""What the worker needs of the world, as protocols.

Use cases (`application`, `conversation`) know these only; `main` fits the adapters in. Every call
raises errors of `user_worker.errors`: all may raise DependencyDown, and those that take a claim
ClaimLost.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from kernel.sharding import Claim, ShardKey
from user_worker.domain.jobs import Job
from user_worker.domain.ownership import Observed
from user_worker.domain.replies import Reply


class Outcome(enum.Enum):
    """How a job ended."""

    DONE = "done"
    SET_ASIDE = "set-aside"


@dataclass(frozen=True, slots=True)
class UndoneJobs:
    """What the inbox says of one shard."""

    claim: Claim
    is_stale: bool
    """The claim is no longer the newest; nothing else is filled in."""
    jobs: tuple[Job, ...] = ()
    next_seqs: Mapping[UUID, int] | None = None
    """Where each user stands; None when not asked for."""


class Inbox(Protocol):
    """The gateway: where jobs come from and end."""

    async def fetch_jobs(
        self, claims: Sequence[Claim], jobs_per_shard_max: int, *, include_cursors: bool
    ) -> Sequence[UndoneJobs]:
        """Read shards' undone jobs, one answer per claim, in order. May raise TooMuch."""

    async def deliver(
        self, claim: Claim, job_id: UUID, replies: Sequence[Reply], outcome: Outcome, error: str
    ) -> None:
        """End a job. Raises JobUnknown and RepliesRefused too. Safe to repeat."""


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """One entry of a shard's stream."""

    key: ShardKey
    entry_id: bytes
    job: Job | None
    """None when the payload is not a job."""


class JobStream(Protocol):
    """The push path. It may lose, repeat, reorder or invent entries."""

    async def read(
        self, positions: Mapping[ShardKey, bytes], wait_seconds: float, entries_max: int
    ) -> Sequence[StreamEntry]:
        """Wait for entries after the given positions; up to `entries_max` of each shard."""

    async def remove(self, key: ShardKey, entry_ids: Sequence[bytes]) -> None:
        """Take entries off the stream; those not there are no error."""


class Placement(Protocol):
    """Which worker owns which shard, in the database."""

    async def register(self, worker: str, incarnation: UUID, lease_seconds: float) -> None:
        """Register a run of this worker; replaces an older run of the same name."""

    async def heartbeat(self, worker: str, incarnation: UUID, lease_seconds: float) -> bool:
        """Extend the lease; False when this run is no longer registered or its lease is over."""

    async def drain(self, worker: str, incarnation: UUID) -> None:
        """Say that this run wants no more shards."""

    async def deregister(self, worker: str, incarnation: UUID) -> None:
        """End a run that has released its shards."""

    async def observe(self, worker: str, incarnation: UUID) -> Observed:
        """See the shards that concern this worker, and the pool's policy."""

    async def claim(
        self, key: ShardKey, worker: str, incarnation: UUID, orphan_seconds: float
    ) -> Claim | None:
        """Claim a shard; None when it is not free for this worker."""

    async def release(self, claim: Claim, worker: str, incarnation: UUID) -> None:
        """Give a shard up; one that is not held any more is no error."""


class Attempts(Protocol):
    """How often a job was begun by owners that did not live to end it."""

    async def begin(self, claim: Claim, job_id: UUID) -> int:
        """Count before running a job; gives how often it had been counted before."""

    async def forgive(self, claim: Claim, job_id: UUID) -> None:
        """Take the count back: the job ended, or an outage was the reason."""


class Preferences(Protocol):
    """What users chose for themselves."""

    async def language(self, user_id: UUID) -> str | None:
        """Read the language a user chose, if any."""

    async def choose_language(self, claim: Claim, user_id: UUID, language: str) -> None:
        """Keep the choice."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A price."""

    price: Decimal
    currency: str
    is_simulated: bool


class Pricing(Protocol):
    """Prices."""

    async def quote(self, symbol: str) -> Quote | None:
        """Read the latest price; None when the symbol is unknown."""


class Wallet(Protocol):
    """Custody."""

    async def ensure_wallet(self, claim: Claim, user_id: UUID) -> str:
        """Make or find the user's wallet; gives its address. May raise RequestRefused."""


@dataclass(frozen=True, slots=True)
class Balance:
    """What a user has of one asset."""

    asset_id: str
    posted: Decimal
    held: Decimal


class Ledger(Protocol):
    """The books."""

    async def ensure_accounts(
        self, claim: Claim, user_id: UUID, asset_ids: Sequence[str]
    ) -> Sequence[Balance]:
        """Make or find the user's accounts, in the order asked. May raise RequestRefused."""
