"""What waits is bounded, per user and per shard; who meets the bound is told to wait, once."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from tests.integration.gateway.house import (
    House,
    Running,
    ending,
    eventually,
    post_until_taken,
    post_updates,
    text,
    typed,
)

from gateway.postgres.backlog import LOOK_SECONDS, LOOK_SHARE
from gateway.texts import TOO_MUCH_WAITING
from purser.gateway.v1 import job_pb2
from purser.shard.v1 import shard_pb2

UNLIMITED = {"INBOUND_PER_USER_PER_SECOND": "1000", "INBOUND_PER_USER_BURST": "1000"}


@pytest.fixture(autouse=True)
def _(house: House) -> None:
    """What users may send is another limit's business."""
    house.environ = dict(UNLIMITED)


async def flood(gateways: Sequence[Running], user: int, count: int, first: int = 1) -> None:
    """Send much at once; in the end all of it was taken."""
    updates = [typed(first + n, user, f"m{first + n}") for n in range(count)]
    await post_until_taken(gateways, updates)


async def told(house: House, user: int) -> list[str]:
    """How often, and how, a user was told to wait."""
    await house.all_sent()
    await asyncio.sleep(1.5)  # a sweep and more: a second line would be there by now
    return [m["text"] for m in house.said_to(user) if m["text"] in TOO_MUCH_WAITING.values()]


async def let_pass(house: House, seconds: float) -> None:
    """Have the last refusals lie that much further back; a machine's time is too rough for it."""
    await house.sql.execute(
        "UPDATE gateway.users SET refused_at = refused_at - make_interval(secs => $1)", seconds
    )


async def end(gateway: Running, claim: shard_pb2.ShardClaim, jobs: Sequence[job_pb2.Job]) -> None:
    """End jobs as a worker does, in order."""
    for job in jobs:
        await gateway.stub.Deliver(ending(claim, job.job_id), timeout=5)


async def test_no_more_of_a_user_waits_than_the_bound_however_many_gateways(house: House) -> None:
    """Two hundred updates thrown at three gateways at once, twice: exactly seven jobs."""
    house.environ |= {"USER_UNDONE_JOBS_MAX": "7"}
    gateways = [await house.open_webhook() for _ in range(3)]
    house.simulator.world.chats.ensure_user(5)

    await flood(gateways, 5, 200)
    await flood(gateways, 5, 200, first=1000)

    assert [TOO_MUCH_WAITING["en"]] == await told(house, 5)
    assert [1, 2, 3, 4, 5, 6, 7] == [job.user_seq for job in await house.jobs(7)]
    assert await house.sql.fetchval("SELECT count(*) FROM gateway.updates_seen") == 400


async def test_as_many_are_taken_as_have_ended_and_no_place_is_skipped(house: House) -> None:
    """Three end, three are taken; what was refused stays refused when Telegram repeats it."""
    house.environ |= {"USER_UNDONE_JOBS_MAX": "5"}
    gateway = await house.open_webhook()
    claim = await house.claim()
    await flood([gateway], 5, 9)
    first = await house.jobs(5)
    await end(gateway, claim, first[:3])

    await flood([gateway], 5, 9)  # the same ones again
    assert len(await house.jobs(5)) == 5
    await flood([gateway], 5, 9, first=100)

    jobs = await house.jobs(8)
    assert [1, 2, 3, 4, 5, 6, 7, 8] == [job.user_seq for job in jobs]
    undone = await house.sql.fetchval("SELECT count(*) FROM gateway.inbox WHERE done_at IS NULL")
    assert undone == 5


async def test_a_newcomer_gets_no_more_than_the_bound_either(house: House) -> None:
    """The first message of all is among what is taken."""
    house.environ |= {"USER_UNDONE_JOBS_MAX": "2", "ACCEPT_WAIT_MILLISECONDS": "50"}
    gateway = await house.open_webhook()
    house.simulator.world.chats.ensure_user(5)

    await flood([gateway], 5, 10)

    assert [1, 2] == [job.user_seq for job in await house.jobs(2)]
    assert [TOO_MUCH_WAITING["en"]] == await told(house, 5)


async def test_a_user_with_much_that_is_done_is_refused_nothing(house: House) -> None:
    """The bound is on what waits: a hundred messages, each answered before the next."""
    house.environ |= {"USER_UNDONE_JOBS_MAX": "1"}
    gateway = await house.open_webhook()
    claim = await house.claim()
    for n in range(30):
        await flood([gateway], 5, 1, first=n + 1)
        await end(gateway, claim, (await house.jobs(n + 1))[n:])
    assert await house.sql.fetchval("SELECT count(*) FROM gateway.outbox") == 0


async def test_the_next_rush_is_told_of_again_after_a_while_without_a_refusal(
    house: House,
) -> None:
    """Refused every half minute for three: told once. Then a minute of calm: told again."""
    house.environ |= {"USER_UNDONE_JOBS_MAX": "1", "BACKLOG_RUSH_SECONDS": "60"}
    gateway = await house.open_webhook()
    house.simulator.world.chats.ensure_user(5)
    await flood([gateway], 5, 2)
    for n in range(6):
        await let_pass(house, 30)
        await flood([gateway], 5, 1, first=10 + n)
    assert len(await told(house, 5)) == 1

    await let_pass(house, 60)
    await flood([gateway], 5, 2, first=100)

    assert len(await told(house, 5)) == 2


async def test_a_refused_press_is_answered_silently(house: House) -> None:
    """No button spins for ever."""
    gateway = await house.open_gateway(USER_UNDONE_JOBS_MAX="1")
    claim = await house.claim()
    house.say(5, "/start")
    (job,) = await house.jobs()
    await gateway.stub.Deliver(ending(claim, job.job_id, text("Menu", "m")), timeout=5)
    (menu,) = await house.heard(5)
    house.say(5, "waits")
    await house.jobs(2)

    clicked = house.simulator.people.click(5, menu["message_id"], "buy")

    async def answered() -> bool:
        click = house.simulator.world.clicks.get(clicked.callback_query_id)
        return click is not None and click.answer is not None

    assert await eventually(answered)
    assert len(await house.jobs(2)) == 2


async def test_a_full_shard_takes_no_more_and_others_do(house: House) -> None:
    """Two shards of two users. What waits in one is nothing to the other, nor to a newcomer."""
    house.environ |= {"USERS_PER_SHARD": "2", "SHARD_UNDONE_JOBS_MAX": "4"}
    gateway = await house.open_webhook()
    for user in (5, 6, 7, 8):
        house.simulator.world.chats.ensure_user(user)
        await flood([gateway], user, 1, first=user)
    await flood([gateway], 5, 2, first=100)
    await asyncio.sleep(LOOK_SECONDS)

    await flood([gateway], 6, 3, first=200)
    await flood([gateway], 7, 1, first=300)

    jobs = await house.jobs(7)
    assert Counter({0: 4, 1: 3}) == Counter(job.shard for job in jobs)
    assert [TOO_MUCH_WAITING["en"]] == await told(house, 6)
    assert [] == await told(house, 7)


async def test_a_shard_that_has_caught_up_takes_more_within_a_moment(house: House) -> None:
    """Long after the last look, the first message that comes is looked at anew."""
    house.environ |= {"SHARD_UNDONE_JOBS_MAX": "3"}
    gateway = await house.open_webhook()
    claim = await house.claim()
    await flood([gateway], 5, 1)
    await flood([gateway], 5, 5, first=10)
    jobs = await house.jobs(3)
    assert len(jobs) == 3
    await end(gateway, claim, jobs)
    await asyncio.sleep(LOOK_SECONDS + 0.1)

    await flood([gateway], 5, 1, first=100)

    assert len(await house.jobs(4)) == 4


async def test_a_shard_passes_its_bound_by_no_more_than_the_named_overshoot(house: House) -> None:
    """Thirty users, each far below their own bound, at three gateways at once."""
    bound, batch, gateways_count = 60, 10, 3
    house.environ |= {"SHARD_UNDONE_JOBS_MAX": str(bound), "ACCEPT_BATCH_MAX": str(batch)}
    gateways = [await house.open_webhook() for _ in range(gateways_count)]
    for user in range(1, 31):
        await flood([gateways[0]], user, 1, first=user)

    await post_updates(
        gateways,
        [typed(100 * user + n, user, "x") for n in range(30) for user in range(1, 31)],
    )

    jobs = await house.jobs(bound)
    assert bound <= len(jobs) <= bound + gateways_count * (bound * LOOK_SHARE + batch)
    places: dict[str, list[int]] = {}
    for job in jobs:
        places.setdefault(job.user_id, []).append(job.user_seq)
    assert all(own == list(range(1, len(own) + 1)) for own in places.values())


async def test_panic_has_room_where_nothing_else_has(house: House) -> None:
    """Above the user's bound and in a full shard, a few times; among others it keeps its place."""
    house.environ |= {
        "USER_UNDONE_JOBS_MAX": "3",
        "USER_URGENT_JOBS_MAX": "2",
        "SHARD_UNDONE_JOBS_MAX": "4",
        "ACCEPT_WAIT_MILLISECONDS": "100",
    }
    gateway = await house.open_webhook()
    claim = await house.claim()
    await flood([gateway], 6, 1)
    for first in (10, 11, 12):
        await flood([gateway], 5, 1, first=first)
    words = ["a", "/panic", "b", "/panic", "/panic", "c"]

    await post_updates([gateway], [typed(100 + n, 5, said) for n, said in enumerate(words)])
    await post_updates([gateway], [typed(200, 5, "/panic"), typed(201, 6, "/panic")])

    jobs = await house.jobs(7)
    assert Counter({"panic": 3, "": 4}) == Counter(job.command.name for job in jobs)
    own = [job for job in jobs if job.user_id == jobs[1].user_id]
    assert list(range(1, len(own) + 1)) == [job.user_seq for job in own]
    await end(gateway, claim, own)
    await asyncio.sleep(LOOK_SECONDS + 0.1)
    await post_updates([gateway], [typed(300, 5, "/panic"), typed(301, 5, "calm")])
    assert len(await house.jobs(len(jobs) + 2)) == len(jobs) + 2


async def test_without_redis_the_bounds_hold(house: House) -> None:
    """They rest on the inbox alone."""
    house.environ |= {"USER_UNDONE_JOBS_MAX": "4", "REDIS_URL": "redis://127.0.0.1:1/0"}
    gateway = await house.open_webhook()
    await flood([gateway], 5, 30)
    assert len(await house.jobs(4)) == 4


async def test_the_answer_is_in_the_users_language(house: House) -> None:
    """German for de-AT."""
    gateway = await house.open_webhook(USER_UNDONE_JOBS_MAX="1")
    house.simulator.world.chats.ensure_user(5)
    for n in (1, 2):
        update: dict[str, Any] = typed(n, 5, "x")
        update["message"]["from"]["language_code"] = "de-AT"
        await post_updates([gateway], [update])
    assert [TOO_MUCH_WAITING["de"]] == await told(house, 5)
