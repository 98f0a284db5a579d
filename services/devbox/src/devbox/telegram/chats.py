"""Who talks with the bot and what was said: users, chats, their messages, their keyboards.

Message ids come from one counter for the whole bot, as Telegram's do for private chats: they
grow, also within each chat, with gaps. The counter starts at a random place, so that ids of an
earlier run of the simulator (its state lives in memory only) never mean a new message.

Every change of a chat gets a number from a second counter, `version`. Whoever waits for a chat
(the control API, the page) waits on futures that the next change completes.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from devbox.telegram.errors import BadRequest, Forbidden, SimulatorFull, TooManyRequests
from devbox.telegram.limits import Limits
from devbox.telegram.shapes import Json

DELETED_KEPT_MAX = 200
"""Ids of deleted messages a chat remembers, for the page and for clicks on them."""


@dataclass(slots=True, eq=False)
class StoredMessage:
    """One message of a chat: Telegram's shape, and what the control API tells beside it."""

    content: Json
    from_bot: bool
    at: float
    """Unix seconds, with a fraction: `date` in the content has none."""
    version: int = 0
    edited: bool = False
    reply_keyboard: list[list[str]] | None = None

    @property
    def message_id(self) -> int:
        """The id in the content."""
        return int(self.content["message_id"])


@dataclass(slots=True, eq=False)
class Chat:
    """A chat as the bot sees it; for a private one, `user` is the person in it."""

    profile: Json
    user: Json | None = None
    blocked: bool = False
    version: int = 0
    messages: OrderedDict[int, StoredMessage] = field(default_factory=OrderedDict)
    deleted: OrderedDict[int, int] = field(default_factory=OrderedDict)
    """Version of the deletion, by message id."""
    reply_keyboard: list[list[str]] | None = None
    action: str | None = None
    action_until: float = 0.0
    allowance: float = 0.0
    allowance_at: float = 0.0
    waiting: set[asyncio.Future[None]] = field(default_factory=set)


class Chats:
    """All chats by id, and the counters of message ids and versions."""

    def __init__(self, limits: Limits, bot: Json, first_message_id: int) -> None:
        self._limits = limits
        self._bot = bot
        self._next_message_id = first_message_id
        self._by_id: dict[int, Chat] = {}
        self.version = 0
        self.clock: Callable[[], float] = time.time
        self.on_changed: Callable[[Chat, StoredMessage], None] | None = None
        """Hears of each message as it is added or changed: a load of thousands of users in the
        simulator's own process would wait on as many futures otherwise."""

    def ensure_user(self, user_id: int, **details: str | None) -> Chat:
        """The private chat with this user; the first use of an id makes the user.

        `details` (first_name, username, language_code) change what is known of the user.
        Raises SimulatorFull beyond `users_max`.
        """
        chat = self._by_id.get(user_id)
        if chat is None or chat.user is None:
            user = {"id": user_id, "is_bot": False, "first_name": f"User {user_id}"}
            chat = self.ensure_chat({"id": user_id, "type": "private"})
            chat.user = user
            self._describe(chat)
        given = {name: value for name, value in details.items() if value is not None}
        if given and chat.user is not None:
            chat.user = {**chat.user, **given}
            self._describe(chat)
        return chat

    def _describe(self, chat: Chat) -> None:
        shown = ("first_name", "last_name", "username")
        user = chat.user or {}
        chat.profile = {
            **chat.profile,
            **{name: user[name] for name in shown if name in user},
        }

    def ensure_chat(self, profile: Json) -> Chat:
        """The chat with this id, made from its profile (Telegram's Chat) at first sight."""
        chat = self._by_id.get(profile["id"])
        if chat is None:
            if len(self._by_id) >= self._limits.users_max:
                raise SimulatorFull(f"the simulator has its {self._limits.users_max} users")
            chat = self._by_id[profile["id"]] = Chat(dict(profile))
        return chat

    def get(self, chat_id: int) -> Chat | None:
        """The chat, or None if nobody ever wrote from it."""
        return self._by_id.get(chat_id)

    def users(self) -> list[Json]:
        """The people the simulator knows, in the order they appeared."""
        return [chat.user for chat in self._by_id.values() if chat.user is not None]

    def reachable(self, chat_id: object, sends_per_second: float = 0.0) -> Chat:
        """The chat the bot may write to.

        Raises BadRequest (no such chat), Forbidden (blocked by the user) or TooManyRequests
        (flood limit, when there is one).
        """
        chat = self._by_id.get(chat_id) if isinstance(chat_id, int) else None
        if chat is None:
            raise BadRequest("chat_id is empty" if chat_id in (None, "") else "chat not found")
        if chat.blocked:
            raise Forbidden("bot was blocked by the user")
        if sends_per_second:
            self._spend(chat, sends_per_second)
        return chat

    def _spend(self, chat: Chat, per_second: float) -> None:
        """One send out of the chat's allowance: a token bucket of one second's worth."""
        now, burst = self.clock(), max(per_second, 1.0)
        earned = (now - chat.allowance_at) * per_second
        allowance = min(burst, chat.allowance + earned) if chat.allowance_at else burst
        if allowance < 1.0:
            raise TooManyRequests(math.ceil((1.0 - allowance) / per_second))
        chat.allowance, chat.allowance_at = allowance - 1.0, now

    def add(
        self, chat: Chat, body: Json, *, from_bot: bool, message_id: int | None = None
    ) -> StoredMessage:
        """A new message with this body (text or media) in the chat, ids and sender filled in."""
        if message_id is None:
            message_id = self._next_message_id
            self._next_message_id += 1
        now = self.clock()
        sender = self._bot if from_bot else chat.user
        content = {
            "message_id": message_id,
            **({"from": sender} if sender is not None else {}),
            "chat": chat.profile,
            "date": int(now),
            **body,
        }
        message = StoredMessage(content, from_bot, now)
        chat.messages[message_id] = message
        if len(chat.messages) > self._limits.chat_messages_max:
            chat.messages.popitem(last=False)
        self.changed(chat, message)
        return message

    def delete(self, chat: Chat, message_id: int) -> None:
        """Remove a message the chat has."""
        del chat.messages[message_id]
        self.changed(chat)
        chat.deleted[message_id] = chat.version
        if len(chat.deleted) > DELETED_KEPT_MAX:
            chat.deleted.popitem(last=False)

    def changed(self, chat: Chat, message: StoredMessage | None = None) -> None:
        """Give the change a version and wake whoever waits for the chat."""
        self.version += 1
        chat.version = self.version
        if message is not None:
            message.version = self.version
            if self.on_changed is not None:
                self.on_changed(chat, message)
        for future in chat.waiting:
            if not future.done():
                future.set_result(None)
        chat.waiting.clear()

    async def wait_for_change(self, chats: Iterable[Chat], seconds: float) -> None:
        """Return at the next change of one of these chats, or after `seconds`."""
        future = asyncio.get_running_loop().create_future()
        watched = list(chats)
        for chat in watched:
            chat.waiting.add(future)
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            pass
        finally:
            for chat in watched:
                chat.waiting.discard(future)
