"""Jobs that were set aside: people find them, see why, and have them worked once more."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from redis.asyncio import Redis
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

from chassis.grpc_client import reason_of
from gateway.postgres import Housekeeping
from kernel.names import jobs_stream
from kernel.sharding import ShardKey
from purser.gateway.v1 import gateway_pb2, job_pb2
from purser.shard.v1 import shard_pb2

NOBODYS = "0198c0de-0000-7000-8000-000000000000"
LIST = "ListSetAsideJobs"
BAD_ID = f"1.{'-' * 36}"
AGES = (
    "updates_seen",
    "inbox",
    "inbox_set_aside",
    "outbox",
    "rejected_updates",
    "messages",
)


async def set_aside(
    gateway: Running, claim: shard_pb2.ShardClaim, job_id: str, error: str = "KeyError: 'x'"
) -> None:
    """End a job as one that could not be worked."""
    call = ending(claim, job_id, text("sorry"))
    call.outcome, call.error = gateway_pb2.JOB_OUTCOME_SET_ASIDE, error
    await gateway.stub.Deliver(call, timeout=5)


async def listed(
    gateway: Running, page_size: int = 0, page_token: str = "", **chosen: Any
) -> gateway_pb2.ListSetAsideJobsResponse:
    """One page."""
    request = gateway_pb2.ListSetAsideJobsRequest(
        pool=POOL, page_size=page_size, page_token=page_token, **chosen
    )
    page: gateway_pb2.ListSetAsideJobsResponse
    page = await gateway.stub.ListSetAsideJobs(request, timeout=5)
    return page


async def read(
    gateway: Running, job_id: str, *, include_input: bool = False
) -> gateway_pb2.ReadSetAsideJobResponse:
    """One job."""
    request = gateway_pb2.ReadSetAsideJobRequest(job_id=job_id, include_input=include_input)
    answer: gateway_pb2.ReadSetAsideJobResponse
    answer = await gateway.stub.ReadSetAsideJob(request, timeout=5)
    return answer


async def replay(gateway: Running, job_id: str) -> gateway_pb2.ReplayJobResponse:
    """Have it worked again."""
    answer: gateway_pb2.ReplayJobResponse
    answer = await gateway.stub.ReplayJob(gateway_pb2.ReplayJobRequest(job_id=job_id), timeout=5)
    return answer


async def poisoned(
    house: House, gateway: Running, *words: str, user: int = 5
) -> tuple[shard_pb2.ShardClaim, list[job_pb2.Job]]:
    """Have a user say things that all are set aside."""
    claim = await house.claim()
    before = await house.sql.fetchval("SELECT count(*) FROM gateway.inbox")
    for n, said in enumerate(words):
        await post_updates([gateway], [typed(100 * user + n, user, said)])
    jobs = (await house.jobs(before + len(words)))[before:]
    for job in jobs:
        await set_aside(gateway, claim, job.job_id)
    return claim, jobs


def ids(page: gateway_pb2.ListSetAsideJobsResponse) -> list[str]:
    """Which jobs are on a page."""
    return [job.job_id for job in page.jobs]


async def test_a_list_names_what_it_was_and_nothing_that_was_typed(house: House) -> None:
    """A known command by its name, an unknown one and a text by their kind only."""
    gateway = await house.open_webhook()
    _, jobs = await poisoned(house, gateway, "/buy BTC $100", "/hunter2", "my secret")

    page = await listed(gateway)

    assert [job.job_id for job in reversed(jobs)] == ids(page)
    shown = [(job.input_kind, job.input_name) for job in page.jobs]
    assert [
        (gateway_pb2.JOB_INPUT_KIND_TEXT, ""),
        (gateway_pb2.JOB_INPUT_KIND_COMMAND, ""),
        (gateway_pb2.JOB_INPUT_KIND_COMMAND, "buy"),
    ] == shown
    assert page.jobs[0].error == "KeyError: 'x'"
    assert page.jobs[0].user_seq == 3
    assert page.jobs[0].set_aside_at.ToDatetime() >= page.jobs[0].accepted_at.ToDatetime()
    told = page.SerializeToString() + (await read(gateway, jobs[1].job_id)).SerializeToString()
    for private in (b"hunter2", b"secret", b"$100"):
        assert private not in told


async def test_pages_follow_one_another_without_a_gap(house: House) -> None:
    """Seven jobs, three to a page; what is set aside meanwhile is on no later page."""
    gateway = await house.open_webhook()
    claim, jobs = await poisoned(house, gateway, *(str(n) for n in range(8)))
    # Set aside in one moment: the id decides.
    await house.sql.execute("UPDATE gateway.inbox SET done_at = '2026-01-01' WHERE user_seq < 5")
    assert claim.epoch > 0

    found, token, pages = [], "", 0
    while pages == 0 or token:
        page = await listed(gateway, page_size=3, page_token=token)
        found += ids(page)
        token = page.next_page_token
        pages += 1

    assert pages == 3
    assert [job.job_id for job in reversed(jobs)] == found


async def test_a_list_can_be_of_one_shard_or_one_user(house: House) -> None:
    """Others' jobs are not in it; neither are those that ended well."""
    house.environ = {"USERS_PER_SHARD": "1"}
    gateway = await house.open_webhook()
    claim, ours = await poisoned(house, gateway, "a", "b", user=5)
    await post_updates([gateway], [typed(900, 6, "c")])
    other = (await house.jobs(3))[-1]
    theirs = await house.claim(other.shard)
    await set_aside(gateway, theirs, other.job_id)
    await post_updates([gateway], [typed(901, 5, "fine")])
    await gateway.stub.Deliver(ending(claim, (await house.jobs(4))[-1].job_id), timeout=5)

    assert other.shard != ours[0].shard
    assert [other.job_id, ours[1].job_id, ours[0].job_id] == ids(await listed(gateway))
    assert [other.job_id] == ids(await listed(gateway, shard=other.shard))
    assert [ours[1].job_id, ours[0].job_id] == ids(await listed(gateway, shard=0))
    assert [other.job_id] == ids(await listed(gateway, user_id=other.user_id))
    assert [] == ids(await listed(gateway, user_id=NOBODYS))


async def test_what_was_typed_is_given_on_request_only(house: House) -> None:
    """Every character of it, then."""
    gateway = await house.open_webhook()
    _, (job,) = await poisoned(house, gateway, "sell \u202e all\0")

    without = await read(gateway, job.job_id)
    with_input = await read(gateway, job.job_id, include_input=True)

    assert not without.HasField("input")
    assert job == with_input.input
    assert without.job == with_input.job


async def test_a_replay_is_the_users_newest_job_and_is_answered_like_any_other(
    house: House,
) -> None:
    """The same input under a new id and place, pushed to the stream, its answer in the chat."""
    gateway = await house.open_webhook()
    house.simulator.world.chats.ensure_user(5)
    claim, (job,) = await poisoned(house, gateway, "/buy BTC $100")
    await post_updates([gateway], [typed(900, 5, "later")])

    replayed = await replay(gateway, job.job_id)

    again = (await house.jobs(3))[-1]
    assert not replayed.already_replayed
    assert replayed.job_id == again.job_id != job.job_id
    assert again.user_seq == 3
    assert job.command == again.command
    assert (job.user_id, job.pool, job.shard) == (again.user_id, again.pool, again.shard)
    assert again.accepted_at.ToDatetime() > job.accepted_at.ToDatetime()
    of = await house.sql.fetchval("SELECT replay_of::text FROM gateway.inbox WHERE user_seq = 3")
    assert job.job_id == of

    async def pushed() -> bool:
        async with Redis.from_url(house.redis_url) as redis:
            entries: Any = await redis.xrange(jobs_stream(ShardKey(POOL, 0)))
        return any(again.SerializeToString() in b"".join(entry.values()) for _, entry in entries)

    assert await eventually(pushed)
    fetched = await gateway.stub.FetchJobs(gateway_pb2.FetchJobsRequest(claims=[claim]), timeout=5)
    assert [2, 3] == [undone.user_seq for undone in fetched.shards[0].jobs]
    await gateway.stub.Deliver(ending(claim, again.job_id, text("bought")), timeout=5)
    assert (await house.heard(5, 2))[-1]["text"] == "bought"


async def test_a_job_has_one_replay_however_often_and_wherever_it_is_asked_for(
    house: House,
) -> None:
    """Twenty calls at two gateways at once, then another one when it is done."""
    gateways = [await house.open_webhook(), await house.open_webhook()]
    claim, (job,) = await poisoned(house, gateways[0], "hi")

    calls = await asyncio.gather(*(replay(gateways[n % 2], job.job_id) for n in range(20)))
    (only,) = {call.job_id for call in calls}
    shown = (await read(gateways[0], job.job_id)).job
    await gateways[0].stub.Deliver(ending(claim, only), timeout=5)
    later = await replay(gateways[1], job.job_id)

    assert [call.already_replayed for call in calls].count(False) == 1
    assert (only, False) == (shown.replay_job_id, shown.replay_done)
    assert (only, True, True) == (later.job_id, later.already_replayed, later.done)
    assert len(await house.jobs(2)) == 2


async def test_a_replay_that_was_set_aside_too_can_be_followed_by_another_one(
    house: House,
) -> None:
    """By whichever of the two it is asked for; all of them name the user's own job."""
    gateway = await house.open_webhook()
    claim, (job,) = await poisoned(house, gateway, "hi")
    first = await replay(gateway, job.job_id)
    await set_aside(gateway, claim, first.job_id)

    second = await replay(gateway, first.job_id)
    by_the_first = await replay(gateway, job.job_id)
    await set_aside(gateway, claim, second.job_id)
    third = await replay(gateway, job.job_id)

    assert not second.already_replayed
    assert (second.job_id, True) == (by_the_first.job_id, by_the_first.already_replayed)
    assert not third.already_replayed
    page = await listed(gateway)
    assert [second.job_id, first.job_id, job.job_id] == ids(page)
    assert [job.job_id, job.job_id, ""] == [shown.replay_of for shown in page.jobs]
    assert {third.job_id} == {shown.replay_job_id for shown in page.jobs}


async def test_a_replayed_press_is_not_answered_silently_a_second_time(house: House) -> None:
    """Telegram has forgotten it; the worker's own answer is all there is."""
    gateway = await house.open_gateway()
    claim = await house.claim()
    house.say(5, "/start")
    (job,) = await house.jobs()
    await gateway.stub.Deliver(ending(claim, job.job_id, text("Menu", "m")), timeout=5)
    (menu,) = await house.heard(5)
    house.simulator.people.click(5, menu["message_id"], "cf:draft")
    press = (await house.jobs(2))[-1]
    await set_aside(gateway, claim, press.job_id)

    shown = (await read(gateway, press.job_id)).job
    replayed = await replay(gateway, press.job_id)
    await gateway.stub.Deliver(ending(claim, replayed.job_id, text("too late")), timeout=5)

    assert (gateway_pb2.JOB_INPUT_KIND_PRESS, "cf") == (shown.input_kind, shown.input_name)
    assert press.press == (await house.jobs(3))[-1].press
    assert [1] == [
        row["number"]
        for row in await house.sql.fetch(
            "SELECT number FROM gateway.outbox WHERE cause = $1", replayed.job_id
        )
    ]


async def test_only_what_was_set_aside_can_be_read_or_replayed(house: House) -> None:
    """Not what waits, what is done, or what never was."""
    gateway = await house.open_webhook()
    claim = await house.claim()
    await post_updates([gateway], [typed(1, 5, "done"), typed(2, 6, "waits")])
    done, waits = sorted(await house.jobs(2), key=lambda job: job.text.text)
    await gateway.stub.Deliver(ending(claim, done.job_id), timeout=5)

    for job_id in (done.job_id, waits.job_id, NOBODYS):
        with pytest.raises(grpc.aio.AioRpcError) as unread:
            await read(gateway, job_id, include_input=True)
        with pytest.raises(grpc.aio.AioRpcError) as unreplayed:
            await replay(gateway, job_id)
        assert grpc.StatusCode.NOT_FOUND == unread.value.code() == unreplayed.value.code()
    assert len(await house.jobs(2)) == 2


async def test_what_was_forgotten_is_not_replayed(house: House) -> None:
    """There is nothing left of it but that it was."""
    gateway = await house.open_webhook()
    claim, (job,) = await poisoned(house, gateway, "my words")
    await gateway.stub.ForgetUser(
        gateway_pb2.ForgetUserRequest(claim=claim, user_id=job.user_id), timeout=5
    )

    shown = await read(gateway, job.job_id, include_input=True)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await replay(gateway, job.job_id)

    assert shown.job.forgotten
    assert shown.job.error == ""
    assert not shown.HasField("input")
    assert grpc.StatusCode.FAILED_PRECONDITION == refused.value.code()
    assert reason_of(refused.value) == "FORGOTTEN"


async def test_a_replay_is_refused_while_too_much_of_the_user_waits(house: House) -> None:
    """An operator's job is no exception to the bound; it is taken when there is room."""
    gateway = await house.open_webhook(USER_UNDONE_JOBS_MAX="3")
    claim, (job,) = await poisoned(house, gateway, "hi")
    for n in range(3):
        await post_updates([gateway], [typed(n + 1, 5, "waits")])
    waiting = (await house.jobs(4))[1:]

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await replay(gateway, job.job_id)
    await gateway.stub.Deliver(ending(claim, waiting[0].job_id), timeout=5)

    assert grpc.StatusCode.RESOURCE_EXHAUSTED == refused.value.code()
    assert not (await replay(gateway, job.job_id)).already_replayed


async def test_a_replay_is_known_as_long_as_what_it_replays(house: House) -> None:
    """Or the same wish could be worked twice, a week later."""
    gateway = await house.open_webhook()
    claim, (job,) = await poisoned(house, gateway, "hi")
    replayed = await replay(gateway, job.job_id)
    await gateway.stub.Deliver(ending(claim, replayed.job_id), timeout=5)
    await house.sql.execute("UPDATE gateway.inbox SET done_at = done_at - interval '8 days'")
    day = 86_400.0

    async def purge(days_set_aside: int) -> None:
        ages = dict.fromkeys(AGES, 7 * day) | {"inbox_set_aside": days_set_aside * day}
        await Housekeeping(house.sql, ages).purge()

    await purge(30)
    assert (await replay(gateway, job.job_id)).already_replayed
    await purge(7)
    assert await house.sql.fetchval("SELECT count(*) FROM gateway.inbox") == 0


@pytest.mark.parametrize(
    ("call", "request_", "field"),
    [
        (LIST, gateway_pb2.ListSetAsideJobsRequest(pool="UPPER"), "pool"),
        (LIST, gateway_pb2.ListSetAsideJobsRequest(pool=POOL, shard=2**31), "shard"),
        (LIST, gateway_pb2.ListSetAsideJobsRequest(pool=POOL, user_id="me"), "user_id"),
        (LIST, gateway_pb2.ListSetAsideJobsRequest(pool=POOL, page_size=201), "page_size"),
        (LIST, gateway_pb2.ListSetAsideJobsRequest(pool=POOL, page_token="2"), "page_token"),
        (LIST, gateway_pb2.ListSetAsideJobsRequest(pool=POOL, page_token=BAD_ID), "page_token"),
        ("ReadSetAsideJob", gateway_pb2.ReadSetAsideJobRequest(job_id="1"), "job_id"),
        ("ReplayJob", gateway_pb2.ReplayJobRequest(job_id=NOBODYS[:-1]), "job_id"),
    ],
)
async def test_a_malformed_field_is_named(
    house: House, call: str, request_: Any, field: str
) -> None:
    """So that the caller can mend it."""
    gateway = await house.open_webhook()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await getattr(gateway.stub, call)(request_, timeout=5)
    assert grpc.StatusCode.INVALID_ARGUMENT == refused.value.code()
    assert (refused.value.details() or "").startswith(field + ":")
