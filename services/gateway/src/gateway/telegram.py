"""Calls of the Bot API through aiogram: a reply becomes a call, a failure what to do about it.

Telegram tells kinds of 400 apart by their descriptions only; those that need their own answer are
listed here, all others are final. A network failure leaves open whether the call was carried out:
the Bot API has no idempotent send, so saying it again may say it twice, and not saying it again may
never say it. It is said again.
"""

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from aiogram import exceptions
from aiogram.utils.token import TokenValidationError, extract_bot_id

from chassis.errors import CannotStart
from chassis.settings import Secret
from gateway import metrics
from gateway.errors import (
    AlreadySo,
    CallRefused,
    MarkupRefused,
    MessageGone,
    RetryLater,
    TelegramFailure,
    TokenRefused,
    UserBlockedBot,
)
from gateway.telegram_models import (
    AiohttpSession,
    AnswerCallbackQuery,
    Bot,
    BotCommand,
    BufferedInputFile,
    DeleteWebhook,
    EditMessageText,
    GetMe,
    GetRawUpdates,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    SendMessage,
    SendPhoto,
    SetMyCommands,
    SetWebhook,
    TelegramAPIServer,
    TelegramMethod,
)
from purser.gateway.v1 import reply_pb2

Answer = TypeVar("Answer")

LONG_POLL_MARGIN_SECONDS = 10.0
"""How much longer than asked a long poll may take before the connection is given up."""

_ALREADY_SO = ("message is not modified", "query is too old", "query id is invalid")
_GONE = (
    "message to edit not found",
    "message can't be edited",
    "message_id_invalid",
    "there is no text in the message to edit",
)
_MARKUP = ("can't parse entities", "can't parse message text")
_TAG = re.compile(r"<[^<>]*>")


def bot_id_of(token: Secret) -> int:
    """Read the bot's id from its token; raise CannotStart when it does not look like one."""
    try:
        return extract_bot_id(token.reveal())
    except TokenValidationError:
        raise CannotStart(
            "GATEWAY_BOT_TOKEN does not look like a bot token (123456:AAAA…): "
            "copy it from @BotFather."
        ) from None


class Telegram:
    """One bot's calls. Close it."""

    def __init__(
        self,
        token: Secret,
        api_url: str,
        *,
        connections_max: int,
        request_timeout_seconds: float,
    ) -> None:
        session = AiohttpSession(api=TelegramAPIServer.from_base(api_url), limit=connections_max)
        self._bot = Bot(token.reveal(), session=session)
        self._request_timeout_seconds = request_timeout_seconds

    async def close(self) -> None:
        """Close the connections."""
        await self._bot.session.close()

    async def check_token(self) -> None:
        """Ask who we are. Raises TokenRefused, or RetryLater when Telegram is away."""
        await self._call(GetMe())

    async def get_updates(
        self, offset: int | None, limit: int, wait_seconds: int, kinds: Sequence[str]
    ) -> list[Any]:
        """Wait for updates from `offset` on, as they come. Raises TelegramFailure."""
        method = GetRawUpdates(
            offset=offset, limit=limit, timeout=wait_seconds, allowed_updates=list(kinds)
        )
        updates: list[Any] = await self._call(method, wait_seconds + LONG_POLL_MARGIN_SECONDS)
        return updates

    async def set_webhook(
        self, url: str, secret: Secret, kinds: Sequence[str], connections_max: int
    ) -> None:
        """Have updates delivered to `url`. Raises TelegramFailure."""
        await self._call(
            SetWebhook(
                url=url,
                secret_token=secret.reveal(),
                allowed_updates=list(kinds),
                max_connections=connections_max,
            )
        )

    async def delete_webhook(self) -> None:
        """Have updates kept for polling; none is dropped. Raises TelegramFailure."""
        await self._call(DeleteWebhook(drop_pending_updates=False))

    async def set_commands(self, commands: Mapping[str, str], language_code: str) -> None:
        """Show these commands to users of a language; "" is everybody who has no list of their own.

        Raises TelegramFailure.
        """
        menu = [BotCommand(command=name, description=line) for name, line in commands.items()]
        await self._call(SetMyCommands(commands=menu, language_code=language_code or None))

    async def say(
        self, telegram_id: int, reply: reply_pb2.Reply, message_id: int | None, *, plain: bool
    ) -> int:
        """Carry one reply out; return the id of the message that now shows it, 0 for none.

        `message_id` is that of the message to edit, None to send a new one. `plain` leaves
        the markup out.
        Raises TelegramFailure.
        """
        method = _method_of(telegram_id, reply, message_id, plain=plain)
        result = await self._call(method)
        return getattr(result, "message_id", 0) or message_id or 0

    async def answer_silently(self, press_id: str) -> None:
        """Stop the waiting sign on a button. Raises TelegramFailure."""
        await self._call(AnswerCallbackQuery(callback_query_id=press_id))

    async def send_plain(self, telegram_id: int, text: str) -> None:
        """Send a line that is no reply to a job. Raises TelegramFailure."""
        await self._call(SendMessage(chat_id=telegram_id, text=text))

    async def _call(
        self, method: TelegramMethod[Answer], timeout_seconds: float | None = None
    ) -> Answer:
        name = method.__api_method__
        timeout = timeout_seconds or self._request_timeout_seconds
        outcome = "failed"
        try:
            with metrics.TELEGRAM_SECONDS.labels(name).time():
                # aiogram hands the number on to aiohttp, which takes fractions as well.
                answer = await self._bot.session(self._bot, method, timeout=timeout)  # type: ignore[arg-type]
            outcome = "ok"
        except exceptions.AiogramError as error:
            failure = _failure_of(error)
            outcome = type(failure).__name__
            raise failure from None
        except (TimeoutError, OSError) as error:
            outcome = RetryLater.__name__
            raise RetryLater(type(error).__name__) from None
        finally:
            metrics.TELEGRAM_CALLS.labels(name, outcome).inc()
        return answer


def _method_of(
    telegram_id: int, reply: reply_pb2.Reply, message_id: int | None, *, plain: bool
) -> TelegramMethod[Any]:
    body = reply.WhichOneof("body")
    if body == "answer_press":
        press = reply.answer_press
        return AnswerCallbackQuery(
            callback_query_id=press.press_id, text=press.text or None, show_alert=press.alert
        )
    if body == "send_photo":
        photo = reply.send_photo
        caption, mode = _text_of(photo.caption, photo.format, plain=plain)
        suffix = "png" if photo.image.startswith(b"\x89PNG") else "jpg"
        return SendPhoto(
            chat_id=telegram_id,
            photo=BufferedInputFile(photo.image, f"picture.{suffix}"),
            caption=caption or None,
            parse_mode=mode,
            reply_markup=_keyboard_of(photo.keyboard),
        )
    said = reply.edit_text if body == "edit_text" else reply.send_text
    text, mode = _text_of(said.text, said.format, plain=plain)
    keyboard = _keyboard_of(said.keyboard)
    if body == "edit_text" and message_id is not None:
        return EditMessageText(
            chat_id=telegram_id,
            message_id=message_id,
            text=text,
            parse_mode=mode,
            reply_markup=keyboard,
        )
    return SendMessage(chat_id=telegram_id, text=text, parse_mode=mode, reply_markup=keyboard)


def _text_of(text: str, text_format: int, *, plain: bool) -> tuple[str, str | None]:
    if text_format != reply_pb2.TEXT_FORMAT_HTML:
        return text, None
    if plain:
        return html.unescape(_TAG.sub("", text)), None
    return text, "HTML"


def _keyboard_of(keyboard: reply_pb2.Keyboard) -> InlineKeyboardMarkup | None:
    if not keyboard.rows:
        return None
    return InlineKeyboardMarkup(
        inline_keyboard=[
            [
                InlineKeyboardButton(text=button.text, callback_data=button.data)
                for button in row.buttons
            ]
            for row in keyboard.rows
        ]
    )


def _failure_of(error: exceptions.AiogramError) -> TelegramFailure:
    """Name what to do.

    Texts of network errors stay out: they may hold the address, and that the token.
    """
    if isinstance(error, exceptions.TelegramRetryAfter):
        return RetryLater("429", float(error.retry_after))
    if isinstance(error, exceptions.TelegramUnauthorizedError | exceptions.TelegramNotFound):
        return TokenRefused("Telegram does not know the bot token")
    if isinstance(error, exceptions.TelegramEntityTooLarge):
        return CallRefused("413")
    if isinstance(error, exceptions.TelegramNetworkError | exceptions.TelegramServerError):
        return RetryLater(type(error).__name__)
    if isinstance(error, exceptions.TelegramForbiddenError):
        return UserBlockedBot(error.message)
    if isinstance(error, exceptions.TelegramConflictError):
        return RetryLater(error.message)
    if isinstance(error, exceptions.TelegramBadRequest):
        return _bad_request(error.message)
    if isinstance(error, exceptions.ClientDecodeError):
        return RetryLater("an answer that is not the Bot API's")
    if isinstance(error, exceptions.TelegramAPIError):
        # No status Telegram refuses with: a 429 without its pause, or whoever stands in between.
        return RetryLater(type(error).__name__)
    return CallRefused(type(error).__name__)


def _bad_request(description: str) -> TelegramFailure:
    words = description.lower()
    for kind, texts in ((AlreadySo, _ALREADY_SO), (MessageGone, _GONE), (MarkupRefused, _MARKUP)):
        if any(text in words for text in texts):
            return kind(description)
    return CallRefused(description)
