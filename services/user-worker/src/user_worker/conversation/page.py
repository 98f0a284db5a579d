"""One message on the chat's wall: what stands on it, and how it gets there.

A handler makes a Page and says whether it is a message of its own (`send`) or takes the place of
the message whose button was pressed (`change`). A picture's message cannot be changed into a text,
and a message whose key is not known any more cannot be found: the page is then sent below.
"""

from dataclasses import dataclass

from user_worker.conversation.context import Context
from user_worker.domain.jobs import Press
from user_worker.domain.replies import (
    AnswerPress,
    Button,
    EditText,
    Keyboard,
    Reply,
    SendPhoto,
    SendText,
)

PRESS_TEXT_CHARACTERS_MAX = 200
"""The gateway's bound on what answers a press."""
CAPTION_UNITS_MAX = 1024
"""Telegram's bound on what stands under a picture, counted by `texts.shown_units`."""
PICTURE_KINDS = frozenset({"chart", "equity"})
"""Kinds of messages that are pictures."""


@dataclass(frozen=True, slots=True)
class Page:
    """A text and its buttons."""

    kind: str
    """What the message's key begins with, a word."""
    text: str
    keyboard: Keyboard = ()


def send(context: Context, page: Page) -> list[Reply]:
    """Say it in a message of its own."""
    return [SendText(page.text, keyboard=page.keyboard, message_key=context.message_key(page.kind))]


def send_picture(context: Context, page: Page, image: bytes) -> list[Reply]:
    """Say it under a picture; `page.kind` is one of PICTURE_KINDS."""
    return [
        SendPhoto(
            image,
            caption=page.text,
            keyboard=page.keyboard,
            message_key=context.message_key(page.kind),
        )
    ]


def change(context: Context, press: Press, page: Page, toast: str = "") -> list[Reply]:
    """Say it in place of the message that was pressed; `toast` is shown for a moment."""
    if not press.message_key or press.message_key.partition(":")[0] in PICTURE_KINDS:
        return [*send(context, page), answer_to(press, toast)]
    return [EditText(press.message_key, page.text, keyboard=page.keyboard), answer_to(press, toast)]


def below(context: Context, press: Press, page: Page) -> list[Reply]:
    """Say it in a message of its own, and let the pressed one stand."""
    return [*send(context, page), answer_to(press)]


def answer_to(press: Press, toast: str = "", *, alert: bool = False) -> AnswerPress:
    """Answer a press, so that its button comes to rest."""
    return AnswerPress(press.press_id, toast[:PRESS_TEXT_CHARACTERS_MAX], alert)


def rows_of(buttons: list[Button], per_row: int) -> Keyboard:
    """Set buttons in rows of equal length."""
    return tuple(
        tuple(buttons[first : first + per_row]) for first in range(0, len(buttons), per_row)
    )
