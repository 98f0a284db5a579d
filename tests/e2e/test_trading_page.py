"""A trade in the browser, against the whole of Purser: what a newcomer sees after `make run`."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect
from tests.e2e.chromium import launched
from tests.e2e.live_run import running
from tests.e2e.reconciling import assert_reconciled

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

SLOWEST_ANSWER_MILLISECONDS = 30_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    """A run of everything."""
    async with running(tmp_path_factory.mktemp("page"), "--port", "0") as live:
        yield live


async def test_a_trade_from_start_to_profit(run: Any) -> None:
    """Typed and pressed as a person would; every picture is loaded, no script fails."""
    problems: list[str] = []
    async with launched() as browser:
        page = await browser.new_page(viewport={"width": 460, "height": 1000})
        page.set_default_timeout(SLOWEST_ANSWER_MILLISECONDS)
        page.on("pageerror", lambda error: problems.append(str(error)))
        await page.goto(f"{run.report.address}/?users=101")
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
    assert problems == []
    connection = await run.database()
    try:
        await assert_reconciled(connection)
    finally:
        await connection.close()


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
