"""editMessage*, deleteMessage(s), answerCallbackQuery: what the bot does to messages that exist.

An edit replaces the inline keyboard too: without `reply_markup` the keyboard goes. An edit that
changes nothing is refused.
"""

from devbox.telegram import keyboards
from devbox.telegram.chats import Chat, StoredMessage
from devbox.telegram.errors import BadRequest
from devbox.telegram.limits import CALLBACK_ANSWER_CHARACTERS_MAX, DELETE_MESSAGES_MAX
from devbox.telegram.sending import caption_body, media_body, media_file, text_body
from devbox.telegram.shapes import Json
from devbox.telegram.world import Call, World

TEXT_FIELDS = ("text", "entities")
CAPTION_FIELDS = ("caption", "caption_entities")
MEDIA_FIELDS = ("photo", "document", *CAPTION_FIELDS)

NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same"
    " as a current content and reply markup of the message"
)


def edit_message_text(world: World, call: Call) -> Json:
    """Replace the text of a text message."""
    body = text_body(call.parameters)
    chat, message = message_to_edit(world, call)
    if "text" not in message.content:
        raise BadRequest("there is no text in the message to edit")
    return edit(world, call, chat, message, TEXT_FIELDS, body)


def edit_message_caption(world: World, call: Call) -> Json:
    """Replace the caption of a message with media."""
    body = caption_body(call.parameters)
    chat, message = message_to_edit(world, call)
    if "text" in message.content:
        raise BadRequest("there is no caption in the message to edit")
    return edit(world, call, chat, message, CAPTION_FIELDS, body)


def edit_message_media(world: World, call: Call) -> Json:
    """Replace the picture or document of a message, caption included."""
    media = call.parameters.get("media") or {}
    kind = media.get("type")
    if kind not in ("photo", "document"):
        raise BadRequest(f"the simulator has no media of type {kind!r}; use photo or document")
    chat, message = message_to_edit(world, call)
    if "text" in message.content:
        raise BadRequest("there is no media in the message to edit")
    stored = media_file(world, call, kind, media.get("media"))
    body = {**media_body(stored), **caption_body(media)}
    return edit(world, call, chat, message, MEDIA_FIELDS, body)


def edit_message_reply_markup(world: World, call: Call) -> Json:
    """Replace only the inline keyboard."""
    chat, message = message_to_edit(world, call)
    return edit(world, call, chat, message, (), {})


def message_to_edit(world: World, call: Call) -> tuple[Chat, StoredMessage]:
    """The bot's own message the call names, and its chat."""
    parameters = call.parameters
    if parameters.get("inline_message_id"):
        raise BadRequest("MESSAGE_ID_INVALID")
    chat = world.chats.reachable(parameters.get("chat_id"))
    message_id = parameters.get("message_id")
    if not message_id:
        raise BadRequest("message identifier is not specified")
    message = chat.messages.get(message_id)
    if message is None:
        raise BadRequest("message to edit not found")
    if not message.from_bot:
        raise BadRequest("message can't be edited")
    return chat, message


def edit(
    world: World,
    call: Call,
    chat: Chat,
    message: StoredMessage,
    replaced: tuple[str, ...],
    body: Json,
) -> Json:
    """Put `body` and the call's keyboard in place of the `replaced` fields; the message."""
    markup = call.parameters.get("reply_markup")
    inline = keyboards.check_inline(markup) if markup else None
    old = message.content
    kept = {k: v for k, v in old.items() if k not in replaced and k != "reply_markup"}
    new = {**kept, **body}
    if inline is not None:
        new["reply_markup"] = inline
    if new == old:
        raise BadRequest(NOT_MODIFIED)
    new["edit_date"] = int(world.chats.clock())
    message.content = new
    message.edited = True
    world.chats.changed(chat, message)
    return new


def delete_message(world: World, call: Call) -> bool:
    """Delete one message, anybody's."""
    chat = world.chats.reachable(call.parameters.get("chat_id"))
    message_id = call.parameters.get("message_id")
    if not message_id:
        raise BadRequest("message identifier is not specified")
    if message_id not in chat.messages:
        raise BadRequest("message to delete not found")
    world.chats.delete(chat, message_id)
    return True


def delete_messages(world: World, call: Call) -> bool:
    """Deletes what it finds of up to 100 messages; the rest is no error."""
    chat = world.chats.reachable(call.parameters.get("chat_id"))
    message_ids = call.parameters.get("message_ids") or []
    if not message_ids:
        raise BadRequest("message identifiers are not specified")
    if len(message_ids) > DELETE_MESSAGES_MAX:
        raise BadRequest("too many message identifiers specified")
    for message_id in message_ids:
        if message_id in chat.messages:
            world.chats.delete(chat, message_id)
    return True


def answer_callback_query(world: World, call: Call) -> bool:
    """Answer a click, once and in time."""
    parameters = call.parameters
    text = parameters.get("text") or ""
    if len(text) > CALLBACK_ANSWER_CHARACTERS_MAX:
        raise BadRequest("MESSAGE_TOO_LONG")
    answer = {
        "text": text,
        "show_alert": bool(parameters.get("show_alert")),
        "url": parameters.get("url"),
    }
    click = world.clicks.answer(parameters.get("callback_query_id") or "", answer)
    chat = world.chats.get(click.user_id)
    if chat is not None:
        world.chats.changed(chat)
        click.version = chat.version
    return True
