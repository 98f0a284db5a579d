"""Reply markup: what Telegram refuses, and what a chat shows of it.

The shapes are checked already; here are the limits and the one thing shapes cannot say, that an
inline button does exactly one thing.
"""

from urllib.parse import urlsplit

from devbox.telegram.errors import BadRequest
from devbox.telegram.limits import CALLBACK_DATA_BYTES_MAX, KEYBOARD_BUTTONS_MAX
from devbox.telegram.shapes import Json

LOOKS = frozenset({"text", "style", "icon_custom_emoji_id"})
"""Fields of an inline button that say how it looks rather than what it does."""

URL_SCHEMES = frozenset({"http", "https", "tg", "ton"})


def check_inline(markup: Json) -> Json | None:
    """The inline keyboard as Telegram stores it; None for an empty one.

    Raises BadRequest for a button without text or without exactly one action, for callback data
    beyond 64 bytes, for an address that is none, or too many buttons.
    """
    rows = [[check_inline_button(button) for button in row] for row in markup["inline_keyboard"]]
    rows = [row for row in rows if row]
    if sum(map(len, rows)) > KEYBOARD_BUTTONS_MAX:
        raise BadRequest("reply markup is too long")
    return {"inline_keyboard": rows} if rows else None


def check_inline_button(button: Json) -> Json:
    """The button, its address completed; raises BadRequest as Telegram does."""
    if not button["text"].strip():
        raise BadRequest('can\'t parse inline keyboard button: field "text" must be of type String')
    actions = button.keys() - LOOKS
    if not actions:
        raise BadRequest("text buttons are unallowed in the inline keyboard")
    if len(actions) > 1:
        raise BadRequest("BUTTON_TYPE_INVALID")
    data = button.get("callback_data")
    if data is not None and not 1 <= len(data.encode()) <= CALLBACK_DATA_BYTES_MAX:
        raise BadRequest("BUTTON_DATA_INVALID")
    url = button.get("url")
    if url is not None and not url_works(url):
        raise BadRequest(f"inline keyboard button URL '{url}' is invalid: Wrong HTTP URL")
    return button


def url_works(url: str) -> bool:
    """Whether Telegram takes the address: a known scheme (http when left out) and a host."""
    address = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    host = parts.hostname or ""
    return parts.scheme in URL_SCHEMES and bool(host) and (parts.scheme == "tg" or "." in host)


def check_reply(markup: Json) -> list[list[str]]:
    """The texts of a reply keyboard's buttons, row by row.

    Raises BadRequest for an empty keyboard or a button without text.
    """
    rows = [
        [button if isinstance(button, str) else button["text"] for button in row]
        for row in markup["keyboard"]
    ]
    rows = [row for row in rows if row]
    if not rows:
        raise BadRequest("reply keyboard is empty")
    if any(not text.strip() for row in rows for text in row):
        raise BadRequest("keyboard button text must be non-empty")
    return rows
