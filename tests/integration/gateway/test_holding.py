"""Notices wait while users wait for answers; answers never wait for notices."""

import asyncio
import statistics
import time
from collections.abc import Iterable, Sequence
from uuid import uuid4

import pytest
from tests.integration.gateway.house import (
    POOL,
    House,
    Running,
    ending,
    eventually,
    post_updates,
    text,
    typed,
)

from devbox.telegram import FaultSettings
from gateway.application.holding import LOOK_SECONDS
from gateway.postgres import Lateness, LatenessLimits
from purser.gateway.v1 import gateway_pb2, job_pb2
from purser.shard.v1 import shard_pb2

LIMITS = LatenessLimits(answer_seconds=1.0, late_chats=3, shard_jobs=4)


async def people(house: House, gateway: Running, users: Iterable[int]) -> list[job_pb2.Job]:
    """Have some people say something; their jobs, in the order of the users."""
    users = list(users)
    for user in users:
        house.simulator.world.chats.ensure_user(user)
    before = await house.sql.fetchval("SELECT count(*) FROM gateway.inbox")
    for user in users:
        await post_updates([gateway], [typed(10_000 * before + user, user, str(user))])
    jobs = (await house.jobs(before + len(users)))[before:]
    return sorted(jobs, key=lambda job: users.index(int(job.text.text)))


async def notify(gateway: Running, user_ids: Sequence[str], count: int = 1) -> None:
    """Put so many notices for each user into the bulk lane."""
    notices = [
        gateway_pb2.Notice(event_id=str(uuid4()), user_id=user, replies=[text("notice")])
        for _ in range(count)
        for user in user_ids
    ]
    for start in range(0, len(notices), 100):
        request = gateway_pb2.NotifyRequest(notices=notices[start : start + 100])
        await gateway.stub.Notify(request, timeout=10)


async def end(gateway: Running, claim: shard_pb2.ShardClaim, jobs: Sequence[job_pb2.Job]) -> None:
    """Answer jobs."""
    for job in jobs:
        await gateway.stub.Deliver(ending(claim, job.job_id, text("answer")), timeout=5)


def heard(house: House, user: int, words: str) -> int:
    """How often the bot said something to a user."""
    return [message["text"] for message in house.said_to(user)].count(words)


async def test_notices_wait_while_a_shard_is_behind(house: House) -> None:
    """Five jobs wait where four are too many; the notices come when two have ended."""
    gateway = await house.open_webhook(NOTICES_HELD_SHARD_JOBS="4")
    claim = await house.claim()
    jobs = await people(house, gateway, range(1, 6))
    await asyncio.sleep(LOOK_SECONDS + 0.1)

    await notify(gateway, [job.user_id for job in jobs])
    await asyncio.sleep(1.5)
    early = [heard(house, user, "notice") for user in range(1, 6)]
    await end(gateway, claim, jobs[:2])

    async def told() -> bool:
        return all(heard(house, user, "notice") for user in range(1, 6))

    assert [0] * 5 == early
    assert await eventually(told)
    assert ["answer", "notice"] == [m["text"] for m in house.said_to(1)]


async def test_notices_wait_while_telegram_puts_answers_off(house: House) -> None:
    """It wants three seconds of rest from three chats; a fourth's notice does not use them up."""
    gateway = await house.open_webhook(NOTICES_HELD_LATE_CHATS="3")
    claim = await house.claim()
    jobs = await people(house, gateway, range(1, 5))
    house.simulator.world.faults.set(
        FaultSettings(status_429=1.0, retry_after=3, methods=["sendMessage"])
    )
    await end(gateway, claim, jobs[:3])

    async def put_off() -> bool:
        late: int = await house.sql.fetchval(
            "SELECT count(*) FROM gateway.senders WHERE next_attempt_at > clock_timestamp()"
        )
        return late == 3

    assert await eventually(put_off)
    house.simulator.world.faults.set(FaultSettings())
    await asyncio.sleep(LOOK_SECONDS + 0.1)
    await notify(gateway, [jobs[3].user_id])

    async def told() -> bool:
        return heard(house, 4, "notice") == 1

    assert await eventually(told)
    assert [1, 1, 1] == [heard(house, user, "answer") for user in (1, 2, 3)]


async def test_answers_are_quick_while_hundreds_of_notices_drain(house: House) -> None:
    """Three hundred notices to thirty chats, an answer each to the same chats meanwhile."""
    gateway = await house.open_webhook()
    claim = await house.claim()
    users = range(1, 31)
    jobs = await people(house, gateway, users)
    await notify(gateway, [job.user_id for job in jobs], count=10)
    seconds = []

    for user, job in zip(users, jobs, strict=True):
        began = time.monotonic()
        await end(gateway, claim, [job])
        async with asyncio.timeout(10):
            while not heard(house, user, "answer"):  # noqa: ASYNC110 (it is another's doing)
                await asyncio.sleep(0.01)
        seconds.append(time.monotonic() - began)
        await asyncio.sleep(0.05)

    left = await house.sql.fetchval(
        "SELECT count(*) FROM gateway.outbox WHERE lane = 2 AND state = 0"
    )
    assert left > 100, "the notices were gone before the answers were measured"
    assert statistics.median(seconds) < 0.5


@pytest.mark.parametrize(
    ("chats", "due_in_seconds", "late"),
    [(3, -2.0, True), (2, -2.0, False), (9, -0.1, False), (3, 5.0, True)],
)
async def test_chats_that_should_have_been_answered_or_are_put_off_are_late(
    house: House, chats: int, due_in_seconds: float, late: bool
) -> None:
    """From the named number on; those just begun are not, and notices never are."""
    await house.sql.execute(
        "INSERT INTO gateway.senders (user_id, lane, next_attempt_at)"
        " SELECT gen_random_uuid(), 1, clock_timestamp() + make_interval(secs => $2)"
        " FROM generate_series(1, $1)",
        chats,
        due_in_seconds,
    )
    await house.sql.execute(
        "INSERT INTO gateway.senders (user_id, lane, next_attempt_at)"
        " SELECT gen_random_uuid(), 2, '2020-01-01' FROM generate_series(1, 9)"
    )
    assert late == await Lateness(house.sql, LIMITS).is_late()


@pytest.mark.parametrize(("most", "late"), [(3, False), (4, True)])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
async def test_one_shard_that_is_behind_is_found_among_all(
    house: House, most: int, late: bool, place: int
) -> None:
    """Wherever it stands; what is done does not count, and neither does the sum of all shards."""
    shards = [("a.a", 0), ("a.a", 2), ("a.b", 1), (POOL, 7)]
    for pool, shard in shards:
        undone = most if (pool, shard) == shards[place] else 3
        await house.sql.execute(
            "INSERT INTO gateway.inbox (job_id, user_id, user_seq, pool, shard, accepted_at,"
            " payload, done_at, outcome) SELECT gen_random_uuid(), gen_random_uuid(), 1, $1, $2,"
            " now(), '', CASE WHEN n > $3 THEN now() END, CASE WHEN n > $3 THEN 1 END"
            " FROM generate_series(1, 20) AS n",
            pool,
            shard,
            undone,
        )
    assert late == await Lateness(house.sql, LIMITS).is_late()
