"""What the use cases need from the world.

`gateway.postgres` and `gateway.telegram` fit; so do the tests' fakes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from gateway.domain import (
    AcceptedJob,
    Ended,
    Ending,
    EndingRefused,
    Incoming,
    Lane,
    Mark,
    OutboxRow,
    PageMark,
    Replayed,
    SetAsideFilter,
    Storable,
    Verdict,
)
from kernel.sharding import Claim
from purser.gateway.v1 import gateway_pb2, job_pb2, reply_pb2


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What bounds group commit."""

    entries_max: int
    wait_milliseconds: float
    queue_max: int


class InboxStore(Protocol):
    """Keeps what came in."""

    async def accept(self, updates: Sequence[Storable]) -> list[tuple[Verdict, AcceptedJob | None]]:
        """Commit a batch of updates with different ids; per update, in order, what became of it.

        Raises RowsRefused when a row's data cannot be kept (nothing is), TryAgain when the
        database is away.
        """

    async def set_aside(
        self, update_id: int | None, telegram_id: int | None, raw: bytes, error: str
    ) -> None:
        """Keep an update that nothing can be made of; who sent it as far as one can tell.

        Raises TryAgain.
        """


class RushGuard(Protocol):
    """Knows who sends more than a person would."""

    async def rushes(self, updates: Sequence[Incoming]) -> list[UUID | None]:
        """Per update, in order: None when it may pass, else the name of the rush it is part of.

        Never raises: when nobody knows, all may pass.
        """


class JobReader(Protocol):
    """Says what there is to do."""

    @property
    def stream_key(self) -> bytes:
        """What seals the entries of the streams."""

    async def fetch(
        self, claims: Sequence[Claim], jobs_per_shard_max: int, *, cursors: bool
    ) -> list[gateway_pb2.ShardJobs]:
        """Read the undone jobs of shards, in the order of the claims. Raises TryAgain."""

    async def read(self, claim: Claim, job_id: UUID) -> job_pb2.Job:
        """Read one undone job. Raises StaleClaim, NotFound, TryAgain."""


class SetAsideStore(Protocol):
    """Knows the jobs that were set aside."""

    async def list(
        self, chosen: SetAsideFilter, jobs_max: int, after: PageMark | None
    ) -> tuple[list[gateway_pb2.SetAsideJob], PageMark | None]:
        """Read a page, set aside last first, and the mark after which the next one begins.

        Raises TryAgain.
        """

    async def read(
        self, job_id: UUID, *, include_input: bool
    ) -> tuple[gateway_pb2.SetAsideJob, job_pb2.Job | None]:
        """Read one, and on request the job as it was accepted. Raises NotFound, TryAgain."""

    async def replay(self, job_id: UUID) -> Replayed:
        """Accept a replay, or find the one there is.

        Raises NotFound, Refused (FORGOTTEN), LimitReached, TryAgain.
        """


class Forgetter(Protocol):
    """Erases what is kept of a user beyond what the service needs to go on."""

    async def forget(self, claim: Claim, user_id: UUID) -> None:
        """Forget a user of the claim's shard; doing it again is no harm.

        Raises StaleClaim, NotFound, TryAgain.
        """


class OutboxStore(Protocol):
    """Ends jobs and keeps what is to be said."""

    async def end_jobs(
        self, endings: Sequence[Ending], *, take_leases: bool
    ) -> list[Ended | EndingRefused]:
        """End a batch of jobs in one transaction; per job, in order, what became of it.

        Raises TryAgain.
        """

    async def put_notices(
        self, notices: Sequence[tuple[UUID, UUID, Sequence[bytes]]]
    ) -> tuple[set[UUID], set[UUID]]:
        """Keep notices of (event id, user id, encoded replies).

        Gives the events kept now and the users one can reach. Raises TryAgain.
        """


class LeaseStore(Protocol):
    """Keeps the leases of sending, and what became of what was sent."""

    async def take_due(self, lane: Lane, chats_max: int) -> dict[UUID, tuple[int, list[OutboxRow]]]:
        """Take the chats of a lane that nobody sends to: the count of arrivals, the pending rows.

        Raises TryAgain.
        """

    async def look_again(self, lane: Lane, user_id: UUID) -> tuple[int, list[OutboxRow]] | None:
        """Renew a chat's lease and read its pending rows; None when the lease is lost.

        Raises TryAgain.
        """

    async def end_lease(self, lane: Lane, user_id: UUID, arrivals: int) -> bool:
        """End a chat's lease if no more than so many arrivals are counted. Raises TryAgain."""

    async def give_up_leases(self) -> None:
        """Let other gateways send what this one has taken. Raises TryAgain."""

    async def mark(self, marks: Sequence[Mark]) -> list[bool]:
        """Write down what became of rows; per mark whether its chat's lease has ended here.

        Raises TryAgain.
        """

    async def message_id(self, user_id: UUID, message_key: str) -> int | None:
        """Find the Telegram message a worker knows by `message_key`. Raises TryAgain."""


class LatenessStore(Protocol):
    """Knows whether users wait."""

    async def is_late(self) -> bool:
        """Whether answers or jobs wait, so that notices should. Raises TryAgain."""


class BotApi(Protocol):
    """Talks to Telegram. Each call may raise TelegramFailure."""

    async def say(
        self, telegram_id: int, reply: reply_pb2.Reply, message_id: int | None, *, plain: bool
    ) -> int:
        """Carry one reply out; return the id of the message that now shows it, 0 when there is
        none.
        """

    async def answer_silently(self, press_id: str) -> None:
        """Stop the waiting sign on a button."""

    async def send_plain(self, telegram_id: int, text: str) -> None:
        """Send a line that is no reply to a job."""


class Hold(Protocol):
    """Keeps notices back."""

    async def is_held(self) -> bool:
        """Whether notices are to wait. Raises TryAgain."""


class Throttle(Protocol):
    """Token buckets shared by all gateways."""

    async def take(self, who: str, tokens: float = 1) -> float:
        """Take tokens; 0 when taken, else the seconds after which to ask again."""
