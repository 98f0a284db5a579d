"""One attempt to say one reply, and what to write down about it.

An edit of a message that is not there becomes a message of its own; markup that Telegram cannot
parse is sent once more as plain text. What failed for a while is tried again later, within a named
number of tries and age; the answer to a press only while the user may still be waiting for it. What
Telegram put off (429) or a wrong token held up costs no try: in a rush thousands of chats share
Telegram's 30/s, and each may be put off a hundred times.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from chassis.telemetry import get_logger
from gateway.application.ports import BotApi
from gateway.domain import Mark, OutboxRow, RowState
from gateway.errors import (
    AlreadySo,
    MarkupRefused,
    MessageGone,
    RetryLater,
    TelegramFailure,
    TokenRefused,
    UserBlockedBot,
)

BACKOFF_SECONDS_MIN = 0.5
TOKEN_REFUSED_DELAY_SECONDS = 30.0
"""Only a person can mend it; asking more often changes nothing."""

FindMessage = Callable[[UUID, str], Awaitable[int | None]]
"""Finds the Telegram message of a user's message_key."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SayLimits:
    """How long to insist."""

    attempts_max: int
    age_seconds_max: float
    press_age_seconds_max: float
    backoff_seconds_max: float


async def say_once(
    telegram: BotApi, row: OutboxRow, find_message: FindMessage, limits: SayLimits
) -> Mark:
    """Try to say it; what to write down.

    Raises TryAgain when the database does not name the message to edit.
    """
    is_edit = row.reply.WhichOneof("body") == "edit_text"
    message_id = await find_message(row.user_id, row.reply.message_key) if is_edit else None
    try:
        try:
            sent = await _say(telegram, row, message_id)
        except MessageGone:
            sent = await _say(telegram, row, None)
    except AlreadySo as failure:
        return Mark(row, RowState.SENT, failure=str(failure))
    except UserBlockedBot as failure:
        return Mark(row, RowState.UNDELIVERABLE, failure=str(failure), blocked=True)
    except TokenRefused as failure:
        _log.error(
            "token_refused", user_id=str(row.user_id), again_seconds=TOKEN_REFUSED_DELAY_SECONDS
        )
        return _put_off(row, failure, TOKEN_REFUSED_DELAY_SECONDS)
    except RetryLater as failure:
        return postponed(row, failure, limits)
    except TelegramFailure as failure:
        _log.warning(
            "reply_refused",
            cause=str(row.key.cause),
            number=row.key.number,
            user_id=str(row.user_id),
            failure=str(failure),
        )
        return Mark(row, RowState.FAILED, failure=str(failure))
    return Mark(row, RowState.SENT, message_id=sent)


async def _say(telegram: BotApi, row: OutboxRow, message_id: int | None) -> int:
    try:
        return await telegram.say(row.telegram_id, row.reply, message_id, plain=False)
    except MarkupRefused:
        return await telegram.say(row.telegram_id, row.reply, message_id, plain=True)


def postponed(row: OutboxRow, failure: RetryLater, limits: SayLimits) -> Mark:
    """Try it again later, or never when it has been tried often or long enough."""
    age_seconds = time.monotonic() - row.since
    is_press = row.reply.WhichOneof("body") == "answer_press"
    age_seconds_max = limits.press_age_seconds_max if is_press else limits.age_seconds_max
    if age_seconds > age_seconds_max:
        return _given_up(row, failure)
    if failure.delay_seconds is not None:
        return _put_off(row, failure, failure.delay_seconds)
    if row.attempts + 1 >= limits.attempts_max:
        return _given_up(row, failure)
    delay = BACKOFF_SECONDS_MIN * 2.0 ** min(row.attempts, 20)
    delay = min(delay, limits.backoff_seconds_max)
    return Mark(row, RowState.PENDING, failure=str(failure), postpone_seconds=delay)


def _given_up(row: OutboxRow, failure: RetryLater) -> Mark:
    if row.reply.WhichOneof("body") != "answer_press":  # that one only stops a spinner
        _log.warning(
            "reply_given_up",
            cause=str(row.key.cause),
            number=row.key.number,
            user_id=str(row.user_id),
            tries=row.attempts + 1,
            failure=str(failure),
        )
    return Mark(row, RowState.FAILED, failure=f"given up: {failure}")


def _put_off(row: OutboxRow, failure: TelegramFailure, delay_seconds: float) -> Mark:
    return Mark(
        row,
        RowState.PENDING,
        failure=str(failure),
        postpone_seconds=delay_seconds,
        is_counted=False,
    )
