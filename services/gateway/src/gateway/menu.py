"""The bot's menu of commands, told to Telegram at each start: the same again changes nothing.

Telegram shows the list of the user's app language, else the one without a language, which is
English. Nobody needs the menu to trade, so a refusal is a line in the log and no more.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from chassis.telemetry import get_logger
from gateway.errors import RetryLater, TelegramFailure
from gateway.texts import COMMANDS, FALLBACK

TRIES_MAX = 5
PAUSE_SECONDS = 30.0
"""Between tries while Telegram is away; longer when Telegram says so."""

_log = get_logger(__name__)


class MenuApi(Protocol):
    """What the menu needs of Telegram."""

    async def set_commands(self, commands: Mapping[str, str], language_code: str) -> None:
        """Show these commands to users of a language; "" is everybody who has no list of their own.

        Raises TelegramFailure.
        """


async def show_menu(telegram: MenuApi) -> None:
    """See to it that Telegram shows the menu in every language. Never raises TelegramFailure."""
    for language, commands in COMMANDS.items():
        await _show(telegram, commands, "" if language == FALLBACK else language)


async def _show(telegram: MenuApi, commands: Mapping[str, str], language_code: str) -> None:
    for tries_left in reversed(range(TRIES_MAX)):
        try:
            await telegram.set_commands(commands, language_code)
        except RetryLater as failure:
            if not tries_left:
                _log.warning("menu_not_shown", language=language_code, failure=str(failure))
                return
            await asyncio.sleep(max(PAUSE_SECONDS, failure.delay_seconds or 0.0))
        except TelegramFailure as failure:
            _log.warning("menu_not_shown", language=language_code, failure=str(failure))
            return
        else:
            return
