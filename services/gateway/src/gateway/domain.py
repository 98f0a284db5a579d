"""What the gateway talks about: what an update turned out to be, how newcomers are placed, what is to be sent.

Values only. A `Job` inside is a draft: the inbox fills in who, which shard, which place and when.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias
from uuid import UUID

from purser.gateway.v1 import job_pb2, reply_pb2

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


@dataclass(frozen=True, slots=True)
class Membership:
    """A user blocked or unblocked the bot."""

    update_id: int
    telegram_id: int
    blocked: bool


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


class Verdict(IntEnum):
    """What became of an update. All are final: the update may be acknowledged."""

    ACCEPTED = 1
    """It is a job in the inbox."""
    DUPLICATE = 2
    """It had been accepted before."""
    TURNED_AWAY = 3
    """A stranger while sign-ups are closed or too many; nothing was kept."""
    NOTED = 4
    """It changed what is known of a user and makes no job."""
    IGNORED = 5
    """Nothing for this bot."""
    SET_ASIDE = 6
    """It could not be read or stored and is kept as it came."""


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
    age_seconds: float
    """How long it had waited when it was read."""


@dataclass(frozen=True, slots=True)
class PoolPolicy:
    """What the pool's control loop last said about admission."""

    users_per_shard: int
    accept_new_users: bool


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

    `rooms` are (shard, users) of the shards with room, lowest first; at least `newcomers + 1` of them if there are so
    many. `newest_shard` is the highest number in the directory, -1 for none. The shard ahead is there so that a worker
    owns it before its first user comes.
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
