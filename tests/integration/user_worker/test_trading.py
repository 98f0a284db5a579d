"""A worker trades among real PostgreSQL, Valkey and gRPC: once, whoever dies and whoever lies."""

import asyncio
from decimal import Decimal
from uuid import UUID, uuid4

from tests.integration.user_worker.conftest import SHORT_LEASE, StartWorker
from tests.integration.user_worker.world import POOL, World, sealed, until

from chassis import streams
from kernel.identifiers import new_uuid7
from kernel.names import jobs_stream
from kernel.sharding import ShardKey
from purser.gateway.v1 import job_pb2

ME, OTHER = "purser-user-worker-0", "purser-user-worker-1"
SLOW_VENUE = {"USER_WORKER_CONFIRM_WAIT_SECONDS": "0.2"}


async def offered(world: World, user: UUID) -> job_pb2.PressInput:
    """Ask to buy for 100 USDT; gives the press of the confirm button."""
    job = await world.gateway.accept(
        user, 0, command=job_pb2.CommandInput(name="buy", arguments="BTC $100")
    )
    await until(lambda: job.job_id in world.gateway.delivered)
    (reply,) = world.gateway.delivered[job.job_id].request.replies
    button = reply.send_text.keyboard.rows[0].buttons[0]
    assert button.data.startswith("confirm:")
    return job_pb2.PressInput(data=button.data, message_key=reply.message_key, press_id="p")


async def state(world: World) -> str | None:
    """Where the only order stands."""
    found: str | None = await world.owner.fetchval("SELECT state FROM worker.orders")
    return found


async def until_filled(world: World) -> None:
    """Until the only order is."""

    async def is_filled() -> bool:
        return await state(world) == "filled"

    await until(is_filled)


def assert_bought_once(world: World, user: UUID) -> None:
    """In the books and at the venue."""
    assert {str(user): Decimal(100)} == dict(world.ledger.spent)
    assert {str(user): Decimal("0.001")} == dict(world.ledger.received)
    assert {} == world.ledger.holds
    assert 1 == len(world.venue.fills)


async def test_a_confirmed_draft_is_bought_and_the_receipt_stands_in_its_place(
    world: World, start_worker: StartWorker
) -> None:
    """Pressed twice: the second press finds it done."""
    await world.ensure_shards(0, desired=ME)
    start_worker(ME)
    user = uuid4()
    press = await offered(world, user)
    jobs = [await world.gateway.accept(user, 0, press=press) for _ in range(2)]
    await until(lambda: all(job.job_id in world.gateway.delivered for job in jobs))

    assert_bought_once(world, user)
    receipt = await world.owner.fetchval("SELECT receipt FROM worker.drafts")
    for job in jobs:
        edit = world.gateway.delivered[job.job_id].request.replies[0]
        assert press.message_key == edit.message_key
        assert receipt in edit.edit_text.text
    assert {} == world.gateway.notices


async def test_nobody_confirms_for_another(world: World, start_worker: StartWorker) -> None:
    """Neither another user of the shard, nor whoever can write to Redis."""
    await world.ensure_shards(0, desired=ME)
    start_worker(ME)
    user, other = uuid4(), uuid4()
    press = await offered(world, user)
    strangers = await world.gateway.accept(other, 0, press=press)
    await until(lambda: strangers.job_id in world.gateway.delivered)
    forged = job_pb2.Job(
        job_id=str(new_uuid7()), pool=POOL, shard=0, user_id=str(user), user_seq=2, press=press
    )
    # Sealed as well: the last line of defence is the inbox.
    await streams.append(world.redis, jobs_stream(ShardKey(POOL, 0)), sealed(forged))
    await until(lambda: world.is_clear(0))
    after = await world.gateway.accept(user, 0)
    await until(lambda: after.job_id in world.gateway.delivered)

    assert None is await state(world)
    assert "open" == await world.owner.fetchval("SELECT state FROM worker.drafts")
    assert {} == world.venue.fills
    assert set() == world.ledger.keys


async def test_an_order_that_takes_long_is_told_by_a_notice(
    world: World, start_worker: StartWorker
) -> None:
    """In the language the user was spoken to in."""
    await world.ensure_shards(0, desired=ME)
    start_worker(ME, **SLOW_VENUE)
    user = uuid4()
    press = await offered(world, user)
    world.venue.gate.clear()
    job = await world.gateway.accept(user, 0, press=press)
    await until(lambda: job.job_id in world.gateway.delivered)
    assert "submitted" == await state(world)
    world.venue.gate.set()
    await until_filled(world)

    await until(lambda: world.gateway.notices)
    (notice,) = world.gateway.notices.values()
    receipt = await world.owner.fetchval("SELECT receipt FROM worker.drafts")
    assert str(user) == notice.user_id
    assert receipt in notice.replies[0].send_text.text
    assert_bought_once(world, user)


async def test_an_order_whose_worker_vanishes_is_ended_by_the_next(
    world: World, start_worker: StartWorker
) -> None:
    """Though its job had been answered and nobody will ask again."""
    await world.ensure_shards(0, desired=ME)
    first = start_worker(ME, **SLOW_VENUE, **SHORT_LEASE)
    user = uuid4()
    press = await offered(world, user)
    world.venue.gate.clear()
    job = await world.gateway.accept(user, 0, press=press)
    await until(lambda: job.job_id in world.gateway.delivered)
    await first.vanish()
    world.venue.gate.set()
    start_worker(OTHER)
    await until_filled(world)

    assert_bought_once(world, user)
    epochs = await world.owner.fetch("SELECT epoch FROM worker.order_steps ORDER BY step_id")
    assert [1, 1, 1, 2, 2] == [row["epoch"] for row in epochs]
    await until(lambda: world.gateway.notices)


async def test_a_shard_that_moves_leaves_no_order_behind(
    world: World, start_worker: StartWorker
) -> None:
    """An orderly move waits for what is under way within its bound, or the next owner goes on."""
    await world.ensure_shards(0, desired=ME)
    start_worker(ME, USER_WORKER_SHARD_DRAIN_TIMEOUT_SECONDS="0.5")
    start_worker(OTHER)
    user = uuid4()
    press = await offered(world, user)
    world.venue.gate.clear()
    job = await world.gateway.accept(user, 0, press=press)

    async def is_submitted() -> bool:
        return await state(world) == "submitted"

    await until(is_submitted)
    await world.ensure_shards(0, desired=OTHER)
    await until(lambda: world.owns(OTHER, 0))
    world.venue.gate.set()
    await until_filled(world)
    await until(lambda: job.job_id in world.gateway.delivered)

    await asyncio.sleep(0.1)
    assert_bought_once(world, user)


async def test_books_that_are_away_cost_time_never_an_order(
    world: World, start_worker: StartWorker
) -> None:
    """Unanswered before and after the effect, at each of the books' two steps."""
    await world.ensure_shards(0, desired=ME)
    start_worker(ME)
    user = uuid4()
    press = await offered(world, user)
    world.ledger.failures = [True, False, True, False]
    job = await world.gateway.accept(user, 0, press=press)
    await until(lambda: job.job_id in world.gateway.delivered)

    await until_filled(world)
    assert [] == world.ledger.failures
    assert_bought_once(world, user)
