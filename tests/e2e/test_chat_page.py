# ruff: noqa: RUF001 -- the page must show real punctuation
"""The chat page in headless Chromium, against a small scripted bot over real HTTP.

The bot polls the simulator as any bot would. Chromium is Debian's, driven by playwright; without
it the tests are skipped, or fail when PURSER_TEST_STRICT=1. With PURSER_SCREENSHOT_DIR set the
page is photographed there, in light and dark.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from tests.e2e.chromium import launched
from tests.e2e.scripted_page import opened

from devbox.telegram import Simulator

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "<img src=x onerror=\"document.title='broken'\"> <b>not bold</b> &amp;"

ADA, BELA = 101, 102


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One headless Chromium for all tests here."""
    async with launched() as started:
        yield started


async def test_start_is_answered_in_the_chat(browser: Browser) -> None:
    """The Start button of an empty chat sends /start, and the answer is shown with its markup."""
    async with opened(browser) as scene:
        column = scene.column(ADA)

        await column.get_by_role("button", name="Start").click()

        answer = column.locator(".from-bot").first
        await expect(answer.locator("strong")).to_have_text("Welcome aboard.")
        await expect(answer.locator("code")).to_have_text("10,000.00")
        link = answer.get_by_role("link", name="the rules")
        await expect(link).to_have_attribute("href", "https://example.org/rules")
        assert scene.bot.texts == ["/start"]


async def test_a_button_edits_in_place_and_its_answer_is_a_toast(browser: Browser) -> None:
    """A click changes the same bubble, marks it as edited, and shows the bot's answer."""
    async with opened(browser) as scene:
        column = scene.column(ADA)
        await scene.say(ADA, "/start")

        await column.get_by_role("button", name="Balance").click()

        await expect(column.locator(".toast")).to_have_text("Updated")
        await expect(column.locator(".from-bot .text")).to_have_text(
            "You have 9,871.40 play money and 0.0013 BTC."
        )
        await expect(column.locator(".from-bot .stamp")).to_contain_text("edited")
        await expect(column.get_by_role("button", name="Back")).to_be_visible()
        await expect(column.get_by_role("button", name="Balance")).to_have_count(0)


async def test_a_picture_is_shown(browser: Browser) -> None:
    """A photo the bot uploads is loaded and drawn, with its caption below."""
    async with opened(browser) as scene:
        column = scene.column(ADA)
        await scene.say(ADA, "/start")

        await column.get_by_role("button", name="Chart").click()

        image = column.locator("img.photo")
        await expect(image).to_be_visible()
        await expect(column.get_by_text("BTC, one day")).to_be_visible()
        await expect(image).to_have_js_property("naturalWidth", 480)


async def test_a_picture_is_wide_enough_to_read_and_opens_whole(browser: Browser) -> None:
    """It takes the width of the chat with its buttons below; a click shows every pixel of it."""
    async with opened(browser) as scene:
        column = scene.column(ADA)
        await scene.say(ADA, "/start")
        await column.get_by_role("button", name="Chart").click()
        image = column.locator("img.photo")
        await expect(image).to_have_js_property("naturalWidth", 480)

        shown = await image.evaluate("e => e.clientWidth / e.closest('.messages').clientWidth")
        async with scene.page.context.expect_page() as opening:
            await image.click()
        whole = await opening.value

        assert shown > 0.9
        await expect(whole.locator("img")).to_have_js_property("naturalWidth", 480)


async def test_an_opened_page_stands_at_the_end_when_pictures_come_late(
    browser: Browser,
) -> None:
    """Where the newest message is: what is above it grows, and it is still in sight."""
    async with opened(browser) as scene:
        column = scene.column(ADA)
        for text in [*("something " * 40 for _ in range(6)), "/start"]:
            await scene.say(ADA, text)
        await column.get_by_role("button", name="Chart").click()
        await expect(column.locator("img.photo")).to_have_count(1)

        await scene.page.reload()
        await expect(column.locator("img.photo")).to_have_js_property("naturalWidth", 480)

        at_end = "(e) => e.scrollHeight - e.clientHeight - e.scrollTop < 2"
        scroll = await column.locator(".scroll").element_handle()
        await scene.page.wait_for_function(at_end, arg=scroll, timeout=5000)


async def test_a_table_is_not_followed_by_an_empty_line(browser: Browser) -> None:
    """A code block stands on lines of its own; the line break after it is not one more."""
    async with opened(browser) as scene:
        scene.simulator.world.chats.ensure_user(ADA)
        said = "<pre>Price  67,237.70</pre>\nValid for 60 seconds.\n\nReally."
        await scene.bot.call("sendMessage", chat_id=ADA, text=said, parse_mode="HTML")

        block = scene.column(ADA).locator(".text")

        await expect(block.locator("pre")).to_have_text("Price  67,237.70")
        after = await block.evaluate("e => e.lastChild.textContent")
        assert after == "Valid for 60 seconds.\n\nReally."


async def test_an_alert_needs_to_be_closed(browser: Browser) -> None:
    """An answer with show_alert is a dialog over the page."""
    async with opened(browser) as scene:
        await scene.say(ADA, "/start")

        await scene.column(ADA).get_by_role("button", name="Help").click()

        dialog = scene.page.get_by_role("dialog")
        await expect(dialog).to_contain_text("Ask me for a price.")
        await dialog.get_by_role("button", name="OK").click()
        await expect(dialog).to_be_hidden()


async def test_markup_in_a_message_stays_text(browser: Browser) -> None:
    """Text that looks like HTML is shown as it was written and never runs."""
    async with opened(browser) as scene:
        column = scene.column(ADA)

        await scene.say(ADA, HOSTILE)

        await expect(column.locator(".from-user .text")).to_have_text(HOSTILE)
        await expect(column.locator(".from-bot .text")).to_have_text(f"You said: {HOSTILE}")
        await expect(column.locator(".text img, .text b")).to_have_count(0)
        assert await scene.page.title() == "Purser – simulated chats"


async def test_a_link_that_would_run_code_is_no_link(browser: Browser) -> None:
    """A javascript: address stays plain text, as a link and as a button."""
    async with opened(browser) as scene:
        entity = {"type": "text_link", "offset": 0, "length": 5, "url": "javascript:alert(1)"}
        scene.simulator.people.say(ADA, "hello")

        await scene.bot.call("sendMessage", chat_id=ADA, text="press me", entities=[entity])

        await expect(scene.column(ADA).get_by_text("press me")).to_be_visible()
        await expect(scene.column(ADA).locator("a")).to_have_count(0)


async def test_users_stand_side_by_side(browser: Browser) -> None:
    """A second user gets a column and a chat of their own, and can be removed again."""
    async with opened(browser) as scene:
        await scene.page.get_by_role("button", name="Add user").click()
        await scene.say(BELA, "good morning")

        bela = scene.column(BELA)
        await expect(bela.locator(".from-bot")).to_contain_text("You said: good morning")
        await expect(scene.column(ADA).locator(".message")).to_have_count(0)
        await bela.get_by_role("button", name="Remove Bela").click()
        await expect(scene.page.locator(".column")).to_have_count(1)


async def test_commands_are_offered_while_typing(browser: Browser) -> None:
    """A slash opens the bot's commands; arrow keys choose, Enter sends."""
    async with opened(browser) as scene:
        field = scene.column(ADA).get_by_role("textbox")

        await field.press_sequentially("/")
        options = scene.column(ADA).get_by_role("option")
        await expect(options).to_have_count(3)
        await field.press("ArrowDown")
        await field.press("Enter")

        await expect(scene.column(ADA).locator("pre")).to_contain_text("BTC")
        assert scene.bot.texts == ["/price"]


async def test_a_reply_keyboard_sends_its_words(browser: Browser) -> None:
    """The buttons under the field send their own text."""
    async with opened(browser) as scene:
        await scene.say(ADA, "/price")

        await scene.column(ADA).get_by_role("button", name="Buy BTC").click()

        await expect(scene.column(ADA).get_by_text("You said: Buy BTC")).to_be_visible()


async def test_a_user_can_block_the_bot_and_come_back(browser: Browser) -> None:
    """While the bot is blocked the field is closed; unblocking opens it."""
    async with opened(browser) as scene:
        column = scene.column(ADA)

        await column.get_by_role("button", name="Block").click()
        await expect(column.get_by_text("has blocked the bot")).to_be_visible()
        await expect(column.get_by_role("textbox")).to_be_disabled()
        await column.get_by_role("button", name="Unblock").click()

        await expect(column.get_by_role("textbox")).to_be_enabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_busy_page_keeps_its_shape(browser: Browser, scheme: str) -> None:
    """Long words, several writing systems and every kind of message stay inside their column."""
    async with opened(browser, "101,102,103", color_scheme=scheme) as scene:
        for text in ("/start", "/price", "x" * 200, "שלום עולם, מה שלומך?", "👍🏽 done"):
            await scene.say(ADA, text)
        await scene.say(BELA, "/start")
        await scene.column(BELA).get_by_role("button", name="Chart").click()
        await expect(scene.column(BELA).locator("img.photo")).to_be_visible()
        await scene.column(BELA).get_by_role("button", name="Balance").click()
        await expect(scene.column(BELA).locator(".toast")).to_be_visible()
        await expect(scene.column(ADA).get_by_text("You said: 👍🏽 done")).to_be_visible()
        await scene.say(BELA, "typing")
        await expect(scene.column(BELA).locator(".typing")).to_be_visible()

        folder = os.environ.get("PURSER_SCREENSHOT_DIR")
        if folder:
            await scene.page.screenshot(path=Path(folder) / f"chat-page-{scheme}.png")

        overflowing = await scene.page.evaluate(
            "[...document.querySelectorAll('.scroll, .column')]"
            ".filter((e) => e.scrollWidth > e.clientWidth).length"
        )
        assert overflowing == 0


async def test_the_page_comes_back_after_a_restart(browser: Browser) -> None:
    """A simulator that restarts begins anew; the page says so, and then shows what there is."""
    context = await browser.new_context()
    page = await context.new_page()
    async with Simulator() as first:
        port = first.port
        await page.goto(f"{first.url}/?users=101")
        await expect(page.get_by_text("Connected to @purser_bot")).to_be_visible()
        first.people.say(ADA, "before")
        await expect(page.locator(".message")).to_contain_text("before")

    await expect(page.get_by_text("Connection lost")).to_be_visible()
    async with Simulator(port=port) as second:
        await expect(page.get_by_text("Connected to @purser_bot")).to_be_visible()
        second.people.say(ADA, "after")

        await expect(page.locator(".message")).to_have_count(1)
        await expect(page.locator(".message")).to_contain_text("after")
        await context.close()
