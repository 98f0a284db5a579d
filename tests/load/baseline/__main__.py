"""`python -m tests.load.baseline`: the bot, until SIGTERM. All its settings are BASELINE_…:

TOKEN  the bot's token         TELEGRAM_URL  the Bot API's root
FILE   the SQLite file         PRICES_URL    the exchange's root
KEY    the Fernet key of all wallets
"""

import asyncio
import os
from pathlib import Path

import aiohttp
from aiogram import Bot, Dispatcher
from aiogram.client.default import DefaultBotProperties
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from cryptography.fernet import Fernet
from tests.load.baseline.bot import make_router
from tests.load.baseline.prices import Prices
from tests.load.baseline.store import opened


async def run() -> None:
    """Open what the bot needs and poll until a signal."""
    settings = {name: os.environ[f"BASELINE_{name}"] for name in _NAMES}
    session = AiohttpSession(api=TelegramAPIServer.from_base(settings["TELEGRAM_URL"]), limit=1000)
    bot = Bot(settings["TOKEN"], session, DefaultBotProperties(parse_mode="HTML"))
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        opened(Path(settings["FILE"])) as store,
        aiohttp.ClientSession(connector=connector) as http,
    ):
        prices = Prices(http, settings["PRICES_URL"])
        dispatcher = Dispatcher()
        dispatcher.include_router(make_router(store, prices, Fernet(settings["KEY"])))
        await dispatcher.start_polling(bot)


_NAMES = ("TOKEN", "TELEGRAM_URL", "PRICES_URL", "FILE", "KEY")

if __name__ == "__main__":
    asyncio.run(run())
