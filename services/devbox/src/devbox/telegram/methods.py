"""The Bot API methods the simulator has, and how one call is carried out.

A call passes: known method? → faults → parameters of their shapes? → the method's function →
result of its shape? The last catches our own mistakes: a reply Telegram would never send is a
500 and an error in the log, so that no bot is ever tested against it.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from devbox.telegram import bot_profile, editing, sending
from devbox.telegram.errors import (
    BadRequest,
    BotApiError,
    InternalError,
    NotFound,
    NotSimulated,
)
from devbox.telegram.files import Upload
from devbox.telegram.shapes import Json, Method, ShapeError
from devbox.telegram.world import Call, World

_log = logging.getLogger(__name__)

METHODS: dict[str, Callable[[World, Call], Any | Awaitable[Any]]] = {
    "getme": bot_profile.get_me,
    "getupdates": bot_profile.get_updates,
    "setwebhook": bot_profile.set_webhook,
    "deletewebhook": bot_profile.delete_webhook,
    "getwebhookinfo": bot_profile.get_webhook_info,
    "setmycommands": bot_profile.set_my_commands,
    "getmycommands": bot_profile.get_my_commands,
    "deletemycommands": bot_profile.delete_my_commands,
    "getfile": bot_profile.get_file,
    "leavechat": bot_profile.leave_chat,
    "sendmessage": sending.send_message,
    "sendphoto": sending.send_photo,
    "senddocument": sending.send_document,
    "sendchataction": sending.send_chat_action,
    "editmessagetext": editing.edit_message_text,
    "editmessagecaption": editing.edit_message_caption,
    "editmessagemedia": editing.edit_message_media,
    "editmessagereplymarkup": editing.edit_message_reply_markup,
    "deletemessage": editing.delete_message,
    "deletemessages": editing.delete_messages,
    "answercallbackquery": editing.answer_callback_query,
}

SENDS = frozenset({"sendmessage", "sendphoto", "senddocument"})
"""The methods counted as sends."""


def find_method(world: World, name: str) -> Method:
    """The method of this name, in any case. Raises NotFound if Telegram has none."""
    method = world.shapes.methods.get(name.lower())
    if method is None:
        raise NotFound
    return method


async def carry_out(world: World, method: Method, raw: Json, uploads: dict[str, Upload]) -> bytes:
    """Do what the call asks; the result as JSON.

    Raises BotApiError as Telegram would refuse it, NotSimulated for what only Telegram has.
    """
    key = method.name.lower()
    function = METHODS.get(key)
    if function is None:
        raise NotSimulated(f"the simulator has no {method.name}")
    try:
        parameters = world.shapes.read_call(method, raw)
    except ShapeError as error:
        raise BadRequest(f"can't parse parameter {error}") from None
    result = function(world, Call(method, parameters, uploads))
    if inspect.isawaitable(result):
        result = await result
    if isinstance(result, bytes):  # getUpdates: its updates were checked when they were made
        return result
    try:
        world.shapes.check_result(method.returns, result)
    except ShapeError:
        _log.exception("%s would answer what Telegram never does", method.name)
        raise InternalError("the simulator made a wrong answer") from None
    return msgspec.json.encode(result)


def count(world: World, method: Method, error: BotApiError | None) -> None:
    """Count the call, and whether a send was accepted."""
    world.calls[method.name] = world.calls.get(method.name, 0) + 1
    if method.name.lower() in SENDS:
        if error is None:
            world.sends.accepted += 1
        else:
            world.sends.refused += 1
