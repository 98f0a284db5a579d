"""aiogram without its weight: what the import costs, and that everything spoken can be spoken."""

import subprocess
import sys
from typing import Any

from gateway import telegram_models as models

MEGABYTES_MAX = 110
"""Whole process; a plain `import aiogram` takes 160."""

_PROGRAM = """
from pathlib import Path
from gateway import telegram_models
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmRSS"].split()[0]) // 1024)
"""


def test_importing_the_models_stays_small() -> None:
    """If a later aiogram builds its models in another way, this is where one learns of it."""
    megabytes = int(
        subprocess.run(
            [sys.executable, "-c", _PROGRAM], check=True, capture_output=True, text=True
        ).stdout
    )
    assert megabytes < MEGABYTES_MAX


def test_every_call_of_the_gateway_can_be_built() -> None:
    """A model that was not built would raise at its first use."""
    button = models.InlineKeyboardButton(text="a", callback_data="b")
    keyboard = models.InlineKeyboardMarkup(inline_keyboard=[[button]])
    models.SendMessage(chat_id=1, text="x", reply_markup=keyboard)
    models.EditMessageText(chat_id=1, message_id=2, text="x", reply_markup=keyboard)
    models.SendPhoto(chat_id=1, photo=models.BufferedInputFile(b"", "a.png"))
    models.AnswerCallbackQuery(callback_query_id="1")
    models.SetWebhook(url="https://example.org", secret_token="s")
    models.SetMyCommands(commands=[models.BotCommand(command="a", description="b")])
    models.DeleteWebhook()
    models.GetMe()
    models.GetRawUpdates(offset=1)


def test_the_readers_of_answers_are_kept() -> None:
    """Built anew for each answer they cost more than everything else a call needs."""
    calls: tuple[Any, ...] = (
        models.AnswerCallbackQuery,
        models.DeleteWebhook,
        models.EditMessageText,
        models.GetMe,
        models.GetRawUpdates,
        models.SendMessage,
        models.SendPhoto,
        models.SetMyCommands,
        models.SetWebhook,
    )
    for call in calls:
        assert models.Response.__class_getitem__(call.__returning__) in models.RESPONSES
