"""getMe, the bot's commands, files, leaving chats, and how updates reach the bot."""

import re

from devbox.telegram.errors import BadRequest, Conflict
from devbox.telegram.limits import (
    COMMAND_CHARACTERS_MAX,
    COMMAND_DESCRIPTION_CHARACTERS_MAX,
    COMMANDS_MAX,
    WEBHOOK_CONNECTIONS_DEFAULT,
    WEBHOOK_CONNECTIONS_MAX,
    WEBHOOK_SECRET_CHARACTERS_MAX,
)
from devbox.telegram.polling import WEBHOOK_IS_SET
from devbox.telegram.shapes import Json
from devbox.telegram.webhook import WebhookSettings
from devbox.telegram.world import Call, World

COMMAND = re.compile(rf"/?[a-z0-9_]{{1,{COMMAND_CHARACTERS_MAX}}}")
SECRET = re.compile(rf"[A-Za-z0-9_-]{{1,{WEBHOOK_SECRET_CHARACTERS_MAX}}}")

BOT_ABILITIES = {
    "can_join_groups": True,
    "can_read_all_group_messages": False,
    "supports_inline_queries": False,
    "can_connect_to_business": False,
    "has_main_web_app": False,
}


def get_me(world: World, call: Call) -> Json:
    """Who the bot is."""
    return {**world.bot, **BOT_ABILITIES}


def commands_key(parameters: Json) -> str:
    """Where the command list of this scope and language is kept."""
    scope = parameters.get("scope") or {"type": "default"}
    parts = (scope["type"], scope.get("chat_id"), scope.get("user_id"))
    place = ":".join(str(part) for part in parts if part is not None)
    return f"{place}/{parameters.get('language_code') or ''}"


def set_my_commands(world: World, call: Call) -> bool:
    """Set the commands of a scope and language. Raises BadRequest beyond the limits."""
    commands = call.parameters.get("commands")
    if commands is None:
        raise BadRequest("commands are not specified")
    if len(commands) > COMMANDS_MAX:
        raise BadRequest("BOT_COMMANDS_TOO_MUCH")
    for command in commands:
        if not COMMAND.fullmatch(command["command"]):
            raise BadRequest("BOT_COMMAND_INVALID")
        if not 1 <= len(command["description"]) <= COMMAND_DESCRIPTION_CHARACTERS_MAX:
            raise BadRequest("BOT_COMMAND_DESCRIPTION_INVALID")
    stored = [{**command, "command": command["command"].lstrip("/")} for command in commands]
    return replace_commands(world, call.parameters, stored)


def delete_my_commands(world: World, call: Call) -> bool:
    """Forget the commands of a scope and language."""
    return replace_commands(world, call.parameters, [])


def replace_commands(world: World, parameters: Json, commands: list[Json]) -> bool:
    """Put these commands in place of the old ones; the page hears of it."""
    world.commands[commands_key(parameters)] = commands
    world.chats.version += 1
    world.commands_version = world.chats.version
    return True


def get_my_commands(world: World, call: Call) -> list[Json]:
    """The commands of a scope and language, none if there are none."""
    return world.commands.get(commands_key(call.parameters), [])


def commands_for(world: World, user: Json) -> list[Json]:
    """The commands a user's menu shows: the narrowest scope, the user's language first."""
    scopes = (f"chat:{user['id']}", "all_private_chats", "default")
    languages = (user.get("language_code", ""), "")
    keys = [f"{scope}/{language}" for scope in scopes for language in languages]
    return next((world.commands[key] for key in keys if world.commands.get(key)), [])


def get_file(world: World, call: Call) -> Json:
    """Where a file can be downloaded."""
    stored = world.files.get(call.parameters.get("file_id") or "")
    if stored is None:
        raise BadRequest("invalid file_id")
    return stored.description()


def leave_chat(world: World, call: Call) -> bool:
    """Leave a group or channel; the simulator only looks whether Telegram would let the bot."""
    chat = world.chats.reachable(call.parameters.get("chat_id"))
    if chat.profile["type"] == "private":
        raise BadRequest("chat member status can't be changed in private chats")
    return True


def take_allowed_updates(world: World, parameters: Json) -> None:
    """The kinds of updates made from now on; without the parameter they stay as they were."""
    if "allowed_updates" in parameters:
        world.updates.allowed = list(parameters["allowed_updates"])


async def get_updates(world: World, call: Call) -> bytes:
    """Long polling. Raises Conflict while a webhook is set."""
    if world.webhook.settings is not None:
        raise Conflict(WEBHOOK_IS_SET)
    take_allowed_updates(world, call.parameters)
    return await world.polling.get_updates(
        call.parameters.get("offset", 0),
        call.parameters.get("limit", 0),
        call.parameters.get("timeout", 0),
    )


async def set_webhook(world: World, call: Call) -> bool:
    """Set the webhook, or remove it when the address is empty."""
    parameters = call.parameters
    url = parameters.get("url") or ""
    if not url:
        return await delete_webhook(world, call)
    if not url.startswith(("https://", "http://")) or " " in url:
        raise BadRequest("bad webhook: An HTTPS URL must be provided for webhook")
    secret = parameters.get("secret_token") or None
    if secret is not None and not SECRET.fullmatch(secret):
        raise BadRequest("secret token contains unallowed characters")
    connections = parameters.get("max_connections") or WEBHOOK_CONNECTIONS_DEFAULT
    take_allowed_updates(world, parameters)
    if parameters.get("drop_pending_updates"):
        world.updates.drop_all()
    world.polling.end("terminated by setWebhook request")
    connections = min(max(connections, 1), WEBHOOK_CONNECTIONS_MAX)
    await world.webhook.set(WebhookSettings(url, secret, connections, parameters.get("ip_address")))
    return True


async def delete_webhook(world: World, call: Call) -> bool:
    """Remove the webhook; what waits is kept for polling unless it is to be dropped."""
    await world.webhook.stop()
    if call.parameters.get("drop_pending_updates"):
        world.updates.drop_all()
    return True


def get_webhook_info(world: World, call: Call) -> Json:
    """The webhook and what is wrong with it."""
    return world.webhook.info()
