"""sendMessage, sendPhoto, sendDocument, sendChatAction: what the bot says to a chat.

As in Telegram the content is looked at first, then the keyboard, then the chat; so the first
fault named is the one Telegram would name.
"""

from devbox.telegram import keyboards
from devbox.telegram.chats import Chat, StoredMessage
from devbox.telegram.errors import BadRequest
from devbox.telegram.files import StoredFile
from devbox.telegram.limits import CAPTION_CHARACTERS_MAX, TEXT_CHARACTERS_MAX
from devbox.telegram.rich_text import RichText, read_text
from devbox.telegram.shapes import Json
from devbox.telegram.world import Call, World

CHAT_ACTION_SECONDS = 5.0
"""How long "typing" is shown."""

CHAT_ACTIONS = frozenset(
    {
        "typing",
        "upload_photo",
        "record_video",
        "upload_video",
        "record_voice",
        "upload_voice",
        "upload_document",
        "choose_sticker",
        "find_location",
        "record_video_note",
        "upload_video_note",
    }
)


def text_body(parameters: Json) -> Json:
    """The `text` and `entities` of a message from a call's parameters.

    Raises BadRequest for no text, too much text or unreadable markup.
    """
    if not parameters.get("text"):
        raise BadRequest("message text is empty")
    rich = read_text(
        parameters["text"],
        parameters.get("parse_mode"),
        parameters.get("entities"),
        TEXT_CHARACTERS_MAX,
        "message",
    )
    if not rich.text:
        raise BadRequest("text must be non-empty")
    return body_of(rich, "text", "entities")


def caption_body(parameters: Json) -> Json:
    """The `caption` and `caption_entities` likewise; nothing for an empty caption."""
    rich = read_text(
        parameters.get("caption") or "",
        parameters.get("parse_mode"),
        parameters.get("caption_entities"),
        CAPTION_CHARACTERS_MAX,
        "message caption",
    )
    return body_of(rich, "caption", "caption_entities") if rich.text else {}


def body_of(rich: RichText, text_field: str, entities_field: str) -> Json:
    """Fields of a message for a text; no entities field when there are none."""
    if rich.entities:
        return {text_field: rich.text, entities_field: rich.entities}
    return {text_field: rich.text}


def media_file(world: World, call: Call, kind: str, source: object) -> StoredFile:
    """The file a call means: one that came along, or one known by its id.

    Raises BadRequest when there is none, or it is of another kind.
    """
    if not isinstance(source, str) or not source:
        raise BadRequest(f"there is no {kind} in the request")
    if source.startswith("attach://"):
        upload = call.uploads.get(source.removeprefix("attach://"))
        if upload is None:
            raise BadRequest(f"there is no {kind} in the request")
        return world.files.add(kind, upload)
    if "://" in source:
        raise BadRequest("failed to get HTTP URL content")
    stored = world.files.get(source)
    if stored is None:
        raise BadRequest("wrong file identifier/HTTP URL specified")
    if stored.kind != kind:
        raise BadRequest(
            f"can't use file of type {stored.kind.capitalize()} as {kind.capitalize()}"
        )
    return stored


def media_body(stored: StoredFile) -> Json:
    """The field of a message that shows the file."""
    if stored.kind == "photo":
        return {"photo": stored.photo_sizes()}
    return {"document": stored.document()}


def send_message(world: World, call: Call) -> Json:
    """Send a text."""
    return send(world, call, text_body(call.parameters))


def send_photo(world: World, call: Call) -> Json:
    """Send a picture, uploaded or by its file id."""
    return send_media(world, call, "photo")


def send_document(world: World, call: Call) -> Json:
    """Send a file, uploaded or by its file id."""
    return send_media(world, call, "document")


def send_media(world: World, call: Call, kind: str) -> Json:
    """Send a file of this kind with its caption."""
    caption = caption_body(call.parameters)
    stored = media_file(world, call, kind, call.parameters.get(kind))
    return send(world, call, {**media_body(stored), **caption})


def send(world: World, call: Call, body: Json) -> Json:
    """Put a message with this body into the call's chat; the message."""
    parameters = call.parameters
    markup = parameters.get("reply_markup") or {}
    inline = keyboards.check_inline(markup) if "inline_keyboard" in markup else None
    keyboard = keyboards.check_reply(markup) if "keyboard" in markup else None
    per_second = world.faults.settings.chat_sends_per_second
    chat = world.chats.reachable(parameters.get("chat_id"), per_second)
    replied = replied_message(chat, parameters)
    if replied is not None:
        quoted = {k: v for k, v in replied.content.items() if k != "reply_to_message"}
        body = {**body, "reply_to_message": quoted}
    if inline is not None:
        body = {**body, "reply_markup": inline}
    if keyboard is not None:
        chat.reply_keyboard = keyboard
    elif "remove_keyboard" in markup:
        chat.reply_keyboard = None
    chat.action = None
    message = world.chats.add(chat, body, from_bot=True)
    message.reply_keyboard = keyboard
    return message.content


def replied_message(chat: Chat, parameters: Json) -> StoredMessage | None:
    """The message of the chat this call replies to; None if it replies to none.

    Raises BadRequest for one that is gone, unless the call allows that.
    """
    reply = parameters.get("reply_parameters") or {}
    message_id = reply.get("message_id") or parameters.get("reply_to_message_id")
    if message_id is None:
        return None
    allowed = reply.get("allow_sending_without_reply") or parameters.get(
        "allow_sending_without_reply"
    )
    message = chat.messages.get(message_id)
    if message is None and not allowed:
        raise BadRequest("message to be replied not found")
    return message


def send_chat_action(world: World, call: Call) -> bool:
    """Show what the bot is doing for the next five seconds."""
    action = call.parameters.get("action")
    if action not in CHAT_ACTIONS:
        raise BadRequest("wrong parameter action in request")
    chat = world.chats.reachable(call.parameters.get("chat_id"))
    chat.action = action
    chat.action_until = world.chats.clock() + CHAT_ACTION_SECONDS
    world.chats.changed(chat)
    return True
