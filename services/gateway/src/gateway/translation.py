"""What an update means: the one place where Telegram's shapes become Purser's. Never raises.

Only the fields read here are given to aiogram's models: a field that Telegram adds or changes
elsewhere cannot make a plain text unreadable, and checking twelve fields is faster than checking
ninety. What kind of message it is shows in which other fields are there, whatever they hold. Text
may hold anything, NUL and right-to-left marks included; lone surrogates, which JSON can carry and
UTF-8 cannot, become U+FFFD.
"""

import re
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from gateway.domain import Ignored, Incoming, Malformed, Membership, Translated
from gateway.telegram_models import Message, Update, User
from gateway.utf16 import clean, utf16_units
from purser.gateway.v1 import job_pb2

ALLOWED_UPDATES = ("message", "edited_message", "callback_query", "my_chat_member")
"""What Telegram is asked for: private messages and presses, and who blocks the bot."""

TEXT_UTF16_UNITS_MAX = 4096
PRESS_DATA_BYTES_MAX = 64
PRESS_ID_CHARACTERS_MAX = 64
DISPLAY_NAME_CHARACTERS_MAX = 64
LANGUAGE_CODE_CHARACTERS_MAX = 35
BIGINT_MAX = 2**63 - 1

_USER = ("id", "is_bot", "first_name", "last_name", "language_code")
_CHAT = ("id", "type")
_MESSAGE = ("message_id", "date", "text")
_PRESS = ("id", "chat_instance", "data")

# Telegram's own remarks in a chat: nobody said anything, so nobody wants an answer.
_REMARKS = frozenset(
    {
        "pinned_message",
        "message_auto_delete_timer_changed",
        "write_access_allowed",
        "connected_website",
        "chat_background_set",
        "boost_added",
        "direct_message_price_changed",
        "paid_message_price_changed",
        "proximity_alert_triggered",
    }
)
_ATTACHMENTS = frozenset(
    {
        "animation",
        "audio",
        "checklist",
        "contact",
        "dice",
        "document",
        "game",
        "live_photo",
        "location",
        "paid_media",
        "photo",
        "poll",
        "sticker",
        "story",
        "venue",
        "video",
        "video_note",
        "voice",
    }
)
_COMMAND = re.compile(r"/([A-Za-z0-9_]{1,32})(?:@[A-Za-z0-9_]{1,64})?(?:\s+(.*))?\Z", re.DOTALL)


def translate(raw: object) -> Translated:
    """Say what an update is: a job, a change of membership, nothing for this bot, or malformed."""
    if not isinstance(raw, dict):
        return Malformed("an update is a JSON object")
    update_id = raw.get("update_id")
    if type(update_id) is not int or not 0 <= update_id <= BIGINT_MAX:
        return Malformed("update_id is not a whole number of 63 bits")
    kinds = [name for name in ALLOWED_UPDATES if raw.get(name) is not None]
    if not kinds:
        return Ignored("kind")
    try:
        update = Update.model_validate({"update_id": update_id, kinds[0]: _needed(raw[kinds[0]])})
        if update.callback_query is not None:
            return _with_premium(_press(update), raw[kinds[0]])
        if update.my_chat_member is not None:
            return _membership(update)
        return _with_premium(_message(update, raw[kinds[0]]), raw[kinds[0]])
    except ValidationError as error:
        # Where and why, never what: the input may be somebody's words.
        return Malformed(
            "; ".join(
                f"{'.'.join(map(str, problem['loc']))}: {problem['type']}"
                for problem in error.errors(
                    include_url=False, include_context=False, include_input=False
                )
            )[:500],
            update_id,
        )
    except (ValueError, OverflowError, RecursionError) as error:
        return Malformed(type(error).__name__, update_id)


def _needed(part: object) -> object:
    """Keep the fields this module reads, of whatever kind the part is."""
    if not isinstance(part, dict):
        return part
    kept: dict[str, Any] = _only(part, (*_MESSAGE, *_PRESS))
    kept |= {name: _only(part[name], _USER) for name in ("from",) if name in part}
    kept |= {name: _only(part[name], _CHAT) for name in ("chat",) if name in part}
    if isinstance(part.get("message"), dict):
        pressed = part["message"]
        kept["message"] = _only(pressed, ("message_id", "date")) | {
            "chat": _only(pressed.get("chat"), _CHAT)
        }
    for name in ("old_chat_member", "new_chat_member"):
        if isinstance(part.get(name), dict):
            member = part[name]
            kept[name] = _only(member, ("status", "until_date")) | {
                "user": _only(member.get("user"), _USER)
            }
    return kept


def _only(part: Any, names: tuple[str, ...]) -> Any:
    if not isinstance(part, dict):
        return part
    return {name: part[name] for name in names if name in part}


def _message(update: Update, raw: dict[str, Any]) -> Translated:
    message = update.message or update.edited_message
    if message is None or message.chat.type != "private":
        return Ignored("chat")
    sender = message.from_user
    if sender is None or sender.is_bot:
        return Ignored("sender")
    draft = _draft(sender)
    if update.edited_message is not None:
        draft.unsupported.kind = job_pb2.UNSUPPORTED_KIND_EDIT
    elif message.text is not None:
        _fill_text(draft, message)
    elif not _ATTACHMENTS.isdisjoint(raw):
        draft.unsupported.kind = job_pb2.UNSUPPORTED_KIND_ATTACHMENT
    elif not _REMARKS.isdisjoint(raw):
        return Ignored("remark")
    else:
        draft.unsupported.kind = job_pb2.UNSUPPORTED_KIND_OTHER
    return _incoming(update.update_id, sender, draft)


def _fill_text(draft: job_pb2.Job, message: Message) -> None:
    text = clean(message.text or "")
    if utf16_units(text) > TEXT_UTF16_UNITS_MAX:
        draft.unsupported.kind = job_pb2.UNSUPPORTED_KIND_TOO_LONG
    elif command := _COMMAND.match(text):
        draft.command.name = command[1].lower()
        draft.command.arguments = (command[2] or "").strip()
    else:
        draft.text.text = text


def _press(update: Update) -> Translated:
    press = update.callback_query
    assert press is not None  # noqa: S101 (the caller looked)
    press_id = clean(press.id)
    if not 0 < len(press_id) <= PRESS_ID_CHARACTERS_MAX:
        return Malformed("callback_query.id: too long", update.update_id)
    if press.from_user.is_bot:
        return Ignored("sender", press_id)
    if press.message is not None and press.message.chat.type != "private":
        return Ignored("chat", press_id)
    draft = _draft(press.from_user)
    data = clean(press.data or "")
    if len(data.encode()) > PRESS_DATA_BYTES_MAX:
        draft.unsupported.kind = job_pb2.UNSUPPORTED_KIND_TOO_LONG
    else:
        draft.press.data = data
        draft.press.press_id = press_id
    message_id = press.message.message_id if press.message is not None else 0
    if not 0 <= message_id <= BIGINT_MAX:
        message_id = 0
    return _incoming(update.update_id, press.from_user, draft, press_id, message_id)


def _membership(update: Update) -> Translated:
    change = update.my_chat_member
    assert change is not None  # noqa: S101 (the caller looked)
    if change.chat.type != "private":
        return Ignored("chat")
    if not 0 < change.chat.id <= BIGINT_MAX:
        return Malformed("my_chat_member.chat.id: out of range", update.update_id)
    return Membership(update.update_id, change.chat.id, change.new_chat_member.status == "kicked")


def _draft(sender: User) -> job_pb2.Job:
    name = " ".join(part for part in (sender.first_name, sender.last_name) if part)
    language = clean(sender.language_code or "")
    return job_pb2.Job(
        # PostgreSQL keeps the name as text, where NUL cannot be.
        display_name=clean(name).replace("\0", "")[:DISPLAY_NAME_CHARACTERS_MAX],
        language_code=language if _is_language(language) else "",
    )


def _is_language(code: str) -> bool:
    return len(code) <= LANGUAGE_CODE_CHARACTERS_MAX and code.replace("-", "").isalnum()


def _incoming(
    update_id: int, sender: User, draft: job_pb2.Job, press_id: str = "", message_id: int = 0
) -> Translated:
    if not 0 < sender.id <= BIGINT_MAX:
        return Malformed("from.id: out of range", update_id)
    return Incoming(update_id, sender.id, draft, press_id, message_id)


def _with_premium(translated: Translated, part: dict[str, Any]) -> Translated:
    """Add what else is known of the sender; whatever is not plainly so is not so."""
    if not isinstance(translated, Incoming):
        return translated
    return replace(translated, is_premium=part["from"].get("is_premium") is True)


def sender_of(raw: object) -> int | None:
    """Say who sent an update, also one that cannot be read otherwise; None when nobody can tell."""
    parts = [raw.get(name) for name in ALLOWED_UPDATES] if isinstance(raw, dict) else []
    senders = [part.get("from") for part in parts if isinstance(part, dict)]
    ids = [sender.get("id") for sender in senders if isinstance(sender, dict)]
    return next((i for i in ids if type(i) is int and 0 < i <= BIGINT_MAX), None)
