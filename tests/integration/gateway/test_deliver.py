"""The end of a job: once, by the shard's owner, with everything it says."""

import asyncio

import grpc
import grpc.aio
import pytest
from tests.integration.gateway.house import (
    POOL,
    House,
    ending,
    eventually,
    post_updates,
    text,
    typed,
)

from chassis.grpc_client import reason_of
from purser.gateway.v1 import gateway_pb2, reply_pb2
from purser.shard.v1 import shard_pb2


async def test_the_first_call_decides_and_the_second_changes_nothing(house: House) -> None:
    """Also when the second says something else."""
    gateway = await house.open_gateway()
    claim = await house.claim()
    house.say(5, "hi")
    (job,) = await house.jobs()

    first = await gateway.stub.Deliver(ending(claim, job.job_id, text("one")), timeout=5)
    second = await gateway.stub.Deliver(ending(claim, job.job_id, text("two")), timeout=5)

    assert (first.already_delivered, second.already_delivered) == (False, True)
    await asyncio.sleep(0.3)
    assert [message["text"] for message in await house.heard(5)] == ["one"]


async def test_the_same_call_thrown_at_two_gateways_at_once_ends_the_job_once(house: House) -> None:
    """Twenty times; one of them decides."""
    gateways = [await house.open_gateway(), await house.open_gateway()]
    claim = await house.claim()
    house.say(5, "hi")
    (job,) = await house.jobs()

    answers = await asyncio.gather(
        *(
            gateways[n % 2].stub.Deliver(ending(claim, job.job_id, text("once")), timeout=5)
            for n in range(20)
        )
    )

    assert sum(answer.already_delivered for answer in answers) == 19
    await asyncio.sleep(0.3)
    assert [message["text"] for message in await house.heard(5)] == ["once"]


async def test_a_stale_claim_is_refused_and_writes_nothing(house: House) -> None:
    """A newer claim is out: whoever worked before must stop."""
    gateway = await house.open_gateway()
    old = await house.claim()
    house.say(5, "hi")
    (job,) = await house.jobs()
    new = await house.claim()

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await gateway.stub.Deliver(ending(old, job.job_id, text("stale")), timeout=5)
    await gateway.stub.Deliver(ending(new, job.job_id, text("fresh")), timeout=5)

    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert reason_of(refused.value) == "STALE_EPOCH"
    assert [message["text"] for message in await house.heard(5)] == ["fresh"]


async def test_a_stale_call_does_not_spoil_the_batch_it_shares(house: House) -> None:
    """Each call of a batch has an answer of its own."""
    gateway = await house.open_gateway(DELIVER_WAIT_MILLISECONDS="100")
    claim = await house.claim()
    house.say(5, "hi")
    house.say(6, "hi")
    first, second = await house.jobs(2)
    stale = shard_pb2.ShardClaim(pool=POOL, shard=0, epoch=claim.epoch + 1)

    answers = await asyncio.gather(
        gateway.stub.Deliver(ending(stale, first.job_id), timeout=5),
        gateway.stub.Deliver(ending(claim, second.job_id), timeout=5),
        gateway.stub.Deliver(ending(claim, "0198c0de-0000-7000-8000-000000000000"), timeout=5),
        return_exceptions=True,
    )

    codes = [
        answer.code() if isinstance(answer, grpc.aio.AioRpcError) else answer for answer in answers
    ]
    done = gateway_pb2.DeliverResponse(already_delivered=False)
    assert [grpc.StatusCode.FAILED_PRECONDITION, done, grpc.StatusCode.NOT_FOUND] == codes


async def test_a_call_for_the_wrong_shard_does_not_speak_for_the_right_one(house: House) -> None:
    """They share a batch, the wrong one comes first: the right one ends the job all the same."""
    gateway = await house.open_gateway(DELIVER_WAIT_MILLISECONDS="50")
    claim = await house.claim()
    await house.sql.execute("SELECT placement.ensure_shard($1, 1)", POOL)
    others = await house.claim(shard=1)
    house.say(5, "hi")
    (job,) = await house.jobs()

    wrong, right, again = await asyncio.gather(
        *(
            gateway.stub.Deliver(ending(c, job.job_id, text(said)), timeout=5)
            for c, said in ((others, "wrong"), (claim, "right"), (claim, "again"))
        ),
        return_exceptions=True,
    )

    assert isinstance(wrong, grpc.aio.AioRpcError)
    assert wrong.code() is grpc.StatusCode.NOT_FOUND
    assert isinstance(right, gateway_pb2.DeliverResponse)
    assert isinstance(again, gateway_pb2.DeliverResponse)
    # Calls made at once may arrive in any order; the first of the two decides.
    assert {right.already_delivered, again.already_delivered} == {False, True}
    decided = "again" if right.already_delivered else "right"
    assert [message["text"] for message in await house.heard(5)] == [decided]


async def test_a_valid_epoch_of_one_shard_cannot_end_anothers_job(house: House) -> None:
    """Neither before nor after it is done."""
    gateway = await house.open_webhook(USERS_PER_SHARD="1")
    await post_updates([gateway], [typed(1, 5, "a")])
    await post_updates([gateway], [typed(2, 6, "b")])
    first, second = await house.jobs(2)
    claims = {shard: await house.claim(shard) for shard in (0, 1)}

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await gateway.stub.Deliver(ending(claims[1], first.job_id, text("theft")), timeout=5)
    await gateway.stub.Deliver(ending(claims[0], first.job_id), timeout=5)
    with pytest.raises(grpc.aio.AioRpcError) as refused_again:
        await gateway.stub.Deliver(ending(claims[1], first.job_id, text("theft")), timeout=5)

    assert (first.shard, second.shard) == (0, 1)
    assert grpc.StatusCode.NOT_FOUND == refused.value.code() == refused_again.value.code()
    assert await house.sql.fetchval("SELECT count(*) FROM gateway.outbox") == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"outcome": 0}, "outcome"),
        ({"error": "x" * 2001}, "error"),
        ({"job_id": "nonsense"}, "job_id"),
        ({"claim": shard_pb2.ShardClaim(pool="UPPER", shard=0, epoch=1)}, "claim"),
        ({"replies": [reply_pb2.Reply()]}, "replies[0].body"),
        ({"replies": [text("x")] * 17}, "replies"),
    ],
)
async def test_a_broken_limit_is_named_and_the_job_stays(
    house: House, change: dict[str, object], field: str
) -> None:
    """The worker can mend its call: the job is still there."""
    gateway = await house.open_gateway()
    claim = await house.claim()
    house.say(5, "hi")
    (job,) = await house.jobs()
    values = {
        "claim": claim,
        "job_id": job.job_id,
        "outcome": gateway_pb2.JOB_OUTCOME_DONE,
        **change,
    }

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await gateway.stub.Deliver(gateway_pb2.DeliverRequest(**values), timeout=5)  # type: ignore[arg-type]

    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert (refused.value.details() or "").startswith(field + ":")
    assert await house.sql.fetchval("SELECT count(*) FROM gateway.inbox WHERE done_at IS NULL") == 1


async def test_a_set_aside_job_keeps_its_error(house: House) -> None:
    """For a person to look at; the user gets what the worker says."""
    gateway = await house.open_gateway()
    claim = await house.claim()
    house.say(5, "hi")
    (job,) = await house.jobs()

    request = ending(claim, job.job_id, text("Sorry, that went wrong"))
    request.outcome = gateway_pb2.JOB_OUTCOME_SET_ASIDE
    request.error = "ZeroDivisionError\0 in quote"
    await gateway.stub.Deliver(request, timeout=5)

    row = await house.sql.fetchrow("SELECT outcome, error FROM gateway.inbox")
    assert tuple(row or ()) == (2, "ZeroDivisionError\N{REPLACEMENT CHARACTER} in quote")
    assert await house.heard(5)


@pytest.mark.parametrize("spoken", [True, False])
async def test_every_press_is_answered_by_the_worker_or_silently(
    house: House, spoken: bool
) -> None:
    """Once; the waiting sign on the button ends."""
    gateway = await house.open_gateway()
    claim = await house.claim()
    house.say(5, "/start")
    (job,) = await house.jobs()
    await gateway.stub.Deliver(ending(claim, job.job_id, text("Menu", "m")), timeout=5)
    (menu,) = await house.heard(5)
    clicked = house.simulator.people.click(5, menu["message_id"], "buy")
    pressed = (await house.jobs(2))[1]
    press = reply_pb2.AnswerPress(press_id=pressed.press.press_id, text="Bought")
    replies = [reply_pb2.Reply(answer_press=press)] if spoken else []

    await gateway.stub.Deliver(ending(claim, pressed.job_id, *replies), timeout=5)

    async def answered() -> object:
        click = house.simulator.world.clicks.get(clicked.callback_query_id)
        return click is not None and click.answer is not None and click

    click = await eventually(answered)
    assert ("Bought" if spoken else "") == (click.answer.get("text") or "")
    assert await house.sql.fetchval("SELECT count(*) FROM gateway.outbox WHERE lane = 1") == 2


async def test_malformed_bytes_are_an_invalid_argument(house: House) -> None:
    """Not an internal error, and no stack trace to the caller."""
    gateway = await house.open_gateway()
    async with grpc.aio.insecure_channel(gateway.gateway.address) as line:
        call = line.unary_unary("/purser.gateway.v1.GatewayService/Deliver")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"\xff\xff\xff", timeout=5)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
