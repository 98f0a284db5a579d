"""What is to be said arrives once and in order, while Telegram refuses or a gateway dies."""

import asyncio
from uuid import uuid4

import pytest
from tests.awake import awake_clock
from tests.integration.gateway.answering import answer, states, words
from tests.integration.gateway.house import House, Running, ending, eventually, text

from devbox.telegram import FaultSettings
from gateway.domain import Lane, Mark, OutboxRow, RowKey, RowState
from gateway.postgres import Leases
from purser.gateway.v1 import gateway_pb2, job_pb2
from purser.shard.v1 import shard_pb2


@pytest.mark.parametrize(
    "faults",
    [
        FaultSettings(status_500=0.5, seed=1),
        FaultSettings(status_429=0.5, retry_after=1, seed=1),
    ],
    ids=["500", "429"],
)
async def test_what_telegram_refuses_for_a_while_is_said_later_once_and_in_order(
    house: House, faults: FaultSettings
) -> None:
    """The refused calls had no effect, so nothing is doubled."""
    gateway = await house.open_gateway(SEND_SWEEP_SECONDS="0.1")
    faults = FaultSettings(
        status_500=faults.status_500,
        status_429=faults.status_429,
        retry_after=1,
        seed=1,
        methods=["sendMessage"],
    )
    house.simulator.world.faults.set(faults)
    await answer(house, gateway, 5, *(text(str(n)) for n in range(5)))
    assert [str(n) for n in range(5)] == words(await house.heard(5, 5))
    assert await states(house) == [1] * 5


async def test_being_put_off_again_and_again_costs_no_tries(house: House) -> None:
    """Three 429 in a row where two tries are allowed."""
    gateway = await house.open_gateway(SEND_SWEEP_SECONDS="0.05", SEND_ATTEMPTS_MAX="2")
    faults = house.simulator.world.faults
    faults.set(FaultSettings(status_429=1.0, retry_after=1, methods=["sendMessage"]))
    await answer(house, gateway, 5, text("at last"))

    async def put_off_thrice() -> bool:
        return house.simulator.world.calls.get("sendMessage", 0) >= 3

    assert await eventually(put_off_thrice)
    assert await house.sql.fetchval("SELECT attempts FROM gateway.outbox") == 0
    faults.set(FaultSettings())
    assert await states(house) == [1]
    assert words(await house.heard(5)) == ["at last"]


async def test_a_429_that_names_no_pause_is_no_refusal(house: House) -> None:
    """Whoever stands between Telegram and us may answer so; it is said a moment later."""
    gateway = await house.open_gateway(SEND_SWEEP_SECONDS="0.05")
    faults = house.simulator.world.faults
    faults.set(FaultSettings(status_429=1.0, retry_after=0, methods=["sendMessage"]))
    await answer(house, gateway, 5, text("at last"))

    async def refused() -> bool:
        return house.simulator.world.calls.get("sendMessage", 0) >= 1

    assert await eventually(refused)
    faults.set(FaultSettings())
    assert await states(house) == [1]
    assert words(await house.heard(5)) == ["at last"]


async def test_a_lost_connection_loses_nothing(house: House) -> None:
    """It may double: the Bot API has no idempotent send."""
    gateway = await house.open_gateway(SEND_SWEEP_SECONDS="0.1")
    house.simulator.world.faults.set(
        FaultSettings(drop_connection=0.5, seed=3, methods=["sendMessage"])
    )
    await answer(house, gateway, 5, *(text(str(n)) for n in range(6)))
    await states(house)
    said = words(await house.heard(5, 6))
    assert [str(n) for n in range(6)] == sorted(set(said), key=str)
    assert said == sorted(said, key=str)


async def test_who_blocked_the_bot_is_remembered_and_spared(house: House) -> None:
    """What was still to be said is undeliverable; notices are refused from then on."""
    gateway = await house.open_gateway()
    claim = await house.claim()
    house.say(5, "hi")
    (job,) = await house.jobs()
    house.simulator.world.chats.ensure_user(5).blocked = True
    await gateway.stub.Deliver(ending(claim, job.job_id, text("a"), text("b")), timeout=5)

    assert await states(house) == [3, 3]
    assert await house.sql.fetchval("SELECT count(blocked_at) FROM gateway.users") == 1
    notice = gateway_pb2.Notice(event_id=str(uuid4()), user_id=job.user_id, replies=[text("n")])
    answered = await gateway.stub.Notify(gateway_pb2.NotifyRequest(notices=[notice]), timeout=5)
    assert list(answered.results) == [gateway_pb2.NOTICE_RESULT_UNDELIVERABLE]


async def test_a_refusal_for_good_is_kept_with_its_error_and_the_rest_goes_on(
    house: House,
) -> None:
    """A button of 65 bytes would be caught earlier; a message of spaces is not."""
    gateway = await house.open_gateway()
    await answer(house, gateway, 5, text(" \n "), text("after"))
    assert await states(house) == [2, 1]
    assert words(await house.heard(5)) == ["after"]
    failure = await house.sql.fetchval("SELECT failure FROM gateway.outbox WHERE state = 2")
    assert "empty" in failure


async def test_whatever_telegram_says_of_a_refusal_is_kept(house: House) -> None:
    """A word PostgreSQL cannot keep would undo the marks of all chats in the batch, and all of
    them would be said again.
    """
    await house.open_gateway()
    cause, user = uuid4(), uuid4()
    await house.sql.execute(
        "INSERT INTO gateway.outbox (lane, cause, number, user_id, payload)"
        " VALUES (1, $1, 1, $2, '')",
        cause,
        user,
    )
    row = OutboxRow(RowKey(Lane.ANSWER, cause, 1), user, 5, text("hi"), 0, 0.0)
    leases = Leases(house.sql, uuid4(), lease_seconds=12, load_rows_max=10)

    await leases.mark([Mark(row, RowState.FAILED, failure="no\0t \ud800 so" + "!" * 2_000)])

    failure = await house.sql.fetchval("SELECT failure FROM gateway.outbox WHERE state = 2")
    assert failure.startswith("no\ufffdt \ufffd so!")
    assert len(failure) == 1_000


async def test_notices_do_not_delay_answers(house: House) -> None:
    """Thirty notices crawl at 1/s through the same chat; an answer passes them all."""
    gateway = await house.open_gateway(NOTICES_PER_SECOND="1", NOTICES_PER_CHAT_PER_SECOND="1")
    claim = await house.claim()
    house.say(5, "hi")
    (job,) = await house.jobs()
    notices = [
        gateway_pb2.Notice(event_id=str(uuid4()), user_id=job.user_id, replies=[text(f"n{n}")])
        for n in range(30)
    ]
    request = gateway_pb2.NotifyRequest(notices=notices)
    first = await gateway.stub.Notify(request, timeout=5)
    again = await gateway.stub.Notify(request, timeout=5)
    await house.heard(5, 5)

    async def answered() -> bool:
        return "answer" in words(house.said_to(5))

    with awake_clock() as clock:
        await gateway.stub.Deliver(ending(claim, job.job_id, text("answer")), timeout=5)
        assert await eventually(answered)
        assert clock() < 0.9
    said = words(house.said_to(5))
    assert len(said) < 15
    assert [n for n in said if n != "answer"] == [f"n{n}" for n in range(len(said) - 1)]
    assert {gateway_pb2.NOTICE_RESULT_ACCEPTED} == set(first.results)
    assert {gateway_pb2.NOTICE_RESULT_DUPLICATE} == set(again.results)


async def test_a_dead_gateways_answers_are_sent_by_another(house: House) -> None:
    """Its lease runs out; what it had committed is said."""
    gateway = await house.open_gateway(SEND_LEASE_SECONDS="10")
    claim = await house.claim()
    house.say(5, "hi")
    (job,) = await house.jobs()
    # As after a crash between the commit and the call: a lease of nobody alive, and pending rows.
    await house.sql.execute("UPDATE gateway.inbox SET done_at = now(), outcome = 1")
    await house.sql.execute(
        "INSERT INTO gateway.outbox (lane, cause, number, user_id, payload)"
        " VALUES (1, $1, 1, $2, $3)",
        job.job_id,
        job.user_id,
        text("left behind").SerializeToString(),
    )
    await house.sql.execute(
        "INSERT INTO gateway.senders (user_id, lane, holder, lease_until)"
        " VALUES ($1, 1, gen_random_uuid(), clock_timestamp() + interval '1 second')",
        job.user_id,
    )
    # A later answer must wait for the earlier one.
    house.say(5, "again")
    second = (await house.jobs(2))[1]
    await gateway.stub.Deliver(ending(claim, second.job_id, text("later")), timeout=5)

    assert words(await house.heard(5, 2)) == ["left behind", "later"]
    assert await states(house) == [1, 1]


async def test_a_gateway_that_goes_away_leaves_its_chats_to_the_others_at_once(
    house: House,
) -> None:
    """No lease has to run out after an orderly end."""
    house.environ = {"SEND_LEASE_SECONDS": "60", "DRAIN_TIMEOUT_SECONDS": "0"}
    async with house.gateway() as first:
        claim = await house.claim()
        house.say(5, "hi")
        (job,) = await house.jobs()
        house.simulator.world.faults.set(FaultSettings(delay_ms=3000, methods=["sendMessage"]))
        await first.stub.Deliver(ending(claim, job.job_id, text("hello")), timeout=5)
    house.simulator.world.faults.set(FaultSettings())
    with awake_clock() as clock:
        await house.open_gateway()

        assert "hello" in words(await house.heard(5))
        assert await states(house) == [1]
        assert clock() < 10


async def test_two_gateways_duplicates_and_reordering_give_one_answer_per_message(
    house: House,
) -> None:
    """Six users, ten messages each; every Deliver call is made twice, at both gateways at once."""
    house.simulator.world.faults.set(
        FaultSettings(duplicate_updates=0.3, reorder_updates=0.3, seed=7)
    )
    gateways = [await house.open_gateway(), await house.open_gateway()]
    claim = await house.claim()
    users = range(1, 7)
    for n in range(10):
        for user in users:
            house.say(user, f"m{n}")

    worked = asyncio.create_task(work(gateways, claim, until=60))
    for user in users:
        expected = [f"re {n + 1}: m{n}" for n in range(10)]
        assert expected == words(await house.heard(user, 10))
    await worked
    assert await states(house) == [1] * 60
    for user in users:
        assert len(house.said_to(user)) == 10


async def work(gateways: list[Running], claim: shard_pb2.ShardClaim, until: int) -> None:
    """Work jobs as a worker does: fetch what is undone, end each user's next job."""
    done: set[str] = set()
    turn = 0
    while len(done) < until:
        turn += 1
        request = gateway_pb2.FetchJobsRequest(claims=[claim], jobs_per_shard_max=500)
        answered = await gateways[turn % 2].stub.FetchJobs(request, timeout=5)
        by_user: dict[str, list[job_pb2.Job]] = {}
        for job in answered.shards[0].jobs:
            if job.job_id not in done:
                by_user.setdefault(job.user_id, []).append(job)
                done.add(job.job_id)
        await asyncio.gather(*(end_all(gateways, claim, jobs, turn) for jobs in by_user.values()))
        await asyncio.sleep(0.02)


async def end_all(
    gateways: list[Running], claim: shard_pb2.ShardClaim, jobs: list[job_pb2.Job], turn: int
) -> None:
    """End one user's jobs, one after another."""
    for place, job in enumerate(jobs, turn):
        said = text(f"re {job.user_seq}: {job.text.text}")
        call = ending(claim, job.job_id, said)
        first, second = gateways[place % 2].stub, gateways[(place + 1) % 2].stub
        await asyncio.gather(first.Deliver(call, timeout=5), second.Deliver(call, timeout=5))
