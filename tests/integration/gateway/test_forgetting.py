"""Who asks to be forgotten is: the words go, and everything goes on."""

import json
from uuid import uuid4

import grpc
import grpc.aio
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

from chassis.grpc_client import reason_of
from purser.gateway.v1 import gateway_pb2, job_pb2
from purser.shard.v1 import shard_pb2

SECRETS = ("my grandmother's house", "I hear you, Ada", "Lovelace", "a notice to Ada", "unreadable")


def forgetting(claim: shard_pb2.ShardClaim, user_id: str) -> gateway_pb2.ForgetUserRequest:
    """A ForgetUser call."""
    return gateway_pb2.ForgetUserRequest(claim=claim, user_id=user_id)


async def words_left(house: House) -> set[str]:
    """Which of the secrets any table of the gateway still holds."""
    tables = await house.sql.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'gateway'")
    kept = ""
    for table in tables:
        for row in await house.sql.fetch(f"SELECT * FROM gateway.{table['tablename']}"):  # noqa: S608
            kept += " ".join(
                value.decode(errors="replace") if isinstance(value, bytes) else str(value)
                for value in row.values()
            )
    return {secret for secret in SECRETS if secret in kept}


async def sent(house: House, count: int) -> None:
    """Wait until so many rows of the outbox are over."""

    async def over() -> bool:
        done: int = await house.sql.fetchval("SELECT count(done_at) FROM gateway.outbox")
        return done == count

    assert await eventually(over)


async def lived_in(house: House, gateway: Running, claim: shard_pb2.ShardClaim) -> str:
    """A user of whom every table holds something; the user's id."""
    for user in (5, 6):
        house.simulator.world.chats.ensure_user(user)
    await post_updates([gateway], [typed(1, 5, SECRETS[0], SECRETS[2])])
    (job,) = await house.jobs()
    request = ending(claim, job.job_id, text(SECRETS[1], "card:1"))
    request.outcome = gateway_pb2.JOB_OUTCOME_SET_ASIDE
    request.error = f"cannot parse {SECRETS[0]}"
    await gateway.stub.Deliver(request, timeout=5)
    notice = gateway_pb2.Notice(
        event_id=str(uuid4()), user_id=job.user_id, replies=[text(SECRETS[3])]
    )
    await gateway.stub.Notify(gateway_pb2.NotifyRequest(notices=[notice]), timeout=5)
    unreadable = typed(2, 5, SECRETS[4])
    unreadable["message"]["date"] = "yesterday"
    await post_updates([gateway], [unreadable])
    await sent(house, 2)
    return job.user_id


async def test_the_words_go_from_every_table(house: House) -> None:
    """What was typed, what was said, what could not be read, the name, an error that quotes."""
    gateway = await house.open_webhook()
    claim = await house.claim()
    user_id = await lived_in(house, gateway, claim)
    assert await words_left(house) == set(SECRETS)

    await gateway.stub.ForgetUser(forgetting(claim, user_id), timeout=5)
    await gateway.stub.ForgetUser(forgetting(claim, user_id), timeout=5)

    assert await words_left(house) == set()


async def test_the_neighbours_words_stay(house: House) -> None:
    """Only the user who asked is forgotten."""
    gateway = await house.open_webhook()
    claim = await house.claim()
    await lived_in(house, gateway, claim)
    unreadable = typed(4, 6, "x")
    unreadable["message"]["date"] = "yesterday"
    await post_updates([gateway], [typed(3, 6, "hello"), unreadable])
    neighbour = (await house.jobs(2))[1]

    await gateway.stub.ForgetUser(forgetting(claim, neighbour.user_id), timeout=5)

    assert await words_left(house) == set(SECRETS)
    rejected = await house.sql.fetch("SELECT raw FROM gateway.rejected_updates")
    assert [json.loads(row["raw"])["message"]["text"] for row in rejected] == [SECRETS[4]]


async def test_the_request_itself_is_answered_and_the_user_goes_on(house: House) -> None:
    """The job under way ends as ever; the next message has the next place, under the same id."""
    gateway = await house.open_webhook()
    claim = await house.claim()
    user_id = await lived_in(house, gateway, claim)
    await post_updates([gateway], [typed(7, 5, "/forget")])
    request = (await house.jobs(2))[1]

    await gateway.stub.ForgetUser(forgetting(claim, user_id), timeout=5)
    read = gateway_pb2.ReadJobRequest(claim=claim, job_id=request.job_id)
    under_way = await gateway.stub.ReadJob(read, timeout=5)
    ended = await gateway.stub.Deliver(ending(claim, request.job_id, text("Done.")), timeout=5)
    await post_updates([gateway], [typed(8, 5, "still here")])

    assert job_pb2.CommandInput(name="forget") == under_way.job.command
    assert not ended.already_delivered
    assert "Done." in [message["text"] for message in await house.heard(5, 3)]
    newest = (await house.jobs(3))[2]
    assert (newest.user_id, newest.user_seq) == (user_id, 3)


async def test_what_removes_duplicates_is_not_forgotten(house: House) -> None:
    """The old update again, the old Deliver again, the old notice again: nothing happens."""
    gateway = await house.open_webhook()
    claim = await house.claim()
    user_id = await lived_in(house, gateway, claim)
    causes = await house.sql.fetch("SELECT lane, cause FROM gateway.outbox ORDER BY lane")
    (_, job_id), (_, event_id) = causes
    await gateway.stub.ForgetUser(forgetting(claim, user_id), timeout=5)

    await post_updates([gateway], [typed(1, 5, SECRETS[0])])
    again = await gateway.stub.Deliver(ending(claim, str(job_id), text("again")), timeout=5)
    notice = gateway_pb2.Notice(event_id=str(event_id), user_id=user_id, replies=[text("again")])
    told = await gateway.stub.Notify(gateway_pb2.NotifyRequest(notices=[notice]), timeout=5)

    assert again.already_delivered
    assert [gateway_pb2.NOTICE_RESULT_DUPLICATE] == list(told.results)
    assert await house.sql.fetchval("SELECT count(*) FROM gateway.inbox") == 1
    assert await house.sql.fetchval("SELECT count(*) FROM gateway.messages") == 1


async def test_more_words_than_one_transaction_takes_go_too(house: House) -> None:
    """A thousand jobs and answers; among them one under way, which stays."""
    gateway = await house.open_webhook()
    claim = await house.claim()
    await post_updates([gateway], [typed(1, 5, "hi")])
    (job,) = await house.jobs()
    await house.sql.execute(
        "INSERT INTO gateway.inbox (job_id, user_id, user_seq, pool, shard, accepted_at, payload,"
        " done_at, outcome) SELECT gen_random_uuid(), $1, n, $2, 0, now(), 'word', now(), 1"
        " FROM generate_series(2, 1001) AS n",
        job.user_id,
        POOL,
    )
    await house.sql.execute(
        "INSERT INTO gateway.outbox (lane, cause, number, user_id, payload, state, done_at)"
        " SELECT 1, job_id, 1, user_id, 'word', 1, now() FROM gateway.inbox WHERE user_seq > 1"
    )

    await gateway.stub.ForgetUser(forgetting(claim, job.user_id), timeout=5)

    assert await house.sql.fetchval("SELECT count(*) FROM gateway.inbox WHERE payload <> ''") == 1
    assert await house.sql.fetchval("SELECT count(*) FROM gateway.outbox WHERE payload <> ''") == 0


async def test_emptied_rows_are_purged_by_age_like_the_others(house: House) -> None:
    """Forgetting and housekeeping do not get in each other's way."""
    gateway = await house.open_webhook(PURGE_EVERY_SECONDS="0.1")
    claim = await house.claim()
    user_id = await lived_in(house, gateway, claim)
    await gateway.stub.ForgetUser(forgetting(claim, user_id), timeout=5)

    for statement in (
        "UPDATE gateway.inbox SET done_at = done_at - interval '31 days'",
        "UPDATE gateway.outbox SET done_at = done_at - interval '8 days'",
    ):
        await house.sql.execute(statement)

    async def gone() -> bool:
        left: int = await house.sql.fetchval(
            "SELECT (SELECT count(*) FROM gateway.inbox) + (SELECT count(*) FROM gateway.outbox)"
        )
        return left == 0

    assert await eventually(gone)


async def test_a_stale_claim_and_a_user_of_another_shard_are_refused(house: House) -> None:
    """And nothing is forgotten."""
    gateway = await house.open_webhook()
    old = await house.claim()
    user_id = await lived_in(house, gateway, old)
    await house.claim()
    await house.sql.execute("SELECT placement.ensure_shard($1, 1)", POOL)
    others = await house.claim(shard=1)

    with pytest.raises(grpc.aio.AioRpcError) as stale:
        await gateway.stub.ForgetUser(forgetting(old, user_id), timeout=5)
    with pytest.raises(grpc.aio.AioRpcError) as foreign:
        await gateway.stub.ForgetUser(forgetting(others, user_id), timeout=5)

    assert grpc.StatusCode.FAILED_PRECONDITION == stale.value.code()
    assert reason_of(stale.value) == "STALE_EPOCH"
    assert grpc.StatusCode.NOT_FOUND == foreign.value.code()
    assert await words_left(house) == set(SECRETS)
