"""What becomes of one attempt to say a reply, for every way Telegram can fail."""

import time
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from gateway.application.saying import SayLimits, say_once
from gateway.domain import Lane, Mark, OutboxRow, RowKey, RowState
from gateway.errors import (
    AlreadySo,
    CallRefused,
    MarkupRefused,
    MessageGone,
    RetryLater,
    TelegramFailure,
    TokenRefused,
    UserBlockedBot,
)
from purser.gateway.v1 import reply_pb2

LIMITS = SayLimits(
    attempts_max=10, age_seconds_max=3600, press_age_seconds_max=15, backoff_seconds_max=60
)
TEXT = reply_pb2.Reply(send_text=reply_pb2.SendText(text="hi"))
EDIT = reply_pb2.Reply(message_key="k", edit_text=reply_pb2.EditText(text="hi"))
PRESS = reply_pb2.Reply(answer_press=reply_pb2.AnswerPress(press_id="1"))


class FakeTelegram:
    """Fails as told, call by call, then succeeds with message 42."""

    def __init__(self, *failures: TelegramFailure) -> None:
        self.failures = list(failures)
        self.calls: list[tuple[int | None, bool]] = []

    async def say(
        self, telegram_id: int, reply: reply_pb2.Reply, message_id: int | None, *, plain: bool
    ) -> int:
        """Record (message id, plain)."""
        self.calls.append((message_id, plain))
        if self.failures:
            raise self.failures.pop(0)
        return 42

    async def answer_silently(self, press_id: str) -> None:
        """Unused here."""

    async def send_plain(self, telegram_id: int, text: str) -> None:
        """Unused here."""


def row(reply: reply_pb2.Reply, attempts: int = 0, age_seconds: float = 0) -> OutboxRow:
    """A row as it is read from the outbox."""
    key = RowKey(Lane.ANSWER, uuid4(), 1)
    return OutboxRow(key, uuid4(), 5, reply, attempts, time.monotonic() - age_seconds)


async def attempt(
    telegram: FakeTelegram, said: OutboxRow, known: Sequence[tuple[str, int]] = ()
) -> Mark:
    """Say it to a Telegram, with message keys that are known."""

    async def find(user_id: UUID, key: str) -> int | None:
        return dict(known).get(key)

    return await say_once(telegram, said, find, LIMITS)


async def test_what_was_said_is_remembered_with_its_message() -> None:
    """A later edit finds it by the message's id."""
    mark = await attempt(FakeTelegram(), row(TEXT))
    assert (mark.state, mark.message_id, mark.postpone_seconds) == (RowState.SENT, 42, None)


async def test_an_edit_changes_the_message_it_names() -> None:
    """No new message is made."""
    telegram = FakeTelegram()
    await attempt(telegram, row(EDIT), [("k", 7)])
    assert telegram.calls == [(7, False)]


async def test_an_edit_of_a_message_nobody_knows_becomes_a_message() -> None:
    """The message may never have reached the chat."""
    telegram = FakeTelegram()
    await attempt(telegram, row(EDIT))
    assert telegram.calls == [(None, False)]


async def test_an_edit_of_a_message_that_is_gone_becomes_a_message() -> None:
    """The user may have deleted it."""
    telegram = FakeTelegram(MessageGone("message to edit not found"))
    mark = await attempt(telegram, row(EDIT), [("k", 7)])
    assert telegram.calls == [(7, False), (None, False)]
    assert mark.message_id == 42


async def test_markup_telegram_cannot_parse_is_said_plainly_once() -> None:
    """Better without bold than not at all; and no loop."""
    telegram = FakeTelegram(MarkupRefused("can't parse entities"), MarkupRefused("again"))
    mark = await attempt(telegram, row(TEXT))
    assert telegram.calls == [(None, False), (None, True)]
    assert mark.state is RowState.FAILED


@pytest.mark.parametrize(
    ("failure", "state"),
    [
        (AlreadySo("message is not modified"), RowState.SENT),
        (CallRefused("chat not found"), RowState.FAILED),
        (UserBlockedBot("bot was blocked"), RowState.UNDELIVERABLE),
    ],
)
async def test_final_failures_keep_their_error(failure: TelegramFailure, state: RowState) -> None:
    """Nothing is tried again."""
    mark = await attempt(FakeTelegram(failure), row(TEXT))
    assert (mark.state, mark.failure, mark.postpone_seconds) == (state, str(failure), None)
    assert mark.blocked == (state is RowState.UNDELIVERABLE)


async def test_a_429_postpones_the_chat_for_exactly_what_telegram_wants() -> None:
    """Longer than our own longest pause, too."""
    mark = await attempt(FakeTelegram(RetryLater("429", 300.0)), row(TEXT))
    assert (mark.state, mark.postpone_seconds) == (RowState.PENDING, 300.0)


@pytest.mark.parametrize(("attempts", "delay"), [(0, 0.5), (3, 4.0), (8, 60.0)])
async def test_other_failures_postpone_by_doubling_up_to_a_bound(
    attempts: int, delay: float
) -> None:
    """Telegram's outage must not become our storm."""
    mark = await attempt(FakeTelegram(RetryLater("500")), row(TEXT, attempts))
    assert mark.postpone_seconds == delay


@pytest.mark.parametrize(
    "said", [row(TEXT, attempts=9), row(TEXT, age_seconds=3601), row(PRESS, age_seconds=16)]
)
async def test_what_was_tried_often_or_long_enough_is_given_up(said: OutboxRow) -> None:
    """Ten attempts, an hour; a press only while its user may still wait."""
    mark = await attempt(FakeTelegram(RetryLater("500")), said)
    assert (mark.state, mark.failure) == (RowState.FAILED, "given up: 500")


async def test_who_will_never_get_an_answer_is_in_the_log_with_the_reason() -> None:
    """Whoever is asked about it finds the user, the job and what Telegram said."""
    tried, refused = row(TEXT, attempts=9), row(TEXT)
    with capture_logs() as lines:
        await attempt(FakeTelegram(RetryLater("500")), tried)
        await attempt(FakeTelegram(CallRefused("chat not found")), refused)
        await attempt(FakeTelegram(RetryLater("500")), row(PRESS, age_seconds=16))
    told = [(line["event"], line["failure"], line["user_id"], line["cause"]) for line in lines]
    assert told == [
        ("reply_given_up", "500", str(tried.user_id), str(tried.key.cause)),
        ("reply_refused", "chat not found", str(refused.user_id), str(refused.key.cause)),
    ]


async def test_a_refused_token_costs_no_attempt_its_last() -> None:
    """Only a person can mend it, and then the answers must still be there."""
    mark = await attempt(FakeTelegram(TokenRefused("no")), row(TEXT, attempts=9))
    assert (mark.state, mark.postpone_seconds) == (RowState.PENDING, 30.0)
    assert not mark.is_counted


async def test_what_telegram_puts_off_is_never_given_up_for_its_tries() -> None:
    """A rush puts each chat off a hundred times; only age ends that."""
    mark = await attempt(FakeTelegram(RetryLater("429", 1.0)), row(TEXT, attempts=9))
    assert (mark.state, mark.postpone_seconds) == (RowState.PENDING, 1.0)
    assert not mark.is_counted
    late = await attempt(FakeTelegram(RetryLater("429", 1.0)), row(TEXT, age_seconds=3601))
    assert late.state is RowState.FAILED
