"""What moves money is worked from the inbox's own words, under the newest claim only."""

import grpc
import grpc.aio
import pytest
from tests.integration.gateway.house import POOL, House, ending, post_updates, typed

from chassis.grpc_client import reason_of
from purser.gateway.v1 import gateway_pb2
from purser.shard.v1 import shard_pb2

NOBODYS = "0198c0de-0000-7000-8000-000000000000"


def asking(claim: shard_pb2.ShardClaim, job_id: str) -> gateway_pb2.ReadJobRequest:
    """A ReadJob call."""
    return gateway_pb2.ReadJobRequest(claim=claim, job_id=job_id)


async def test_an_undone_job_is_read_as_the_inbox_has_it(house: House) -> None:
    """Word for word, also when the stream says something else or nothing."""
    gateway = await house.open_webhook()
    claim = await house.claim()
    await post_updates([gateway], [typed(1, 5, "sell \u202e all\0")])
    (job,) = await house.jobs()

    answer = await gateway.stub.ReadJob(asking(claim, job.job_id), timeout=5)

    assert job == answer.job
    assert answer.job.text.text == "sell \u202e all\0"


async def test_a_job_that_has_ended_or_never_was_is_not_found(house: House) -> None:
    """There is nothing to work."""
    gateway = await house.open_webhook()
    claim = await house.claim()
    await post_updates([gateway], [typed(1, 5, "hi")])
    (job,) = await house.jobs()
    await gateway.stub.Deliver(ending(claim, job.job_id), timeout=5)

    for job_id in (job.job_id, NOBODYS):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await gateway.stub.ReadJob(asking(claim, job_id), timeout=5)
        assert grpc.StatusCode.NOT_FOUND == refused.value.code()


async def test_neither_a_stale_claim_nor_one_of_another_shard_reads_a_job(house: House) -> None:
    """The stale one learns that it is stale; the other one that there is no such job there."""
    gateway = await house.open_webhook()
    old = await house.claim()
    await post_updates([gateway], [typed(1, 5, "hi")])
    (job,) = await house.jobs()
    await house.claim()
    await house.sql.execute("SELECT placement.ensure_shard($1, 1)", POOL)
    others = await house.claim(shard=1)

    with pytest.raises(grpc.aio.AioRpcError) as stale:
        await gateway.stub.ReadJob(asking(old, job.job_id), timeout=5)
    with pytest.raises(grpc.aio.AioRpcError) as foreign:
        await gateway.stub.ReadJob(asking(others, job.job_id), timeout=5)

    assert grpc.StatusCode.FAILED_PRECONDITION == stale.value.code()
    assert reason_of(stale.value) == "STALE_EPOCH"
    assert grpc.StatusCode.NOT_FOUND == foreign.value.code()


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (asking(shard_pb2.ShardClaim(pool=POOL, shard=0, epoch=1), "nonsense"), "job_id"),
        (asking(shard_pb2.ShardClaim(pool="UPPER", shard=0, epoch=1), NOBODYS), "claim"),
    ],
)
async def test_a_malformed_field_is_named(
    house: House, request_: gateway_pb2.ReadJobRequest, field: str
) -> None:
    """So that the caller can mend it."""
    gateway = await house.open_webhook()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await gateway.stub.ReadJob(request_, timeout=5)
    assert grpc.StatusCode.INVALID_ARGUMENT == refused.value.code()
    assert (refused.value.details() or "").startswith(field + ":")
