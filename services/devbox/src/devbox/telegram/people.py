"""What people do: write, click, block the bot. Each becomes an update for the bot.

These are the acts of the control API and the page; tests in the same process may call them too.
"""

from typing import NamedTuple

from devbox.telegram.chats import Chat
from devbox.telegram.errors import InvalidControl, NoSuchThing, NotPossibleNow
from devbox.telegram.limits import CALLBACK_DATA_BYTES_MAX, TEXT_CHARACTERS_MAX
from devbox.telegram.rich_text import marked
from devbox.telegram.shapes import Json, ShapeError
from devbox.telegram.world import World

USER_ID_MAX = (1 << 52) - 1
"""Telegram's user ids have at most 52 significant bits."""

MESSAGE_KINDS = frozenset(
    {
        "message",
        "edited_message",
        "channel_post",
        "edited_channel_post",
        "business_message",
        "edited_business_message",
        "guest_message",
    }
)
"""Updates that carry a message."""


class Said(NamedTuple):
    """What came of a message."""

    update_id: int
    message_id: int


class Clicked(NamedTuple):
    """What came of a click."""

    update_id: int
    callback_query_id: str


class People:
    """The acts of the simulated users of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def say(self, user_id: int, text: str, **details: str | None) -> Said:
        """The user writes to the bot; `details` as in `Chats.ensure_user`.

        Raises InvalidControl for a text Telegram's apps would not send, NotPossibleNow when the
        user has blocked the bot.
        """
        if not 1 <= len(text) <= TEXT_CHARACTERS_MAX:
            raise InvalidControl(f"text must have 1 to {TEXT_CHARACTERS_MAX} characters")
        chat = self._chat(user_id, **details)
        if chat.blocked:
            raise NotPossibleNow(f"user {user_id} has blocked the bot and cannot write to it")
        rich = marked(text)
        body: Json = {"text": rich.text}
        if rich.entities:
            body["entities"] = rich.entities
        message = self._world.chats.add(chat, body, from_bot=False)
        update_id = self._update("message", message.content, user_id)
        return Said(update_id, message.message_id)

    def click(self, user_id: int, message_id: int, data: str) -> Clicked:
        """The user presses an inline button with this data under a message.

        The data need not be on the keyboard (any more): old keyboards and forged data are what a
        bot has to stand. Raises NoSuchThing for a message the user never had.
        """
        if not 1 <= len(data.encode()) <= CALLBACK_DATA_BYTES_MAX:
            raise InvalidControl(f"data must have 1 to {CALLBACK_DATA_BYTES_MAX} bytes")
        chat = self._chat(user_id)
        message = chat.messages.get(message_id)
        if message is None and message_id not in chat.deleted:
            raise NoSuchThing(f"user {user_id} has no message {message_id}")
        query_id = self._world.clicks.add(user_id)
        shown = (
            message.content
            if message is not None
            else {"chat": chat.profile, "message_id": message_id, "date": 0}
        )
        query = {
            "id": query_id,
            "from": chat.user,
            "message": shown,
            "chat_instance": str(-user_id),
            "data": data,
        }
        return Clicked(self._update("callback_query", query, user_id), query_id)

    def block(self, user_id: int, blocked: bool) -> int | None:
        """The user blocks or unblocks the bot; the update's id, None if nothing changed."""
        chat = self._chat(user_id)
        if chat.blocked == blocked:
            return None
        chat.blocked = blocked
        self._world.chats.changed(chat)
        member = {"user": self._world.bot, "status": "member"}
        kicked = {"user": self._world.bot, "status": "kicked", "until_date": 0}
        change = {
            "chat": chat.profile,
            "from": chat.user,
            "date": int(self._world.chats.clock()),
            "old_chat_member": member if blocked else kicked,
            "new_chat_member": kicked if blocked else member,
        }
        return self._update("my_chat_member", change, user_id)

    def deliver(self, update: Json) -> int:
        """Deliver any update of the Bot API (without `update_id`); its id.

        A message in it gets `message_id` and `date` when it has none, and is shown in its chat
        if that is a private one. Raises InvalidControl for what is no update.
        """
        kinds = [kind for kind in update if kind != "update_id"]
        if len(kinds) != 1 or not isinstance(update[kinds[0]], dict):
            raise InvalidControl('an update is an object with one field, such as {"message": {}}')
        kind, content = kinds[0], dict(update[kinds[0]])
        if kind in MESSAGE_KINDS:
            content = self._known_message(kind, content)
        sender = content.get("from") or content.get("chat") or {}
        sender_id = sender.get("id") if isinstance(sender, dict) else None
        return self._update(kind, content, sender_id if isinstance(sender_id, int) else 0)

    def _known_message(self, kind: str, content: Json) -> Json:
        """The message with its gaps filled, remembered with its chat."""
        chats = self._world.chats
        profile = content.get("chat")
        if not isinstance(profile, dict) or not isinstance(profile.get("id"), int):
            raise InvalidControl(f"{kind} needs a chat with an integer id")
        filled = {"date": int(chats.clock()), **content}
        private = profile.get("type") == "private"
        chat = self._chat(profile["id"]) if private else chats.ensure_chat(profile)
        existing = chat.messages.get(filled.get("message_id", 0))
        if existing is None:
            message = chats.add(chat, filled, from_bot=False, message_id=content.get("message_id"))
            return message.content
        if kind.startswith("edited_"):
            existing.content = filled
            existing.edited = True
            chats.changed(chat, existing)
        return filled

    def _chat(self, user_id: int, **details: str | None) -> Chat:
        if not 0 < user_id <= USER_ID_MAX:
            raise InvalidControl(f"user_id must be between 1 and {USER_ID_MAX}")
        return self._world.chats.ensure_user(user_id, **details)

    def _update(self, kind: str, content: Json, sender: int) -> int:
        try:
            self._world.shapes.check_result("Update", {"update_id": 0, kind: content})
        except ShapeError as error:
            raise InvalidControl(f"not an update of the Bot API: {error}") from None
        return self._world.updates.make(kind, content, sender)
