"""The limits of replies as the proto states them, checked before anything is written.

Telegram counts UTF-16 units after the markup is parsed, so tags are taken out and entities are read
before counting. What passes here may still be refused by Telegram (markup it cannot parse); that is
the sender's business. Pure.
"""

import html
import re
from collections.abc import Iterator, Sequence

from gateway.utf16 import utf16_units
from purser.gateway.v1 import reply_pb2

REPLIES_MAX = 16
REPLIES_BYTES_MAX = 3 * 1024 * 1024
TEXT_UTF16_UNITS_MAX = 4096
CAPTION_UTF16_UNITS_MAX = 1024
IMAGE_BYTES_MAX = 1024 * 1024
PRESS_ID_CHARACTERS_MAX = 64
PRESS_TEXT_CHARACTERS_MAX = 200
ROWS_MAX = 16
BUTTONS_PER_ROW_MAX = 8
BUTTON_TEXT_CHARACTERS_MAX = 64
BUTTON_DATA_BYTES_MAX = 64
MARKED_UP_CHARACTERS_MAX = 32_768
"""Tags do not count for Telegram, yet nobody needs eight times the text in tags."""

_MESSAGE_KEY = re.compile(r"[a-z0-9:._-]{0,64}")
_TAG = re.compile(r"<[^<>]*>")
_IMAGE_BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


def problem_of(replies: Sequence[reply_pb2.Reply], *, at_least: int = 0) -> str | None:
    """Name the first limit that is broken, as `field: what is allowed`; None when all are kept."""
    if not at_least <= len(replies) <= REPLIES_MAX:
        return f"replies: {at_least} to {REPLIES_MAX} are allowed"
    if sum(reply.ByteSize() for reply in replies) > REPLIES_BYTES_MAX:
        return f"replies: at most {REPLIES_BYTES_MAX} bytes together"
    for place, reply in enumerate(replies):
        problem = next(_problems(reply), None)
        if problem is not None:
            return f"replies[{place}].{problem}"
    return None


def _problems(reply: reply_pb2.Reply) -> Iterator[str]:
    if not _MESSAGE_KEY.fullmatch(reply.message_key):
        yield "message_key: at most 64 characters of [a-z0-9:._-]"
    body = reply.WhichOneof("body")
    if body is None:
        yield "body: one must be set"
    elif body == "send_text":
        yield from _text_problems(body, reply.send_text)
    elif body == "edit_text":
        if not reply.message_key:
            yield "message_key: an edit needs the key of its message"
        yield from _text_problems(body, reply.edit_text)
    elif body == "send_photo":
        yield from _photo_problems(reply.send_photo)
    else:
        yield from _press_problems(reply.answer_press)


def _text_problems(field: str, body: reply_pb2.SendText | reply_pb2.EditText) -> Iterator[str]:
    if not 1 <= _shown_units(body.text, body.format) <= TEXT_UTF16_UNITS_MAX:
        yield f"{field}.text: 1 to {TEXT_UTF16_UNITS_MAX} UTF-16 units are allowed"
    yield from _keyboard_problems(f"{field}.keyboard", body.keyboard)


def _photo_problems(body: reply_pb2.SendPhoto) -> Iterator[str]:
    if not body.image.startswith(_IMAGE_BEGINNINGS) or len(body.image) > IMAGE_BYTES_MAX:
        yield f"send_photo.image: a PNG or JPEG of at most {IMAGE_BYTES_MAX} bytes"
    if _shown_units(body.caption, body.format) > CAPTION_UTF16_UNITS_MAX:
        yield f"send_photo.caption: at most {CAPTION_UTF16_UNITS_MAX} UTF-16 units"
    yield from _keyboard_problems("send_photo.keyboard", body.keyboard)


def _press_problems(body: reply_pb2.AnswerPress) -> Iterator[str]:
    if not 1 <= len(body.press_id) <= PRESS_ID_CHARACTERS_MAX:
        yield f"answer_press.press_id: 1 to {PRESS_ID_CHARACTERS_MAX} characters"
    if len(body.text) > PRESS_TEXT_CHARACTERS_MAX:
        yield f"answer_press.text: at most {PRESS_TEXT_CHARACTERS_MAX} characters"


def _keyboard_problems(field: str, keyboard: reply_pb2.Keyboard) -> Iterator[str]:
    if len(keyboard.rows) > ROWS_MAX:
        yield f"{field}.rows: at most {ROWS_MAX}"
    for row in keyboard.rows:
        if len(row.buttons) > BUTTONS_PER_ROW_MAX:
            yield f"{field}.rows.buttons: at most {BUTTONS_PER_ROW_MAX} in a row"
        for button in row.buttons:
            if not 1 <= len(button.text) <= BUTTON_TEXT_CHARACTERS_MAX:
                yield f"{field}.rows.buttons.text: 1 to {BUTTON_TEXT_CHARACTERS_MAX} characters"
            if not 1 <= len(button.data.encode()) <= BUTTON_DATA_BYTES_MAX:
                yield f"{field}.rows.buttons.data: 1 to {BUTTON_DATA_BYTES_MAX} bytes of UTF-8"


def _shown_units(text: str, text_format: int) -> int:
    """Count what the user will see; beyond any limit when the markup itself is absurd."""
    if text_format != reply_pb2.TEXT_FORMAT_HTML:
        return utf16_units(text)
    if len(text) > MARKED_UP_CHARACTERS_MAX:
        return TEXT_UTF16_UNITS_MAX + 1
    return utf16_units(html.unescape(_TAG.sub("", text)))
