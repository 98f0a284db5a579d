"""aiogram's models of the Bot API, imported without building the nine hundred that are never used.

`import aiogram` ends by building the validator of every type of the Bot API: 3 s and 150 MB, most
of it copies of the same few types. Each of those builds is one call of `model_rebuild`, and aiogram
defers building otherwise (`defer_build`), so here that call does nothing while aiogram is imported,
and afterwards the few models the gateway speaks are built with the names aiogram would have given:
1 s and 50 MB. Everything that needs aiogram in this package imports it from here, so that the order
holds. Should a later aiogram build its models in another way, the import is merely slow and large
again; `tests/unit/gateway` measures it.
"""

from typing import Any

import pydantic


def _import_without_building() -> dict[str, Any]:
    """Import aiogram's types; return the names its models refer to one another by."""
    names: dict[str, Any] = {}
    rebuild = pydantic.BaseModel.__dict__["model_rebuild"]

    def postpone(_: type, /, *, _types_namespace: dict[str, Any] | None = None, **__: Any) -> None:
        names.update(_types_namespace or {})

    pydantic.BaseModel.model_rebuild = classmethod(postpone)  # type: ignore[assignment]
    try:
        import aiogram.types  # noqa: F401
    finally:
        pydantic.BaseModel.model_rebuild = rebuild  # type: ignore[method-assign]
    return names


_names = _import_without_building()

from aiogram.client.bot import Bot  # noqa: E402 (after the types, see above)
from aiogram.client.session.aiohttp import AiohttpSession  # noqa: E402
from aiogram.client.telegram import TelegramAPIServer  # noqa: E402
from aiogram.methods import (  # noqa: E402
    AnswerCallbackQuery,
    DeleteWebhook,
    EditMessageText,
    GetMe,
    GetUpdates,
    Response,
    SendMessage,
    SendPhoto,
    SetMyCommands,
    SetWebhook,
    TelegramMethod,
)
from aiogram.types import (  # noqa: E402
    BotCommand,
    BufferedInputFile,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    Message,
    Update,
    User,
)


class GetRawUpdates(GetUpdates):
    """getUpdates whose answer is taken as it is: one update that aiogram cannot read must not spoil
    the batch.
    """

    __returning__ = list[Any]


for _model in (
    Update,
    User,
    Message,
    BotCommand,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    AnswerCallbackQuery,
    DeleteWebhook,
    EditMessageText,
    GetMe,
    GetRawUpdates,
    SendMessage,
    SendPhoto,
    SetMyCommands,
    SetWebhook,
):
    _model.model_rebuild(_types_namespace=_names or None)

# aiogram reads each answer into `Response[...]`. pydantic keeps such classes only as long as
# somebody else does, and building one again takes 20 ms: more than all else a call needs.
RESPONSES: tuple[Any, ...] = (
    Response[Message],
    Response[Message | bool],
    Response[User],
    Response[bool],
    Response[list[Any]],
)

__all__ = (
    "RESPONSES",
    "AiohttpSession",
    "AnswerCallbackQuery",
    "Bot",
    "BotCommand",
    "BufferedInputFile",
    "DeleteWebhook",
    "EditMessageText",
    "GetMe",
    "GetRawUpdates",
    "InlineKeyboardButton",
    "InlineKeyboardMarkup",
    "Message",
    "Response",
    "SendMessage",
    "SendPhoto",
    "SetMyCommands",
    "SetWebhook",
    "TelegramAPIServer",
    "TelegramMethod",
    "Update",
    "User",
)
