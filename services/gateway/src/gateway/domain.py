"""What the gateway talks about: what an update turned out to be, how newcomers are placed, what is
to be sent.

Values only. A `Job` inside is a draft: the inbox fills in who, which shard, which place and when.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum
from typing import TypeAlias
from uuid import UUID

from gateway.admission_rules import FirstContact
from kernel.sharding import Claim, ShardKey
from purser.gateway.v1 import job_pb2, reply_pb2

URGENT_COMMANDS = frozenset({"panic"})
"""Must not be told to wait: who sends it fears for their money, most of all when everybody writes.
"""

JOB_BYTES_MAX = 65_536
"""The contract of `Job`: larger ones are never written."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """Something a user did that becomes a job."""

    update_id: int
    telegram_id: int
    draft: job_pb2.Job
    """Input, language and name filled in."""
    press_id: str = ""
    """Telegram's id of the press to answer; empty when nothing was pressed."""
    pressed_message_id: int = 0
    """The Telegram message under which was pressed; 0 when unknown."""
    is_premium: bool = False
    """Whether Telegram says that the user has Telegram Premium."""

    @property
    def is_urgent(self) -> bool:
        """Whether it has room where nothing else has."""
        return self.draft.command.name in URGENT_COMMANDS

    @property
    def contact(self) -> FirstContact:
        """What it says of its user, should he be a newcomer."""
        command = self.draft.command
        return FirstContact(
            start=command.arguments if command.name == "start" else "",
            is_premium=self.is_premium,
            language_code=self.draft.language_code,
        )


@dataclass(frozen=True, slots=True)
class Membership:
    """A user blocked or unblocked the bot."""

    update_id: int
    telegram_id: int
    blocked: bool


@dataclass(frozen=True, slots=True)
class OverLimit:
    """Something of a user who sends more than the limit: it becomes no job, is remembered as seen
    and answered once per rush.
    """

    update_id: int
    telegram_id: int
    rush: UUID
    """What it is part of: the cause of the one answer."""
    answer: reply_pb2.Reply


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing for this bot: acknowledged and counted."""

    reason: str
    press_id: str = ""
    """A press in a place the bot does not serve; it is answered silently all the same."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """Not what Telegram promises: set aside with the error, acknowledged."""

    error: str
    update_id: int | None = None


Translated: TypeAlias = Incoming | Membership | Ignored | Malformed
Storable: TypeAlias = Incoming | Membership | OverLimit
"""What the inbox takes."""


class Verdict(IntEnum):
    """What became of an update. All are final: the update may be acknowledged."""

    ACCEPTED = 1
    """It is a job in the inbox."""
    DUPLICATE = 2
    """What becomes of it was decided before."""
    TURNED_AWAY = 3
    """A stranger while sign-ups are closed or too many; nothing was kept."""
    NOTED = 4
    """It changed what is known of a user and makes no job."""
    IGNORED = 5
    """Nothing for this bot."""
    SET_ASIDE = 6
    """It could not be read or stored and is kept as it came."""
    OVER_LIMIT = 7
    """Its user sends more than the limit; it makes no job, and the user is told once."""
    TOO_MUCH_WAITING = 8
    """So much of its user's, or of its shard's, waits that it makes no job; the user is told once.
    """


class Lane(IntEnum):
    """How urgently something is sent."""

    ANSWER = 1
    """Somebody waits for it."""
    NOTICE = 2
    """Nobody asked for it."""


@dataclass(frozen=True, slots=True)
class AcceptedJob:
    """A committed job on its way to its shard's stream."""

    pool: str
    shard: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class SetAsideFilter:
    """Which jobs that were set aside somebody wants to see."""

    pool: str
    shard: int | None = None
    user_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class PageMark:
    """The last job of a page; the next page begins after it."""

    at: datetime
    job_id: UUID


@dataclass(frozen=True, slots=True)
class Replayed:
    """The replay of a job that was set aside."""

    job_id: UUID
    job: AcceptedJob | None
    """What is to be pushed to the stream; None when the replay was there before."""
    is_done: bool


@dataclass(frozen=True, slots=True)
class RowKey:
    """Names one row of the outbox."""

    lane: Lane
    cause: UUID
    number: int


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One reply to be sent."""

    key: RowKey
    user_id: UUID
    telegram_id: int
    reply: reply_pb2.Reply
    attempts: int
    """How often it was tried before and failed; what Telegram itself put off is not counted."""
    since: float
    """When it was committed, on this process's monotonic clock."""


class RowState(IntEnum):
    """gateway.outbox.state"""

    PENDING = 0
    SENT = 1
    FAILED = 2
    UNDELIVERABLE = 3


class EndingRefused(Enum):
    """Why a Deliver call did not end its job."""

    ALREADY_ENDED = 1
    """An earlier call had ended it."""
    UNKNOWN = 2
    """No such job in that shard."""
    STALE = 3
    """The claim is not the newest."""


@dataclass(frozen=True, slots=True)
class Ending:
    """One Deliver call: a job and what is said at its end."""

    claim: Claim
    job_id: UUID
    outcome: int
    error: str | None
    replies: Sequence[reply_pb2.Reply]
    press_answered: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """The job ended by this call."""

    user_id: UUID
    rows: list[OutboxRow]
    """In sending order."""
    arrivals: int
    """The chat's count after this batch; 0 when nothing is said."""
    ours: bool
    """Whether this gateway has the lease of sending there."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What became of one attempt to send a row."""

    row: OutboxRow
    state: RowState
    failure: str | None = None
    message_id: int = 0
    """What Telegram calls the message now; 0 when there is nothing to remember."""
    blocked: bool = False
    """Telegram says that the user blocked the bot: nothing of theirs will be sent."""
    end_lease_at: int | None = None
    """End the chat's lease if no more than so many arrivals are counted."""
    postpone_seconds: float | None = None
    """Give the chat's lease up and let nobody send there for so long."""
    is_counted: bool = True
    """Whether it was one of the tries a reply has."""


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a user is."""

    user_id: UUID
    telegram_id: int
    key: ShardKey


@dataclass(frozen=True, slots=True)
class ShardRoom:
    """Where users can be moved to."""

    key: ShardKey
    users: int
    """How many of them, when it was looked at."""
    users_per_shard: int


@dataclass(frozen=True, slots=True)
class AdmissionPlan:
    """Where newcomers go, and which shards must exist for that."""

    shards: tuple[int, ...]
    """One shard per newcomer, in order."""
    make: tuple[int, ...]
    """Shards that are not in the directory yet: those just filled and one empty one ahead."""


def plan_admissions(
    rooms: Sequence[tuple[int, int]], newest_shard: int, newcomers: int, users_per_shard: int
) -> AdmissionPlan:
    """Fill the lowest shards with room first and keep one empty shard ahead.

    `rooms` are (shard, users) of the shards with room, lowest first; at least `newcomers + 1` of
    them if there are so many. `newest_shard` is the highest number in the directory, -1 for none.
    The shard ahead is there so that a worker owns it before its first user comes.
    """
    shards: list[int] = []
    for shard, users in rooms:
        room = max(0, users_per_shard - users)
        shards.extend([shard] * min(room, newcomers - len(shards)))
    top = newest_shard
    while len(shards) < newcomers:
        top += 1
        shards.extend([top] * min(users_per_shard, newcomers - len(shards)))
    filled = set(shards)
    if not any(users == 0 and shard not in filled for shard, users in rooms):
        top += 1
    return AdmissionPlan(tuple(shards), tuple(range(newest_shard + 1, top + 1)))


def press_answer(press_id: str) -> bytes:
    """Encode the silent answer to a press, for the case that the worker gives none."""
    reply = reply_pb2.Reply(answer_press=reply_pb2.AnswerPress(press_id=press_id))
    return reply.SerializeToString()


def answers_a_press(replies: Iterable[reply_pb2.Reply]) -> bool:
    """Whether the worker itself answers the press of its job."""
    return any(reply.WhichOneof("body") == "answer_press" for reply in replies)
