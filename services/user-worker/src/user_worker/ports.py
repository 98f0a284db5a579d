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

from kernel.money import exact
from kernel.sharding import Claim, ShardKey
from user_worker.domain.jobs import Job
from user_worker.domain.market import Candles, Instrument, Quote
from user_worker.domain.orders import Coins, Draft, Order, Refusal, Wish
from user_worker.domain.ownership import Observed
from user_worker.domain.performance import MarkedTime, Performance, TradePage
from user_worker.domain.pictures import CandlesPicture, PortfolioPicture
from user_worker.domain.replies import Reply
from user_worker.domain.sessions import Session


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

    async def read_job(self, claim: Claim, job_id: UUID) -> Job:
        """Read one undone job as the inbox has it, not as a stream tells it. Raises JobUnknown."""


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

    async def slippage_basis_points(self, user_id: UUID) -> int | None:
        """Read how far a price may move against the user's order, if he chose it."""

    async def choose_slippage(self, claim: Claim, user_id: UUID, basis_points: int) -> None:
        """Keep the choice."""

    async def forget(self, claim: Claim, user_id: UUID) -> None:
        """Erase the user's choices and the drafts that became no order. Safe to repeat."""


class Pricing(Protocol):
    """Prices. The local copy answers `quote` without a call while its stream is fresh."""

    async def instruments(self) -> Mapping[str, Instrument]:
        """Read what is traded, by symbol; remembered for a while."""

    async def quote(self, symbol: str) -> Quote | None:
        """Read the latest price, however old; None when the symbol is unknown."""

    async def candles(self, symbol: str, interval_minutes: int, count_max: int) -> Candles:
        """Read the newest candles, the one under way included."""


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

    @property
    def available(self) -> Decimal:
        """What can be spent. Exact: both have at most 18 fractional digits."""
        with exact():
            return self.posted - self.held


class Ledger(Protocol):
    """The books, as the conversation reads them."""

    async def ensure_accounts(
        self, claim: Claim, user_id: UUID, asset_ids: Sequence[str]
    ) -> Sequence[Balance]:
        """Make or find the user's accounts, in the order asked. May raise RequestRefused."""

    async def open_faucet(self, claim: Claim, user_id: UUID, amount: Coins) -> bool:
        """Give a new user his play money: the first time, and only then, it is given (True)."""

    async def trades(self, user_id: UUID, page_size: int, page_token: str) -> TradePage:
        """Read trades, newest first. May raise RequestRefused (a malformed token)."""

    async def performance(
        self,
        user_id: UUID,
        currency_asset_id: str,
        marks: Mapping[str, Decimal],
        past: Sequence[MarkedTime],
        *,
        may_be_old: bool = False,
    ) -> Performance:
        """Read how trading went; `marks` are present prices by asset id. What `may_be_old` may lack
        the trades of the last seconds."""


class Trading(Protocol):
    """Drafts and orders, as the conversation asks for them. `application.trading` is the real one.

    Every method is safe to repeat: the job that asks is its cause.
    """

    async def propose(
        self, claim: Claim, job_id: UUID, user_id: UUID, wish: Wish, slippage_basis_points: int
    ) -> Draft | Refusal:
        """Resolve a wish into a draft; the same job again gives the same draft."""

    async def confirm(
        self, claim: Claim, user_id: UUID, draft_id: UUID, language: str = ""
    ) -> Order | Draft | None:
        """Turn a draft into an order and carry it out, waiting a few seconds for its end.

        `language` is what a notice is written in if need be. Gives the order as it then stands
        (not final: the user is told later, by a notice); the draft when it was cancelled or had
        expired; None when the user has no such draft.
        """

    async def tell_of(self, claim: Claim, user_id: UUID, draft_id: UUID) -> None:
        """Have the end of the order a draft became told by a notice, also when it has ended and
        nobody told; nothing when it became none.
        """

    async def cancel(self, claim: Claim, user_id: UUID, draft_id: UUID) -> Draft | None:
        """Withdraw a draft; gives it as it then stands (CONFIRMED: too late)."""

    async def cancel_open(self, claim: Claim, user_id: UUID) -> int:
        """Withdraw all open drafts of a user; gives how many there were."""

    async def draft(self, user_id: UUID, draft_id: UUID) -> Draft | None:
        """Read a user's draft, whatever became of it."""

    async def order(self, user_id: UUID, receipt: str) -> Order | None:
        """Read a user's order by its receipt id."""

    async def orders(self, user_id: UUID, count_max: int) -> Sequence[Order]:
        """Read a user's newest orders, newest first, the rejected ones included."""


class Sessions(Protocol):
    """Dialogue states, in Redis under a time to live. All may raise DependencyDown."""

    async def read(self, user_id: UUID) -> Session | None:
        """Read what the dialogue waits for, if anything."""

    async def keep(self, user_id: UUID, session: Session) -> None:
        """Keep what it waits for now."""

    async def end(self, user_id: UUID) -> None:
        """Forget it."""


class Gateway(Protocol):
    """What else the conversation asks of the gateway."""

    async def forget_user(self, claim: Claim, user_id: UUID) -> None:
        """Erase what it keeps of the user beyond what it needs to go on."""


class Pictures(Protocol):
    """Charts as PNG of at most PICTURE_BYTES_MAX bytes; the same input gives the same bytes.

    Both raise PictureFailed and nothing else: an answer goes without its picture then.
    """

    async def candles(self, picture: CandlesPicture) -> bytes:
        """Draw a price over time; one without candles says so."""

    async def portfolio(self, picture: PortfolioPicture) -> bytes:
        """Draw the value over time and what it is made of; an empty one says so."""
