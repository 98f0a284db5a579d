"""A worker among real PostgreSQL, Valkey and gRPC: users are answered, in order, once."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.integration.user_worker.conftest import StartWorker
from tests.integration.user_worker.world import ADDRESS, POOL, World, sealed, until

from chassis import streams
from kernel.names import jobs_stream
from kernel.sharding import ShardKey
from purser.gateway.v1 import gateway_pb2, job_pb2

ME, OTHER = "purser-user-worker-0", "purser-user-worker-1"


def command(name: str) -> dict[str, Any]:
    """What a user does: a command."""
    return {"command": job_pb2.CommandInput(name=name)}


async def test_start_is_answered_through_all_services(
    world: World, start_worker: StartWorker
) -> None:
    """Claim, read, ask pricing, wallet and ledger, deliver, clear the stream."""
    await world.ensure_shards(0, desired=ME)
    job = await world.gateway.accept(uuid4(), 0, **command("start"))
    start_worker(ME)

    await until(lambda: job.job_id in world.gateway.delivered)
    answer = world.gateway.delivered[job.job_id]
    assert gateway_pb2.JOB_OUTCOME_DONE == answer.request.outcome
    assert f"<code>{ADDRESS}</code>" in answer.text
    assert "Ann &lt;3" in answer.text
    assert "10,000 USDT" in answer.text
    assert f"start:{job.job_id}" == answer.request.replies[0].message_key
    assert 1 == answer.request.claim.epoch

    await until(lambda: world.is_clear(0))


async def test_a_users_jobs_are_answered_in_order_and_once(
    world: World, start_worker: StartWorker
) -> None:
    """Entries twice, reversed, missing, and invented ones between them."""
    await world.ensure_shards(0, desired=ME)
    users = [uuid4() for _ in range(5)]
    world.gateway.pushes = False
    jobs = [await world.gateway.accept(user, 0) for _ in range(8) for user in users]
    invented = [
        job_pb2.Job(
            job_id=str(uuid4()), pool=POOL, shard=0, user_id=str(user), user_seq=3, **command("x")
        )
        for user in users
    ]
    payloads = [sealed(job) for job in [*jobs[::-1][::2], *invented, *jobs[:10]]]
    for payload in [*payloads, b"no job", *payloads]:
        await streams.append(world.redis, jobs_stream(ShardKey(POOL, 0)), payload)
    start_worker(ME)

    await until(lambda: len(world.gateway.delivered) == len(jobs))
    for user in users:
        assert list(range(1, 9)) == world.gateway.order_of(user)

    await until(lambda: world.is_clear(0))


async def test_what_stands_in_a_stream_without_a_seal_is_nobodys_job(
    world: World, start_worker: StartWorker
) -> None:
    """Another text under a real job's id, and a job of somebody who wrote to Redis only."""
    await world.ensure_shards(0, desired=ME)
    user, stream = uuid4(), jobs_stream(ShardKey(POOL, 0))
    start_worker(ME)
    first = await world.gateway.accept(user, 0)
    await until(lambda: first.job_id in world.gateway.delivered)
    world.gateway.pushes = False
    real = await world.gateway.accept(user, 0, **command("help"))
    altered = job_pb2.Job.FromString(real.SerializeToString())
    altered.command.name = "nonsense"
    for entry in (sealed(altered, b"x" * 32), altered.SerializeToString()):
        await streams.append(world.redis, stream, entry)

    await until(lambda: real.job_id in world.gateway.delivered)
    assert "nonsense" not in world.gateway.delivered[real.job_id].text
    await until(lambda: world.is_clear(0))


async def test_nothing_is_lost_when_redis_forgets_everything(
    world: World, start_worker: StartWorker
) -> None:
    """FLUSHALL again and again while users write."""
    await world.ensure_shards(0, 1, desired=ME)
    start_worker(ME)
    users = {uuid4(): shard for shard in (0, 1) for _ in range(3)}
    for _ in range(10):
        for user, shard in users.items():
            await world.gateway.accept(user, shard)
        await world.redis.flushall()

    await until(lambda: len(world.gateway.delivered) == 60)
    for user in users:
        assert list(range(1, 11)) == world.gateway.order_of(user)


async def test_without_a_redis_users_are_answered_from_the_inbox(
    world: World, start_worker: StartWorker
) -> None:
    """A Redis that refuses connections costs latency only."""
    await world.ensure_shards(0, desired=ME)
    world.gateway.pushes = False
    start_worker(ME, USER_WORKER_REDIS_URL="redis://127.0.0.1:1/0")
    user = uuid4()
    for _ in range(5):
        await world.gateway.accept(user, 0)

    await until(lambda: world.gateway.order_of(user) == [1, 2, 3, 4, 5])


async def test_a_language_is_kept_in_the_database_under_the_claim(
    world: World, start_worker: StartWorker
) -> None:
    """Pressed once, spoken from then on."""
    await world.ensure_shards(0, desired=ME)
    start_worker(ME)
    user = uuid4()
    asked = await world.gateway.accept(user, 0, **command("language"))
    await until(lambda: asked.job_id in world.gateway.delivered)
    shown = world.gateway.delivered[asked.job_id].request.replies[0]
    pressed = await world.gateway.accept(
        user,
        0,
        press=job_pb2.PressInput(
            data=shown.send_text.keyboard.rows[0].buttons[1].data,
            message_key=shown.message_key,
            press_id="press-1",
        ),
    )
    after = await world.gateway.accept(user, 0, **command("help"))
    await until(lambda: after.job_id in world.gateway.delivered)

    edit, answer = world.gateway.delivered[pressed.job_id].request.replies
    assert shown.message_key == edit.message_key
    assert "Deutsch" in edit.edit_text.text
    assert "press-1" == answer.answer_press.press_id
    assert "Was du tun kannst" in world.gateway.delivered[after.job_id].text
    row = await world.owner.fetchrow(
        "SELECT user_id, pool, shard, language FROM worker.preferences"
    )
    assert (user, POOL, 0, "de") == (row and tuple(row))


async def test_a_stale_epoch_stops_the_shard_and_its_writes(
    world: World, start_worker: StartWorker
) -> None:
    """Somebody else claims: the old owner's next write is refused, and it stops by itself."""
    await world.ensure_shards(0, desired=ME)
    # It must find out from the store, not from placement.
    worker = start_worker(
        ME, USER_WORKER_PLACEMENT_POLL_SECONDS="60", USER_WORKER_INBOX_POLL_SECONDS="60"
    )

    await until(lambda: world.owns(ME, 0))
    await world.owner.execute(
        "SELECT placement.register_worker($1, $2, $3, 60)", *(POOL, OTHER, UUID(int=1))
    )
    await asyncio.sleep(0.5)  # whatever rang until now has been looked at
    await world.owner.execute(
        "UPDATE placement.shards SET epoch = epoch + 1, owner = $1, owner_incarnation = $2",
        *(OTHER, UUID(int=1)),
    )
    user = uuid4()
    pressed = await world.gateway.accept(
        user, 0, press=job_pb2.PressInput(data="language:de", message_key="language:1")
    )

    async def has_stopped() -> bool:
        return await worker.shards() == []

    await until(has_stopped)
    assert pressed.job_id not in world.gateway.delivered
    assert 0 == world.gateway.delivers
    assert 0 == await world.owner.fetchval("SELECT count(*) FROM worker.preferences")


async def test_a_notification_wakes_a_worker_long_before_its_poll(
    world: World, start_worker: StartWorker
) -> None:
    """LISTEN placement."""
    start_worker(ME, USER_WORKER_PLACEMENT_POLL_SECONDS="60")

    async def is_registered() -> bool:
        return bool(await world.owner.fetchval("SELECT count(*) FROM placement.workers"))

    await until(is_registered)
    await world.ensure_shards(0, desired=ME)

    await until(lambda: world.owns(ME, 0), seconds=5)


async def test_operators_see_what_a_worker_owns(world: World, start_worker: StartWorker) -> None:
    """ListShards and health, as grpcurl would ask."""
    await world.ensure_shards(0, 1, desired=ME)
    worker = start_worker(ME)

    async def owns_both() -> bool:
        return await worker.shards() == [(0, 1), (1, 1)]

    await until(owns_both)
    async with grpc.aio.insecure_channel(worker.address) as channel:
        health = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=2
        )
    assert health_pb2.HealthCheckResponse.SERVING == health.status
