"""Delivery by webhook: the secret header, retries with growing pauses, each user's order."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from devbox.telegram import FaultSettings, Limits, Simulator

SECRET = "s3cret_token-x"
LIMITS = Limits(webhook_retry_first_seconds=0.02, webhook_retry_seconds_max=0.04)


class Receiver:
    """A bot's webhook that answers with the statuses it is told to, then 200."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[dict[str, object]] = []
        self.secrets: set[str | None] = set()
        self.statuses: list[int] = []
        self.retry_after: str | None = None
        self.pause_seconds = 0.0
        self.side_by_side = 0
        self.side_by_side_max = 0

    async def receive(self, request: web.Request) -> web.Response:
        """Take one update."""
        self.side_by_side += 1
        self.side_by_side_max = max(self.side_by_side_max, self.side_by_side)
        update = await request.json()
        self.secrets.add(request.headers.get("X-Telegram-Bot-Api-Secret-Token"))
        await asyncio.sleep(self.pause_seconds)
        self.side_by_side -= 1
        self.received.append(update)
        status = self.statuses.pop(0) if self.statuses else 200
        headers = {"Retry-After": self.retry_after} if self.retry_after and status != 200 else {}
        return web.Response(status=status, headers=headers)

    def texts(self) -> list[str]:
        """The texts received, repeats included."""
        return [update["message"]["text"] for update in self.received]  # type: ignore[index]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A webhook server on a free port."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.receive)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()


Call = Callable[..., Awaitable[dict[str, object]]]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A simulator that retries quickly."""
    async with Simulator(limits=LIMITS) as started:
        yield started


@pytest.fixture
async def call(simulator: Simulator) -> AsyncIterator[Call]:
    """Calls a Bot API method and returns the whole answer."""
    async with aiohttp.ClientSession() as client:

        async def post(method: str, **parameters: object) -> dict[str, object]:
            url = f"{simulator.url}/bot{simulator.token}/{method}"
            async with client.post(url, json=parameters) as response:
                content: dict[str, object] = await response.json()
            return content

        yield post


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for a condition, and fail when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.005)


async def test_an_update_is_posted_with_the_secret(
    simulator: Simulator, receiver: Receiver, call: Call
) -> None:
    """What waited before the webhook was set comes too; 200 acknowledges."""
    simulator.people.say(7, "before")
    await call("setWebhook", url=receiver.url, secret_token=SECRET)
    simulator.people.say(7, "after")

    await until(lambda: simulator.world.updates.waiting() == 0)

    assert receiver.texts() == ["before", "after"]
    assert receiver.secrets == {SECRET}
    assert simulator.world.stats()["updates_acknowledged"] == 2


async def test_a_refused_update_comes_again_until_it_is_taken(
    simulator: Simulator, receiver: Receiver, call: Call
) -> None:
    """The error is told by getWebhookInfo, the user's later updates wait their turn."""
    receiver.statuses = [503, 500, 403]
    await call("setWebhook", url=receiver.url)
    simulator.people.say(7, "first")
    simulator.people.say(7, "second")
    await until(lambda: len(receiver.received) >= 2)
    info = (await call("getWebhookInfo"))["result"]
    await until(lambda: simulator.world.updates.waiting() == 0)

    assert receiver.texts() == ["first"] * 4 + ["second"]
    assert isinstance(info, dict)
    assert info["pending_update_count"] == 2
    assert str(info["last_error_message"]).startswith("Wrong response from the webhook: 50")
    assert info["last_error_date"] > 0


async def test_one_users_trouble_does_not_hold_up_another(
    simulator: Simulator, receiver: Receiver, call: Call
) -> None:
    """A Retry-After pauses only the line of the update that was refused."""
    receiver.statuses, receiver.retry_after = [429], "30"
    await call("setWebhook", url=receiver.url)
    simulator.people.say(7, "stuck")
    await until(lambda: receiver.texts() == ["stuck"])

    simulator.people.say(8, "free")
    await until(lambda: receiver.texts() == ["stuck", "free"])
    await asyncio.sleep(5 * LIMITS.webhook_retry_seconds_max)

    assert receiver.texts() == ["stuck", "free"]
    assert simulator.world.updates.waiting() == 1


async def test_connections_are_limited_and_each_users_order_is_kept(
    simulator: Simulator, receiver: Receiver, call: Call
) -> None:
    """max_connections bounds the calls under way; users are served side by side up to it."""
    receiver.pause_seconds = 0.01
    await call("setWebhook", url=receiver.url, max_connections=3)
    for number in range(4):
        for user_id in range(1, 7):
            simulator.people.say(user_id, f"{user_id}.{number}")

    await until(lambda: simulator.world.updates.waiting() == 0)

    assert receiver.side_by_side_max == 3
    for user_id in range(1, 7):
        own = [text for text in receiver.texts() if text.startswith(f"{user_id}.")]
        assert own == [f"{user_id}.{number}" for number in range(4)]


async def test_a_duplicated_update_is_posted_twice(
    simulator: Simulator, receiver: Receiver, call: Call
) -> None:
    """The fault repeats what was acknowledged, with the same id."""
    simulator.world.faults.set(FaultSettings(duplicate_updates=1.0))
    await call("setWebhook", url=receiver.url)
    said = simulator.people.say(7, "twice")

    await until(lambda: simulator.world.updates.waiting() == 0)

    assert [update["update_id"] for update in receiver.received] == [said.update_id] * 2


async def test_what_an_absent_webhook_missed_waits_for_polling(
    simulator: Simulator, call: Call
) -> None:
    """A bot that is not there loses nothing; deleteWebhook hands the updates to getUpdates."""
    await call("setWebhook", url="http://127.0.0.1:9/nobody")
    said = simulator.people.say(7, "hello")
    await until(lambda: simulator.world.webhook.last_error is not None)

    await call("deleteWebhook")
    updates = (await call("getUpdates"))["result"]

    assert isinstance(updates, list)
    assert [update["update_id"] for update in updates] == [said.update_id]


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"url": "ftp://a.b"}, "bad webhook: An HTTPS URL must be provided for webhook"),
        ({"url": "http://a.b", "secret_token": "no spaces"},
         "secret token contains unallowed characters"),
    ],
)  # fmt: skip
async def test_a_webhook_that_cannot_be_is_refused(
    call: Call, parameters: dict[str, str], complaint: str
) -> None:
    """Wrong addresses and secrets are told at once."""
    answer = await call("setWebhook", **parameters)

    assert answer["description"] == f"Bad Request: {complaint}"


async def test_pending_updates_can_be_dropped(simulator: Simulator, call: Call) -> None:
    """drop_pending_updates begins anew, for a webhook as for polling."""
    simulator.people.say(7, "old")

    await call("deleteWebhook", drop_pending_updates=True)

    assert (await call("getUpdates"))["result"] == []
