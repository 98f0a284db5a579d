"""The simulator over HTTP, mostly through aiogram: what a real bot would meet."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    TelegramBadRequest,
    TelegramConflictError,
    TelegramForbiddenError,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiogram.types import BufferedInputFile, InlineKeyboardButton, InlineKeyboardMarkup, Message

from devbox.telegram import FaultSettings, Simulator

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (640).to_bytes(4) + (480).to_bytes(4) + bytes(9)
USER = 7


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A simulator on a free port."""
    async with Simulator() as started:
        yield started


@pytest.fixture
async def bot(simulator: Simulator) -> AsyncIterator[Bot]:
    """An aiogram bot of that simulator."""
    server = TelegramAPIServer.from_base(simulator.url)
    started = Bot(simulator.token, session=AiohttpSession(api=server))
    yield started
    await started.session.close()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A plain HTTP client."""
    async with aiohttp.ClientSession() as session:
        yield session


async def test_a_poll_waits_for_the_next_update(simulator: Simulator, bot: Bot) -> None:
    """The long poll answers at once when somebody writes, not at its timeout."""
    polling = asyncio.create_task(bot.get_updates(timeout=30))
    await asyncio.sleep(0.05)
    assert not polling.done()

    said = simulator.people.say(USER, "/start 👋")
    updates = await asyncio.wait_for(polling, 5)

    assert [update.update_id for update in updates] == [said.update_id]
    assert updates[0].message is not None
    assert updates[0].message.text == "/start 👋"


async def test_an_empty_poll_ends_at_its_timeout(bot: Bot) -> None:
    """Nothing to tell is an empty list."""
    began = time.monotonic()

    assert await bot.get_updates(timeout=1) == []

    assert 0.9 < time.monotonic() - began < 5


async def test_a_second_poller_ends_the_first_with_a_conflict(
    simulator: Simulator, bot: Bot
) -> None:
    """Two bots with one token: the newer poll stays, the older one hears why."""
    first = asyncio.create_task(bot.get_updates(timeout=30))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(bot.get_updates(timeout=30))

    with pytest.raises(TelegramConflictError, match="terminated by other getUpdates request"):
        await asyncio.wait_for(first, 5)

    simulator.people.say(USER, "hello")
    assert len(await asyncio.wait_for(second, 5)) == 1


async def test_one_poll_returns_at_most_a_hundred(simulator: Simulator, bot: Bot) -> None:
    """A larger limit is lowered, and the rest waits for the next poll."""
    made = [simulator.people.say(USER, f"{n}").update_id for n in range(130)]

    first = await bot.get_updates(limit=1000)
    second = await bot.get_updates(offset=first[-1].update_id + 1)

    assert [update.update_id for update in first + second] == made
    assert len(first) == 100


async def test_polling_excludes_a_webhook(bot: Bot) -> None:
    """While a webhook is set getUpdates is a conflict, and setting one ends the poll under way."""
    polling = asyncio.create_task(bot.get_updates(timeout=30))
    await asyncio.sleep(0.05)
    await bot.set_webhook("http://127.0.0.1:9/unused")

    with pytest.raises(TelegramConflictError, match="terminated by setWebhook request"):
        await asyncio.wait_for(polling, 5)
    with pytest.raises(TelegramConflictError, match="can't use getUpdates method while webhook"):
        await bot.get_updates()

    await bot.delete_webhook()
    assert await bot.get_updates() == []


async def test_a_conversation_through_aiogram(simulator: Simulator, bot: Bot) -> None:
    """Text, click, answer, edit, picture, download: the round a bot makes."""
    simulator.people.say(USER, "/start")
    keyboard = InlineKeyboardMarkup(
        inline_keyboard=[[InlineKeyboardButton(text="More", callback_data="more")]]
    )
    sent = await bot.send_message(USER, "<b>Hi</b>", parse_mode="HTML", reply_markup=keyboard)
    clicked = simulator.people.click(USER, sent.message_id, "more")
    updates = await bot.get_updates(offset=clicked.update_id)
    assert updates[0].callback_query is not None
    assert updates[0].callback_query.data == "more"
    assert await bot.answer_callback_query(clicked.callback_query_id, text="Done")
    edited = await bot.edit_message_text("Bye", chat_id=USER, message_id=sent.message_id)
    photo = await bot.send_photo(USER, BufferedInputFile(PNG, "chart.png"), caption="c")
    assert photo.photo is not None
    file = await bot.get_file(photo.photo[-1].file_id)
    assert file.file_path is not None
    content = await bot.download_file(file.file_path)

    assert isinstance(edited, Message)
    assert edited.text == "Bye"
    assert content is not None
    assert content.read() == PNG


async def test_errors_reach_aiogram_as_its_own(simulator: Simulator, bot: Bot) -> None:
    """The status and the words lead a client to the right exception."""
    with pytest.raises(TelegramBadRequest, match="chat not found"):
        await bot.send_message(USER, "x")
    simulator.people.block(USER, blocked=True)
    with pytest.raises(TelegramForbiddenError, match="bot was blocked by the user"):
        await bot.send_message(USER, "x")
    server = TelegramAPIServer.from_base(simulator.url)
    stranger = Bot("1000000001:another", session=AiohttpSession(api=server))
    with pytest.raises(TelegramUnauthorizedError):
        await stranger.get_me()
    await stranger.session.close()


async def test_faults_strike_with_telegrams_answers(simulator: Simulator, bot: Bot) -> None:
    """429 carries retry_after, 500 is a server error; refused sends leave no message."""
    simulator.people.say(USER, "hello")
    simulator.world.faults.set(FaultSettings(status_429=1.0, retry_after=3))
    with pytest.raises(TelegramRetryAfter) as caught:
        await bot.send_message(USER, "x")
    simulator.world.faults.set(FaultSettings(status_500=1.0, methods=["sendMessage"]))
    with pytest.raises(TelegramServerError):
        await bot.send_message(USER, "x")

    assert caught.value.retry_after == 3
    assert (await bot.get_me()).username == "purser_bot"
    chat = simulator.world.chats.get(USER)
    assert chat is not None
    assert len(chat.messages) == 1
    assert simulator.world.stats()["sends_refused"] == 2


async def test_a_dropped_connection_hides_whether_the_message_was_sent(
    simulator: Simulator, client: aiohttp.ClientSession
) -> None:
    """The client gets no answer at all; some of the messages are there all the same."""
    simulator.people.say(USER, "hello")
    simulator.world.faults.set(FaultSettings(drop_connection=1.0, seed=1))
    url = f"{simulator.url}/bot{simulator.token}/sendMessage"

    for number in range(20):
        with pytest.raises(aiohttp.ClientError):
            await client.post(url, json={"chat_id": USER, "text": f"{number}"})

    chat = simulator.world.chats.get(USER)
    assert chat is not None
    sent = sum(message.from_bot for message in chat.messages.values())
    assert 0 < sent < 20


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/bot{token}/sendNothing", {}, (404, "Not Found")),
        ("/bot1:x/getMe", {}, (401, "Unauthorized")),
        ("/bot{token}/sendMessage", {"data": b"\xff=\xfe"},
         (400, "Bad Request: strings must be encoded in UTF-8")),
        ("/bot{token}/sendMessage", {"data": b"text=%FF"},
         (400, "Bad Request: strings must be encoded in UTF-8")),
        ("/bot{token}/sendMessage",
         {"data": b"{", "headers": {"Content-Type": "application/json"}},
         (400, "Bad Request: can't parse the body of the request")),
        ("/bot{token}/sendMessage",
         {"data": b'{"text": "\\ud800"}', "headers": {"Content-Type": "application/json"}},
         (400, "Bad Request: can't parse the body of the request")),
        ("/bot{token}/sendMessage",
         {"data": b"[]", "headers": {"Content-Type": "application/json"}},
         (400, "Bad Request: object expected as JSON body")),
        ("/bot{token}/sendPhoto",
         {"data": b"--x\r\nnonsense", "headers": {"Content-Type": "multipart/form-data"}},
         (400, "Bad Request: can't parse the body of the request")),
    ],
)  # fmt: skip
async def test_a_call_that_is_none_is_refused_as_json(
    simulator: Simulator,
    client: aiohttp.ClientSession,
    path: str,
    body: dict[str, Any],
    expected: tuple[int, str],
) -> None:
    """Whatever arrives, the answer has Telegram's form, and its status is its code."""
    url = simulator.url + path.format(token=simulator.token)

    async with client.post(url, **body) as response:
        content = await response.json()

    code, description = expected
    assert content == {"ok": False, "error_code": code, "description": description}
    assert response.status == code


@pytest.mark.parametrize("how", ["query", "form", "json", "multipart"])
async def test_parameters_come_in_every_form_telegram_takes(
    simulator: Simulator, client: aiohttp.ClientSession, how: str
) -> None:
    """Query string, urlencoded, JSON and multipart mean the same; method names have any case."""
    simulator.people.say(USER, "hello")
    url = f"{simulator.url}/bot{simulator.token}/SENDmessage"
    fields = {"chat_id": str(USER), "text": "grüß dich & Co", "disable_notification": "true"}
    multipart = aiohttp.FormData(fields)
    multipart._is_multipart = True
    ways: dict[str, dict[str, Any]] = {
        "query": {"params": fields},
        "form": {"data": fields},
        "json": {"json": {"chat_id": USER, "text": fields["text"]}},
        "multipart": {"data": multipart},
    }

    async with client.post(url, **ways[how]) as response:
        content = await response.json()

    assert content["result"]["text"] == fields["text"]


async def test_a_restarted_simulator_uses_other_ids() -> None:
    """State is in memory; ids of two runs practically never meet, so nothing passes for old."""
    seen = []
    for _ in range(2):
        async with Simulator() as simulator:
            seen.append(simulator.people.say(USER, "x"))

    assert seen[0].update_id != seen[1].update_id
    assert seen[0].message_id != seen[1].message_id
