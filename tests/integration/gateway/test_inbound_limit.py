"""One user's flood is held to the limit, told of once, and felt by nobody else."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from tests.integration.gateway.house import (
    House,
    Line,
    Running,
    ending,
    eventually,
    post_until_taken,
    post_updates,
    text,
    typed,
)

from gateway import inbound_limit
from gateway.domain import Incoming
from gateway.inbound_limit import InboundLimit
from gateway.texts import TOO_MANY_MESSAGES
from purser.gateway.v1 import job_pb2

NEVER = "0.001"
"""A rate at which no token comes back during a test."""


@pytest.fixture(autouse=True)
def _(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still is not a Redis that is away, which would lift the limit."""
    monkeypatch.setattr(inbound_limit, "WAIT_SECONDS", 10.0)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """An empty Redis."""
    async with Redis.from_url(redis_url) as client:
        yield client


def incoming(user: int, update_ids: Iterable[int]) -> list[Incoming]:
    """Updates of one user as they are looked at."""
    return [Incoming(update_id, user, job_pb2.Job()) for update_id in update_ids]


def refused(rushes: Sequence[UUID | None]) -> list[int]:
    """Which places of a batch may not pass."""
    return [place for place, rush in enumerate(rushes) if rush is not None]


async def told(house: House, user: int) -> list[str]:
    """How often, and how, a user was told."""
    await house.all_sent()
    await asyncio.sleep(1.5)  # a sweep and more: a second line would be there by now
    return [m["text"] for m in house.said_to(user) if m["text"] in TOO_MANY_MESSAGES.values()]


async def flood(gateways: Sequence[Running], user: int, count: int, first: int = 1) -> None:
    """Send much at once; Telegram is told that all of it was taken."""
    updates = [typed(first + n, user, f"m{n}") for n in range(count)]
    await post_until_taken(gateways, updates)


async def let_pass(redis: Redis, seconds: int) -> None:
    """Have the last looks lie that much further back; a machine's time is too rough for it."""
    for key in await redis.keys("purser:bucket:inbound:*"):
        await redis.hincrby(key, "at", -seconds * 1_000_000)


async def test_what_a_batch_may_take_is_decided_in_its_order_and_per_user(redis: Redis) -> None:
    """The first five of each pass; the neighbour's bucket is another one."""
    limit = InboundLimit(redis, 1, 0.001, 5)
    batch = incoming(5, range(8)) + incoming(6, range(100, 103)) + incoming(5, range(8, 10))

    first = await limit.rushes(batch)
    second = await limit.rushes(incoming(6, range(200, 204)))

    assert [5, 6, 7, 11, 12] == refused(first)
    assert [2, 3] == refused(second)


async def test_the_same_update_takes_one_token_whoever_looks(redis: Redis) -> None:
    """Telegram repeats what was not acknowledged: three gateways, the same four updates."""
    for _ in range(3):
        again = InboundLimit(redis, 1, 0.001, 5)
        assert refused(await again.rushes(incoming(5, range(4)))) == []

    assert [1, 2] == refused(await again.rushes(incoming(5, [9, 10, 11])))


@pytest.mark.parametrize("seed", range(5))
async def test_the_first_few_updates_of_each_user_pass_whatever_the_batches(
    redis: Redis, seed: int
) -> None:
    """Two gateways, three users, batches of any size with repetitions, against a set per user."""
    chance = random.Random(seed)
    gateways = [InboundLimit(redis, 1, 0.001, 12) for _ in range(2)]
    passed: dict[int, set[int]] = {5: set(), 6: set(), 7: set()}
    for _ in range(40):
        batch = [
            update
            for _ in range(chance.randrange(1, 12))
            for update in incoming(chance.choice(list(passed)), [chance.randrange(60)])
        ]

        found = await chance.choice(gateways).rushes(batch)

        for update, rush in zip(batch, found, strict=True):
            known = passed[update.telegram_id]
            if len(known) < 12:
                known.add(update.update_id)
            assert (rush is None) == (update.update_id in known)


async def test_a_rush_has_one_name_everywhere_until_the_bucket_is_full_again(redis: Redis) -> None:
    """Tokens that come back one by one do not begin a new one; a full bucket does."""
    one, other = InboundLimit(redis, 1, 0.001, 3), InboundLimit(redis, 1, 0.001, 3)
    (first,) = set(await one.rushes(incoming(5, range(6)))) - {None}
    (same,) = set(await other.rushes(incoming(5, range(6, 9)))) - {None}
    await let_pass(redis, 1500)
    (passed, *rest) = await one.rushes(incoming(5, range(10, 15)))
    (still,) = set(rest)
    await let_pass(redis, 3000)
    (later,) = set(await other.rushes(incoming(5, range(20, 26)))) - {None}

    assert passed is None
    assert first == same == still
    assert later != first


async def test_a_bucket_is_bounded_and_leaves_when_it_would_be_full(redis: Redis) -> None:
    """A thousand updates leave less than a kilobyte, and half a second later nothing."""
    limit = InboundLimit(redis, 1, 1000.0, 100)
    for turn in range(40):
        first = 10**9 + 1000 * turn
        await limit.rushes(incoming(5, range(first, first + 25)))
    (key,) = await redis.keys("purser:bucket:inbound:*")
    held = await redis.hgetall(key)
    lifetime = await redis.pttl(key)

    assert sum(map(len, held.values())) < 1000
    assert 0 < lifetime <= 1100


async def test_thirty_messages_in_one_moment_are_a_persons(house: House) -> None:
    """By default; so many forwarded at once are all jobs, and nobody is told anything."""
    gateway = await house.open_webhook()
    await flood([gateway], 5, 30)
    assert len(await house.jobs(30)) == 30
    assert await house.sql.fetchval("SELECT count(*) FROM gateway.outbox") == 0


async def test_a_flood_is_acknowledged_held_and_told_of_once(house: House) -> None:
    """Forty updates thrown at two gateways that share one bucket."""
    house.environ = {"INBOUND_PER_USER_PER_SECOND": NEVER, "INBOUND_PER_USER_BURST": "5"}
    gateways = [await house.open_webhook(), await house.open_webhook()]
    house.simulator.world.chats.ensure_user(5)

    await flood(gateways, 5, 40)
    await flood(gateways, 5, 10, first=100)

    assert [TOO_MANY_MESSAGES["en"]] == await told(house, 5)
    jobs = await house.jobs(5)
    assert [1, 2, 3, 4, 5] == [job.user_seq for job in jobs]
    assert await house.sql.fetchval("SELECT count(*) FROM gateway.updates_seen") == 50


async def test_a_refused_update_stays_refused(house: House, redis: Redis) -> None:
    """Also once there would be tokens for it: it was answered, it must not be worked later."""
    house.environ = {"INBOUND_PER_USER_PER_SECOND": NEVER, "INBOUND_PER_USER_BURST": "2"}
    gateway = await house.open_webhook()
    for n in range(4):
        await flood([gateway], 5, 1, first=1 + n)
    await let_pass(redis, 2000)

    await flood([gateway], 5, 4)

    assert [1, 2] == [job.user_seq for job in await house.jobs(2)]


async def test_service_is_normal_again_when_tokens_are_back(house: House) -> None:
    """And the next rush is told of again, once."""
    # By Redis' own clock: four seconds fill the bucket, longer than a machine stands still.
    house.environ = {"INBOUND_PER_USER_PER_SECOND": "0.5", "INBOUND_PER_USER_BURST": "2"}
    gateway = await house.open_webhook()
    house.simulator.world.chats.ensure_user(5)
    await flood([gateway], 5, 20)
    assert len(await told(house, 5)) == 1
    before = len(await house.jobs())

    await asyncio.sleep(2.6)  # told() has waited for the rest
    await post_until_taken([gateway], [typed(100, 5, "calm again")])
    calm = await house.jobs(before + 1)
    await asyncio.sleep(2.1)
    await flood([gateway], 5, 20, first=200)

    assert calm[-1].text.text == "calm again"
    assert len(await told(house, 5)) == 2


async def test_neighbours_are_served_while_one_user_floods(house: House) -> None:
    """Three hundred updates of one, one each of twenty others, through the same gateway."""
    house.environ = {"INBOUND_PER_USER_PER_SECOND": NEVER, "INBOUND_PER_USER_BURST": "5"}
    gateway = await house.open_webhook()
    claim = await house.claim()
    updates: list[dict[str, Any]] = [typed(n, 5, "flood") for n in range(300)]
    for user in range(10, 30):
        house.simulator.world.chats.ensure_user(user)
        updates.insert(15 * (user - 10), typed(1000 + user, user, "hello"))

    await post_updates([gateway], updates)

    jobs = await house.jobs(25)
    assert Counter({"hello": 20, "flood": 5}) == Counter(job.text.text for job in jobs)
    hellos = [job for job in jobs if job.text.text == "hello"]
    await asyncio.gather(
        *(gateway.stub.Deliver(ending(claim, j.job_id, text("hi")), timeout=5) for j in hellos)
    )
    for user in range(10, 30):
        assert [m["text"] for m in await house.heard(user)] == ["hi"]


async def test_the_answer_is_in_the_users_language(house: House) -> None:
    """German for de-AT; whoever speaks none of ours reads English."""
    house.environ = {"INBOUND_PER_USER_PER_SECOND": NEVER, "INBOUND_PER_USER_BURST": "1"}
    gateway = await house.open_webhook()
    for user, language in ((5, "de-AT"), (6, "eo")):
        house.simulator.world.chats.ensure_user(user)
        for n in range(2):
            update = typed(user * 10 + n, user, "x")
            update["message"]["from"]["language_code"] = language
            await post_updates([gateway], [update])

    assert [TOO_MANY_MESSAGES["de"]] == await told(house, 5)
    assert [TOO_MANY_MESSAGES["en"]] == await told(house, 6)


async def test_a_refused_press_is_answered_silently(house: House) -> None:
    """No button spins for ever."""
    gateway = await house.open_gateway(
        INBOUND_PER_USER_PER_SECOND=NEVER, INBOUND_PER_USER_BURST="1"
    )
    claim = await house.claim()
    house.say(5, "/start")
    (job,) = await house.jobs()
    await gateway.stub.Deliver(ending(claim, job.job_id, text("Menu", "m")), timeout=5)
    (menu,) = await house.heard(5)

    clicked = house.simulator.people.click(5, menu["message_id"], "buy")

    async def answered() -> bool:
        click = house.simulator.world.clicks.get(clicked.callback_query_id)
        return click is not None and click.answer is not None

    assert await eventually(answered)
    assert len(await house.jobs()) == 1


@pytest.mark.parametrize("tokens", ["-1000000000", "-inf", "nan", "many"])
async def test_a_bucket_that_lies_shuts_nobody_out(redis: Redis, tokens: str) -> None:
    """It counts as full; the user's real flood is held to the limit still."""
    limit = InboundLimit(redis, 1, 0.001, 5)
    await limit.rushes(incoming(5, [1]))
    (key,) = await redis.keys("*")
    await redis.hset(key, "t", tokens)

    assert [5, 6, 7] == refused(await limit.rushes(incoming(5, range(100, 108))))


async def test_a_stranger_over_the_limit_is_no_user(house: House) -> None:
    """While sign-ups are closed nobody is known to whom an answer could go; nothing fails."""
    house.environ = {
        "INBOUND_PER_USER_PER_SECOND": NEVER,
        "INBOUND_PER_USER_BURST": "2",
        "USERS_MAX": "1",
    }
    gateway = await house.open_webhook()
    await post_updates([gateway], [typed(1, 5, "first")])

    await flood([gateway], 6, 10, first=10)

    assert await house.sql.fetchval("SELECT count(*) FROM gateway.users") == 1
    assert await house.sql.fetchval("SELECT count(*) FROM gateway.outbox") == 0


async def test_what_the_database_did_not_take_costs_no_second_token(house: House) -> None:
    """Telegram repeats while the database is away; afterwards everything is accepted."""
    line = Line(house.database.url("purser_gateway"))
    await line.join()
    gateway = await house.open_webhook(
        DATABASE_URL=line.url, INBOUND_PER_USER_PER_SECOND=NEVER, INBOUND_PER_USER_BURST="5"
    )
    await post_updates([gateway], [typed(9, 6, "before")])
    updates = [typed(n, 5, str(n)) for n in range(5)]

    await line.cut()
    for _ in range(3):
        assert {503} == set(await post_updates([gateway], updates))
    await line.join()

    async def taken() -> bool:
        return {200} == set(await post_updates([gateway], updates))

    assert await eventually(taken)
    assert len(await house.jobs(6)) == 6
    await line.cut()


async def test_without_redis_everything_passes_and_is_counted(house: House) -> None:
    """A limit must not stop the service."""
    counter = "purser_gateway_inbound_unlimited_total"
    before = REGISTRY.get_sample_value(counter) or 0
    gateway = await house.open_webhook(
        REDIS_URL="redis://127.0.0.1:1/0", INBOUND_PER_USER_BURST="2"
    )

    await flood([gateway], 5, 10)

    assert len(await house.jobs(10)) == 10
    assert (REGISTRY.get_sample_value(counter) or 0) - before == 10
