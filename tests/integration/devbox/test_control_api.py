"""The control API: what tests and the page do in the users' name, and see."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from devbox.telegram import Simulator


class Scene:
    """A simulator, and both its sides over HTTP."""

    def __init__(self, simulator: Simulator, client: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self._client = client

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        """Status and content of a control call."""
        async with self._client.post(f"{self.simulator.url}/sim/{path}", json=body) as response:
            return response.status, await response.json()

    async def get(self, path: str, **query: Any) -> Any:
        """Content of what the control API tells."""
        url = f"{self.simulator.url}/sim/{path}"
        async with self._client.get(url, params=query) as response:
            return await response.json()

    async def call(self, method: str, **parameters: Any) -> Any:
        """The result of a Bot API call."""
        url = f"{self.simulator.url}/bot{self.simulator.token}/{method}"
        async with self._client.post(url, json=parameters) as response:
            content = await response.json()
        assert content["ok"], content
        return content["result"]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A fresh simulator."""
    async with Simulator() as simulator, aiohttp.ClientSession() as client:
        yield Scene(simulator, client)


def keyboard() -> dict[str, Any]:
    """One button with data, one with an address."""
    return {
        "inline_keyboard": [
            [{"text": "Buy", "callback_data": "buy"}, {"text": "Docs", "url": "https://a.b"}]
        ]
    }


async def test_a_message_makes_its_user_and_an_update(scene: Scene) -> None:
    """Ids of both come back; the bot sees who wrote."""
    status, said = await scene.post(
        "messages",
        {"user_id": 7, "text": "/start", "first_name": "Ada", "language_code": "de"},
    )

    updates = await scene.call("getUpdates")

    assert status == 200
    assert said == {
        "update_id": updates[0]["update_id"],
        "message_id": updates[0]["message"]["message_id"],
    }
    sender = updates[0]["message"]["from"]
    assert sender == {"id": 7, "is_bot": False, "first_name": "Ada", "language_code": "de"}


async def test_a_chat_is_told_oldest_first(scene: Scene) -> None:
    """Text, buttons, picture and edits in the issue's words, for messages after an id."""
    _, said = await scene.post("messages", {"user_id": 7, "text": "hello"})
    sent = await scene.call("sendMessage", chat_id=7, text="a", reply_markup=keyboard())
    await scene.call("editMessageText", chat_id=7, message_id=sent["message_id"], text="b",
                     reply_markup=keyboard())  # fmt: skip

    chat = await scene.get("messages", user_id=7)
    later = await scene.get("messages", user_id=7, after=said["message_id"])

    assert [message["from"] for message in chat] == ["user", "bot"]
    assert chat[1] == later[0]
    wanted = {
        "message_id": sent["message_id"],
        "from": "bot",
        "text": "b",
        "buttons": [
            [{"text": "Buy", "data": "buy"}, {"text": "Docs", "data": None, "url": "https://a.b"}]
        ],
        "photo": None,
        "edited": True,
    }
    assert wanted.items() <= chat[1].items()


async def test_waiting_ends_with_the_next_message(scene: Scene) -> None:
    """`wait` answers when something newer comes, or with an empty list at its end."""
    _, said = await scene.post("messages", {"user_id": 7, "text": "hello"})
    waiting = asyncio.create_task(
        scene.get("messages", user_id=7, after=said["message_id"], wait=20)
    )
    await asyncio.sleep(0.05)
    assert not waiting.done()

    await scene.call("sendMessage", chat_id=7, text="at last")

    assert [message["text"] for message in await asyncio.wait_for(waiting, 5)] == ["at last"]
    began = time.monotonic()
    assert await scene.get("messages", user_id=8, wait=0.2) == []
    assert time.monotonic() - began >= 0.2


async def test_a_click_tells_how_the_bot_answered(scene: Scene) -> None:
    """By its id at any time, or in its own response when that waits."""
    _, said = await scene.post("messages", {"user_id": 7, "text": "hello"})
    sent = await scene.call("sendMessage", chat_id=7, text="a", reply_markup=keyboard())
    click = {"user_id": 7, "message_id": sent["message_id"], "data": "buy"}
    waiting = asyncio.create_task(scene.post("clicks", {**click, "wait": 20}))
    update = (await scene.call("getUpdates", offset=said["update_id"] + 1, timeout=5))[0]
    query_id = update["callback_query"]["id"]

    assert await scene.get("clicks", id=query_id) == {"answer": None}
    await scene.call("answerCallbackQuery", callback_query_id=query_id, text="Bought")
    status, clicked = await asyncio.wait_for(waiting, 5)

    answer = {"text": "Bought", "show_alert": False, "url": None}
    assert (status, clicked) == (
        200,
        {"update_id": update["update_id"], "callback_query_id": query_id, "answer": answer},
    )
    assert await scene.get("clicks", id=query_id) == {"answer": answer}


async def test_data_that_is_on_no_button_can_be_clicked(scene: Scene) -> None:
    """Old keyboards and forged data are what a bot has to stand."""
    await scene.post("messages", {"user_id": 7, "text": "hello"})
    sent = await scene.call("sendMessage", chat_id=7, text="a")

    status, _ = await scene.post(
        "clicks", {"user_id": 7, "message_id": sent["message_id"], "data": "forged"}
    )

    assert status == 200
    updates = await scene.call("getUpdates", offset=-1)
    assert updates[0]["callback_query"]["data"] == "forged"


async def test_any_update_can_be_delivered(scene: Scene) -> None:
    """A group's message arrives as it was given."""
    message = {
        "chat": {"id": -5, "type": "group", "title": "Crew"},
        "from": {"id": 9, "is_bot": False, "first_name": "Bo"},
        "text": "hi all",
    }

    _, made = await scene.post("updates", {"message": message})

    update = (await scene.call("getUpdates"))[0]
    assert update["update_id"] == made["update_id"]
    assert message.items() <= update["message"].items()


async def test_a_user_blocks_and_unblocks(scene: Scene) -> None:
    """Each change is an update, no change is none; a blocking user cannot write."""
    status, first = await scene.post("block", {"user_id": 7, "blocked": True})
    _, again = await scene.post("block", {"user_id": 7, "blocked": True})

    assert (status, again) == (200, {"update_id": None})
    assert (await scene.call("getUpdates"))[0]["update_id"] == first["update_id"]
    assert await scene.post("messages", {"user_id": 7, "text": "x"}) == (
        409,
        {"error": "user 7 has blocked the bot and cannot write to it"},
    )


async def test_faults_are_replaced_as_a_whole(scene: Scene) -> None:
    """Every POST says all; an empty one ends them."""
    _, settings = await scene.post("faults", {"status_429": 0.3, "delay_ms": 5})
    assert (settings["status_429"], settings["delay_ms"]) == (0.3, 5)

    _, settings = await scene.post("faults", {})
    assert (settings["status_429"], settings["delay_ms"]) == (0, 0)


async def test_stats_count_updates_and_sends(scene: Scene) -> None:
    """Made, delivered, acknowledged; accepted, refused."""
    for text in "abc":
        await scene.post("messages", {"user_id": 7, "text": text})
    updates = await scene.call("getUpdates", limit=2)
    await scene.call("getUpdates", offset=updates[-1]["update_id"], limit=1)
    await scene.call("sendMessage", chat_id=7, text="x")
    with pytest.raises(AssertionError, match="chat not found"):
        await scene.call("sendMessage", chat_id=8, text="x")

    stats = await scene.get("stats")

    wanted = {
        "updates_made": 3,
        "updates_delivered": 2,
        "updates_acknowledged": 1,
        "updates_pending": 2,
        "sends_accepted": 1,
        "sends_refused": 1,
    }
    assert wanted.items() <= stats.items()
    assert stats["calls"] == {"getUpdates": 2, "sendMessage": 2}


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("messages", {"user_id": 7}, 400, "missing required field `text`"),
        ("messages", {"user_id": 7, "text": ""}, 400, "text must have 1 to 4096 characters"),
        ("messages", {"user_id": 7, "text": "x" * 4097}, 400, "text must have 1 to 4096"),
        ("messages", {"user_id": 0, "text": "x"}, 400, "user_id must be between 1 and"),
        ("messages", {"user_id": 7, "text": "x", "txt": "y"}, 400, "unknown field `txt`"),
        ("clicks", {"user_id": 7, "message_id": 1, "data": "x"}, 404, "user 7 has no message 1"),
        (
            "clicks",
            {"user_id": 7, "message_id": 1, "data": "é" * 33},
            400,
            "data must have 1 to 64",
        ),
        ("updates", {"message": {}}, 400, "message needs a chat with an integer id"),
        ("faults", {"status_429": 2}, 400, "status_429 must be between 0 and 1"),
        ("faults", {"status429": 0.1}, 400, "unknown field `status429`"),
    ],
)
async def test_a_mistake_is_told_in_a_sentence(
    scene: Scene, path: str, body: Any, status: int, sentence: str
) -> None:
    """A 4xx with `error`, so that a wrong test fails at its own line."""
    answered, content = await scene.post(path, body)

    assert answered == status
    assert sentence in content["error"]


async def test_changes_tell_edits_deletions_and_answers(scene: Scene) -> None:
    """What the page shows: everything at first, then only what changed since a version."""
    await scene.post("messages", {"user_id": 7, "text": "hello"})
    kept = await scene.call("sendMessage", chat_id=7, text="a", reply_markup=keyboard())
    gone = await scene.call("sendMessage", chat_id=7, text="b")
    first = await scene.get("changes", users="7,8")
    _, clicked = await scene.post(
        "clicks", {"user_id": 7, "message_id": kept["message_id"], "data": "buy"}
    )
    waiting = asyncio.create_task(scene.get("changes", users="7", after=first["version"], wait=20))
    await asyncio.sleep(0.05)
    assert not waiting.done()

    await scene.call("answerCallbackQuery", callback_query_id=clicked["callback_query_id"])
    woken = await asyncio.wait_for(waiting, 5)
    await scene.call("editMessageText", chat_id=7, message_id=kept["message_id"], text="c")
    await scene.call("deleteMessage", chat_id=7, message_id=gone["message_id"])
    second = await scene.get("changes", users="7", after=woken["version"])

    assert [len(user["messages"]) for user in first["users"]] == [3, 0]
    assert [a["callback_query_id"] for a in woken["users"][0]["answers"]] == [
        clicked["callback_query_id"]
    ]
    changed = second["users"][0]
    assert [message["text"] for message in changed["messages"]] == ["c"]
    assert changed["deleted"] == [gone["message_id"]]


async def test_an_uploaded_page_is_never_served_as_one(scene: Scene) -> None:
    """A document comes as a download of unknown type, whatever it says it is."""
    await scene.post("messages", {"user_id": 7, "text": "hello"})
    form = aiohttp.FormData({"chat_id": "7"})
    form.add_field("document", b"<script>", filename="a.html", content_type="text/html")
    base = scene.simulator.url
    async with aiohttp.ClientSession() as client:
        await client.post(f"{base}/bot{scene.simulator.token}/sendDocument", data=form)
        chat = await scene.get("messages", user_id=7)
        async with client.get(base + chat[-1]["document"]["url"]) as response:
            content = await response.read()

    assert content == b"<script>"
    assert response.content_type == "application/octet-stream"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "attachment" in response.headers["Content-Disposition"]
