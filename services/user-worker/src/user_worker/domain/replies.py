"""What a worker says to a user, without Telegram in it.

Texts are in the Bot API's HTML style: `conversation.texts` escapes every argument, so that what a
user typed can never become markup. A message that is to be edited later carries a `message_key`,
the worker's own name for it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Button:
    """One button."""

    text: str
    """What it says, 1 to 64 characters."""
    data: str
    """What pressing it sends back, 1 to 64 bytes of UTF-8."""


Keyboard = tuple[tuple[Button, ...], ...]
"""Rows of buttons from top to bottom; empty for none."""


@dataclass(frozen=True, slots=True)
class SendText:
    """Send a text."""

    text: str
    keyboard: Keyboard = ()
    message_key: str = ""
    """1 to 64 characters of [a-z0-9:._-], unique per user; empty when never edited."""


@dataclass(frozen=True, slots=True)
class EditText:
    """Change the text and the buttons of an earlier message."""

    message_key: str
    text: str
    keyboard: Keyboard = ()


@dataclass(frozen=True, slots=True)
class SendPhoto:
    """Send a picture."""

    image: bytes
    """PNG, at most 1 MiB."""
    caption: str = ""
    """At most 1024 UTF-16 units after the markup is parsed."""
    keyboard: Keyboard = ()
    message_key: str = ""
    """As in SendText. Its caption cannot be edited."""


@dataclass(frozen=True, slots=True)
class AnswerPress:
    """Answer the press of a button."""

    press_id: str
    text: str = ""
    """Plain, at most 200 characters; shown for a moment."""
    alert: bool = False
    """Whether the text stays until the user closes it."""


Reply = SendText | EditText | SendPhoto | AnswerPress
