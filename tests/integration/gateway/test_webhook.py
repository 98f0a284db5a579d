"""The webhook's door: who may call, what is acknowledged, and what never stops it."""

import asyncio
import io
import json

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integration.gateway.house import (
    SECRET,
    House,
    Line,
    Running,
    eventually,
    post_until_taken,
    post_updates,
    typed,
)

from gateway.webhook import SECRET_HEADER


async def post(gateway: Running, body: bytes, secret: str | None = SECRET) -> int:
    """Call as anybody can; the answer's status."""
    headers = {} if secret is None else {SECRET_HEADER: secret}
    address = f"http://{gateway.gateway.webhook_address}/telegram"
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(address, data=io.BytesIO(body)) as answer,
    ):
        assert await answer.text() == ""
        return answer.status


@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET + "x", "ä"])
async def test_without_the_secret_nothing_is_taken(house: House, secret: str | None) -> None:
    """Anybody can find the address."""
    gateway = await house.open_webhook()
    assert await post(gateway, json.dumps(typed(1, 5, "hi")).encode(), secret) == 401
    assert await house.sql.fetchval("SELECT count(*) FROM gateway.updates_seen") == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b'{"update_id": ' + b"9" * 5000 + b"}", 400),
        (b" " * (1024 * 1024 + 1), 413),
        (b"{}", 200),
        (b"null", 200),
        (b'{"update_id": 1, "message": ' + b"[" * 500 + b"]" * 500 + b"}", 200),
    ],
)
async def test_a_body_that_is_no_update_has_a_clear_answer(
    house: House, body: bytes, status: int
) -> None:
    """What is JSON is acknowledged and kept; sending it again would not make it better."""
    gateway = await house.open_webhook()
    assert await post(gateway, body) == status
    kept = await house.sql.fetchval("SELECT count(*) FROM gateway.rejected_updates")
    assert kept == (1 if status == 200 else 0)


async def test_without_the_database_telegram_is_asked_to_come_again(house: House) -> None:
    """503 while nothing durable can be written; the same update is taken afterwards."""
    line = Line(house.database.url("purser_gateway"))
    await line.join()
    gateway = await house.open_webhook(DATABASE_URL=line.url)
    await post_updates([gateway], [typed(1, 5, "before")])

    await line.cut()
    refused = await post_updates([gateway], [typed(2, 5, "meanwhile")] * 3)
    await line.join()
    taken = await eventually(lambda: taken_in(gateway, typed(2, 5, "meanwhile")))

    assert refused == [503] * 3
    assert taken
    assert [job.text.text for job in await house.jobs(2)] == ["before", "meanwhile"]
    await line.cut()


async def taken_in(gateway: Running, update: object) -> bool:
    """Whether an update is acknowledged now."""
    return await post_updates([gateway], [update]) == [200]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
PEOPLE = st.fixed_dictionaries(
    {"id": st.integers(1, 9) | st.integers(), "is_bot": st.booleans() | JSON},
    optional={
        "first_name": st.text(max_size=80) | JSON,
        "last_name": st.text(max_size=80),
        "language_code": st.text(max_size=40),
    },
)
CHATS = st.fixed_dictionaries(
    {"id": st.integers(), "type": st.sampled_from(["private", "group", "channel", "?"]) | JSON}
)
TEXTS = st.text(max_size=50) | st.sampled_from(
    ["/start", "/x\0", "\ud800", "a" * 4096, "🙂" * 4096]
)
MESSAGES = st.fixed_dictionaries(
    {"message_id": st.integers(), "date": st.integers(0, 2**31)},
    optional={"chat": CHATS, "from": PEOPLE, "text": TEXTS, "sticker": JSON, "photo": JSON},
)
UPDATES = st.fixed_dictionaries(
    {"update_id": st.integers(0, 50) | st.integers()},
    optional={
        "message": MESSAGES | JSON,
        "edited_message": MESSAGES,
        "channel_post": MESSAGES,
        "callback_query": st.fixed_dictionaries(
            {"id": st.text(max_size=70), "chat_instance": st.text(max_size=3)},
            optional={"from": PEOPLE, "data": TEXTS, "message": MESSAGES | JSON},
        ),
        "my_chat_member": st.fixed_dictionaries(
            {"chat": CHATS, "from": PEOPLE, "date": st.integers(0, 9)},
            optional={"new_chat_member": JSON, "old_chat_member": JSON},
        ),
        "poll": JSON,
    },
)


IDS = st.integers(1, 9)
PERSON = st.builds(
    lambda who, **more: {"id": who, "is_bot": False, **more},
    IDS,
    first_name=st.text(max_size=80),
    last_name=st.text(max_size=80),
)
# What Telegram would send, with anything at all in the places where people can put anything.
PLAUSIBLE = st.builds(
    lambda update_id, who, kind, body: {
        "update_id": update_id,
        kind: {
            "message_id": 1,
            "date": 0,
            "chat": {"id": who["id"], "type": "private"},
            "from": who,
            **body,
        },
    },
    st.integers(0, 200),
    PERSON,
    st.sampled_from(["message", "message", "message", "edited_message"]),
    st.fixed_dictionaries({}, optional={"text": TEXTS, "photo": JSON, "new_kind": JSON}),
)


async def test_any_update_is_answered_and_the_gateway_goes_on(house: House) -> None:
    """Forty batches of random updates; every place in every user's order is there afterwards."""
    gateway = await house.open_webhook(ACCEPT_WAIT_MILLISECONDS="5", LOG_LEVEL="error")
    batches: list[list[object]] = []

    @settings(
        max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(batch=st.lists(PLAUSIBLE | UPDATES | JSON, min_size=1, max_size=20))
    def gather(batch: list[object]) -> None:
        batches.append(batch)

    await asyncio.to_thread(gather)  # it takes seconds, and the gateway shares this loop
    for batch in batches:
        await post_until_taken([gateway], batch)
        await asyncio.sleep(0)

    last = await post_updates([gateway], [typed(10**9, 77, "still there?")])
    rows = await house.sql.fetch(
        "SELECT u.last_user_seq, count(i.job_id), max(i.user_seq) FROM gateway.users u"
        " LEFT JOIN gateway.inbox i USING (user_id) GROUP BY u.user_id"
    )
    assert last == [200]
    assert len(rows) > 3
    assert all(row[0] == row[1] == row[2] for row in rows)
