# ruff: noqa: RUF001 -- the page must show real punctuation
"""A chat page in Chromium, and a bot that says what its tests need."""

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
from playwright.async_api import Browser, Page, expect

from devbox.telegram import Simulator


def chart(width: int = 480, height: int = 260) -> bytes:
    """A PNG with a rising line, made by hand."""
    rows = []
    for y in range(height):
        row = bytearray(b"\0")
        for x in range(width):
            line = height * 0.75 - x * 0.35 - 18 * ((x // 60) % 2)
            shade = (63, 166, 160) if abs(y - line) < 3 else (24, 33, 39)
            row += bytes((32, 70, 74) if shade == (24, 33, 39) and y > line else shade)
        rows.append(bytes(row))

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(b"".join(rows))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


class ScriptedBot:
    """Answers a handful of commands and buttons; enough to show everything the page can do."""

    def __init__(self, simulator: Simulator, client: aiohttp.ClientSession) -> None:
        self._base = f"{simulator.url}/bot{simulator.token}"
        self._client = client
        self.texts: list[str] = []

    async def call(self, method: str, **parameters: Any) -> Any:
        """The result of a Bot API call, which must be accepted."""
        async with self._client.post(f"{self._base}/{method}", json=parameters) as response:
            content = await response.json()
        assert content["ok"], content
        return content["result"]

    async def run(self) -> None:
        """Poll and answer until cancelled."""
        commands = [
            {"command": "start", "description": "Begin, or begin again"},
            {"command": "price", "description": "What a coin costs now"},
            {"command": "help", "description": "What I can do"},
        ]
        await self.call("setMyCommands", commands=commands)
        offset = 0
        while True:
            for update in await self.call("getUpdates", offset=offset, timeout=20):
                offset = update["update_id"] + 1
                if "message" in update:
                    await self.on_message(update["message"])
                elif "callback_query" in update:
                    await self.on_click(update["callback_query"])

    async def on_message(self, message: dict[str, Any]) -> None:
        """Answer what somebody wrote."""
        chat, text = message["chat"]["id"], message["text"]
        self.texts.append(text)
        if text == "/start":
            await self.call(
                "sendMessage",
                chat_id=chat,
                parse_mode="HTML",
                text="<b>Welcome aboard.</b>\nYou have <code>10,000.00</code> play money."
                ' Read <a href="https://example.org/rules">the rules</a> or try /price.',
                reply_markup=keyboard(
                    [("Balance", "balance"), ("Chart", "chart")], [("Help", "?")]
                ),
            )
        elif text == "/price":
            await self.call(
                "sendMessage",
                chat_id=chat,
                parse_mode="HTML",
                text="<pre>BTC  97,204.10  +1.2 %\nETH   3,410.55  −0.4 %</pre>",
                reply_markup={"keyboard": [["Buy BTC", "Sell BTC"]]},
            )
        elif text == "typing":
            await self.call("sendChatAction", chat_id=chat, action="typing")
        else:
            await self.call("sendMessage", chat_id=chat, text=f"You said: {text}")

    async def on_click(self, query: dict[str, Any]) -> None:
        """Answer a click."""
        chat, message_id = query["message"]["chat"]["id"], query["message"]["message_id"]
        if query["data"] == "balance":
            await self.call("answerCallbackQuery", callback_query_id=query["id"], text="Updated")
            await self.call(
                "editMessageText",
                chat_id=chat,
                message_id=message_id,
                text="You have 9,871.40 play money and 0.0013 BTC.",
                reply_markup=keyboard([("Back", "back")]),
            )
        elif query["data"] == "chart":
            form = aiohttp.FormData({"chat_id": str(chat), "caption": "BTC, one day"})
            form.add_field("photo", chart(), filename="chart.png", content_type="image/png")
            async with self._client.post(f"{self._base}/sendPhoto", data=form) as response:
                assert response.status == 200
            await self.call("answerCallbackQuery", callback_query_id=query["id"])
        else:
            await self.call(
                "answerCallbackQuery",
                callback_query_id=query["id"],
                text="Ask me for a price.",
                show_alert=True,
            )


def keyboard(*rows: list[tuple[str, str]]) -> dict[str, Any]:
    """An inline keyboard of (text, data) pairs."""
    return {
        "inline_keyboard": [
            [{"text": text, "callback_data": data} for text, data in row] for row in rows
        ]
    }


class Scene:
    """A simulator with its bot, and a page that shows it."""

    def __init__(self, simulator: Simulator, bot: ScriptedBot, page: Page) -> None:
        self.simulator = simulator
        self.bot = bot
        self.page = page

    def column(self, user_id: int) -> Any:
        """The part of the page that shows this user's chat."""
        return self.page.locator(f'.column[data-user-id="{user_id}"]')

    async def say(self, user_id: int, text: str) -> None:
        """Type into the user's field and press Enter."""
        field = self.column(user_id).get_by_role("textbox")
        await field.fill(text)
        await field.press("Enter")


@asynccontextmanager
async def opened(browser: Browser, users: str = "101", **options: Any) -> AsyncIterator[Scene]:
    """A new simulator, bot and page; every script error on the page fails the test."""
    problems: list[str] = []
    async with Simulator() as simulator, aiohttp.ClientSession() as client:
        bot = ScriptedBot(simulator, client)
        running = asyncio.create_task(bot.run())
        context = await browser.new_context(viewport={"width": 1180, "height": 800}, **options)
        page = await context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        await page.goto(f"{simulator.url}/?users={users}")
        await expect(page.get_by_text("Connected to @purser_bot")).to_be_visible()
        yield Scene(simulator, bot, page)
        await context.close()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert problems == []
