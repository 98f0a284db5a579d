"""Chats as the control API and the page show them: plain JSON, no Telegram shapes."""

import asyncio
from typing import Any

from devbox.telegram.bot_profile import commands_for
from devbox.telegram.chats import Chat, StoredMessage
from devbox.telegram.shapes import Json
from devbox.telegram.world import World


async def messages_after(world: World, user_id: int, after: int, wait: float) -> list[Json]:
    """The user's messages with an id above `after`, oldest first; waits for one if there is none.

    A user nobody heard of has no messages; asking makes no user.
    """
    deadline = asyncio.get_running_loop().time() + wait
    while True:
        chat = world.chats.get(user_id)
        if chat is not None:
            found = newer_messages(chat, after)
            if found:
                return [message_view(message) for message in found]
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            return []
        if chat is None:
            chat = world.chats.ensure_user(user_id)
        await world.chats.wait_for_change([chat], left)


def newer_messages(chat: Chat, after: int) -> list[StoredMessage]:
    """The messages above an id, oldest first; looks at no more than it returns."""
    found = []
    for message_id in reversed(chat.messages):
        if message_id <= after:
            break
        found.append(chat.messages[message_id])
    return found[::-1]


async def changes_after(world: World, user_ids: list[int], after: int, wait: float) -> Json:
    """What changed in these users' chats after a version; waits for a change if there is none."""
    chats = [world.chats.ensure_user(user_id) for user_id in user_ids]
    newest = max((chat.version for chat in chats), default=0)
    if after and max(newest, world.commands_version) <= after and wait > 0:
        await world.chats.wait_for_change(chats, wait)
    return {
        "version": world.chats.version,
        "bot": world.bot,
        "users": [changed_view(world, chat, after) for chat in chats],
    }


def changed_view(world: World, chat: Chat, after: int) -> Json:
    """One chat: who it is, its keyboard and menu, and what changed after a version."""
    user = chat.user or {}
    showing = chat.action_until > world.chats.clock()
    return {
        "user_id": user["id"],
        "name": user["first_name"],
        "blocked": chat.blocked,
        "action": chat.action if showing else None,
        "reply_keyboard": chat.reply_keyboard,
        "commands": commands_for(world, user),
        "messages": [
            message_view(message) for message in chat.messages.values() if message.version > after
        ],
        "deleted": [message_id for message_id, version in chat.deleted.items() if version > after],
        "answers": world.clicks.answers_after(user["id"], after) if after else [],
    }


def message_view(message: StoredMessage) -> Json:
    """One message. `text` is the caption of a message with media; `at` is Unix seconds."""
    content = message.content
    replied = content.get("reply_to_message")
    return {
        "message_id": message.message_id,
        "from": "bot" if message.from_bot else "user",
        "text": content.get("text", content.get("caption", "")),
        "buttons": buttons_view(content.get("reply_markup")),
        "photo": file_address(content["photo"][-1]) if content.get("photo") else None,
        "edited": message.edited,
        "at": message.at,
        "entities": content.get("entities", content.get("caption_entities", [])),
        "document": document_view(content.get("document")),
        "reply_keyboard": message.reply_keyboard,
        "reply_to": replied["message_id"] if replied else None,
    }


def buttons_view(markup: Json | None) -> list[list[Json]]:
    """The inline buttons row by row: `text` and `data`, `data` null if it does something else."""
    if not markup:
        return []
    return [
        [
            {
                "text": button["text"],
                "data": button.get("callback_data"),
                **({"url": button["url"]} if "url" in button else {}),
            }
            for button in row
        ]
        for row in markup["inline_keyboard"]
    ]


def document_view(document: Json | None) -> Json | None:
    """A document's name and where it can be had."""
    if document is None:
        return None
    return {"name": document.get("file_name", "file"), "url": file_address(document)}


def file_address(file: Any) -> str:
    """Where the control API serves a file."""
    return f"/sim/files/{file['file_id']}"
