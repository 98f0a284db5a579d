"""A trade in the browser, as a person makes it: typed and pressed on the chat page."""

import os
from pathlib import Path

from playwright.async_api import Locator, Page, expect

SLOWEST_ANSWER_MILLISECONDS = 30_000


async def trade_from_start_to_profit(page: Page, address: str) -> None:
    """Buy, look at the pictures, sell, read the profit; each picture is loaded."""
    page.set_default_timeout(SLOWEST_ANSWER_MILLISECONDS)
    await page.goto(f"{address}/?users=101")
    column = page.locator('.column[data-user-id="101"]')

    await say(column, "/start")
    await said(column, "10,000 USDT")
    await say(column, "btc")
    await column.get_by_role("button", name="Buy BTC").last.click()
    await column.get_by_role("button", name="$100").click()
    await said(column, "You give: 100 USDT")
    await photograph(page, "offer")
    await column.get_by_role("button", name="Confirm").click()
    await said(column, "Bought")
    await expect(column.get_by_role("button", name="Confirm")).to_have_count(0)
    await photograph(page, "receipt")

    await say(column, "/portfolio")
    await say(column, "/chart BTC")
    pictures = column.locator("img.photo")
    await expect(pictures).to_have_count(2, timeout=SLOWEST_ANSWER_MILLISECONDS)
    for picture in await pictures.all():
        await expect(picture).to_have_js_property("complete", True)
        assert await picture.evaluate("image => image.naturalWidth") == 1000
    await photograph(page, "pictures")

    await say(column, "/sell all BTC")
    await column.get_by_role("button", name="Confirm").click()
    await said(column, "Sold")
    await say(column, "/profit")
    await said(column, "Realised")
    await say(column, "/history")
    await said(column, "Your trades")


async def say(column: Locator, text: str) -> None:
    """Type into the user's field and press Enter."""
    field = column.get_by_role("textbox")
    await field.fill(text)
    await field.press("Enter")


async def said(column: Locator, words: str) -> None:
    """Wait until a message of the bot holds the words."""
    message = column.locator(".from-bot", has_text=words).first
    await expect(message).to_be_visible(timeout=SLOWEST_ANSWER_MILLISECONDS)


async def photograph(page: Page, name: str) -> None:
    """Keep a picture of the page for whoever asked for one."""
    folder = os.environ.get("PURSER_SCREENSHOT_DIR")
    if folder:
        await page.screenshot(path=Path(folder) / f"trading-{name}.png")
