"""One message in, one answer out, through everything that is real but the worker."""

from redis.asyncio import Redis
from tests.integration.gateway.house import POOL, House, ending, text

from chassis.streams import read
from kernel.names import jobs_stream
from kernel.seals import unseal
from kernel.sharding import ShardKey
from purser.gateway.v1 import gateway_pb2, job_pb2


async def test_a_start_becomes_a_job_and_its_answer_a_message(house: House) -> None:
    """What a user types is in the inbox, on the shard's stream, and answered in the chat."""
    gateway = await house.open_gateway()
    claim = await house.claim()

    house.say(7, "/start now")
    (job,) = await house.jobs()
    answer = await gateway.stub.Deliver(
        ending(claim, job.job_id, text("Welcome aboard")), timeout=5
    )
    (message,) = await house.heard(7)

    assert job.command == job_pb2.CommandInput(name="start", arguments="now")
    assert (job.pool, job.shard, job.user_seq) == (POOL, 0, 1)
    assert answer == gateway_pb2.DeliverResponse(already_delivered=False)
    assert message["text"] == "Welcome aboard"
    async with Redis.from_url(house.redis_url) as redis:
        stream = jobs_stream(ShardKey(POOL, 0))
        ((_, _, entry),) = await read(redis, {stream: b"0"}, 0, 10)
    request = gateway_pb2.FetchJobsRequest(claims=[claim], include_cursors=True)
    fetched = await gateway.stub.FetchJobs(request, timeout=5)
    payload = unseal(fetched.stream_key, stream, entry)
    assert payload is not None
    assert job_pb2.Job.FromString(payload) == job
    assert entry != payload
