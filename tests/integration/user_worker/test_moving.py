"""Shards that move between workers, and workers that die: nothing is lost, nothing runs twice at
once."""

import asyncio
import signal
from collections import Counter
from uuid import UUID, uuid4

from tests.integration.user_worker.conftest import SHORT_LEASE, StartProcess, StartWorker
from tests.integration.user_worker.world import World, until

from purser.gateway.v1 import gateway_pb2

ME, OTHER = "purser-user-worker-0", "purser-user-worker-1"
JOBS = 15


async def write(world: World, users: dict[UUID, int], rounds: int = JOBS) -> None:
    """Let every user write again and again."""
    for _ in range(rounds):
        for user, shard in users.items():
            await world.gateway.accept(user, shard)
        await asyncio.sleep(0.02)


def assert_all_answered_in_order(world: World, users: dict[UUID, int], rounds: int = JOBS) -> None:
    """Every user's every job ended, in the order it was accepted."""
    for user in users:
        assert list(range(1, rounds + 1)) == world.gateway.order_of(user)
    for shard in set(users.values()):
        ended = [d for d in world.gateway.delivered.values() if d.job.shard == shard]
        epochs = [d.request.claim.epoch for d in ended]
        assert sorted(epochs) == epochs, "an older owner's write was accepted"


def all_answered(world: World) -> bool:
    """Whether every accepted job has ended."""
    return len(world.gateway.delivered) == len(world.gateway.jobs)


async def test_shards_move_to_another_worker_while_users_write(
    world: World, start_worker: StartWorker
) -> None:
    """Back and forth, under load: each hand-over raises the epoch, nobody's order breaks."""
    await world.ensure_shards(0, 1, 2, desired=ME)
    # On a busy machine a claim may take a second: no orphan rule may add an epoch to those counted.
    start_worker(ME, USER_WORKER_ORPHAN_SECONDS="30")
    start_worker(OTHER, USER_WORKER_ORPHAN_SECONDS="30")
    await until(lambda: world.owns(ME, 0, 1, 2))
    users = {uuid4(): shard for shard in (0, 1, 2) for _ in range(3)}
    writing = asyncio.create_task(write(world, users, rounds=40))
    await world.ensure_shards(0, 1, desired=OTHER)
    await until(lambda: world.owns(OTHER, 0, 1))
    await world.ensure_shards(0, 1, desired=ME)
    await until(lambda: world.owns(ME, 0, 1, 2))
    await world.ensure_shards(1, 2, desired=OTHER)
    await until(lambda: world.owns(OTHER, 1, 2))
    await writing

    await until(lambda: all_answered(world))
    assert_all_answered_in_order(world, users, rounds=40)
    epochs = {d.request.claim.epoch for d in world.gateway.delivered.values()}
    assert {1, 2, 3, 4} >= epochs
    assert len(epochs) >= 2
    # A hand-over drains: nothing was worked twice.
    assert len(world.gateway.jobs) == world.gateway.delivers


async def test_a_killed_process_is_replaced_and_nothing_is_lost(
    world: World, start_worker: StartWorker, start_process: StartProcess
) -> None:
    """kill -9 in the middle of Delivers: after its lease another worker goes on, in order."""
    await world.ensure_shards(0, 1, desired=ME)
    doomed = start_process(ME, **SHORT_LEASE)
    await until(lambda: world.owns(ME, 0, 1))
    start_worker(OTHER)
    world.gateway.deliver_pause_seconds = 0.03
    users = {uuid4(): shard for shard in (0, 1) for _ in range(3)}
    writing = asyncio.create_task(write(world, users))
    await until(lambda: len(world.gateway.delivered) > 10)
    doomed.send_signal(signal.SIGKILL)
    await writing

    await until(lambda: all_answered(world))
    assert_all_answered_in_order(world, users)
    by_epoch = Counter(d.request.claim.epoch for d in world.gateway.delivered.values())
    assert by_epoch[1] > 0
    assert by_epoch[2] > 0


async def test_a_worker_that_vanishes_comes_back_under_its_name(
    world: World, start_worker: StartWorker
) -> None:
    """A new incarnation need not wait for the old one's lease."""
    await world.ensure_shards(0, desired=ME)
    first = start_worker(ME, USER_WORKER_LEASE_SECONDS="30")
    await until(lambda: world.owns(ME, 0))
    await first.vanish()
    user = uuid4()
    await write(world, {user: 0}, rounds=3)
    again = start_worker(ME, USER_WORKER_LEASE_SECONDS="30")

    await until(lambda: all_answered(world), seconds=5)
    assert_all_answered_in_order(world, {user: 0}, rounds=3)
    assert [(0, 2)] == await again.shards()


async def test_an_orphan_is_taken_without_any_operator(
    world: World, start_worker: StartWorker
) -> None:
    """A shard nobody is wished for at is served after its time."""
    await world.ensure_shards(0, desired=None)
    user = uuid4()
    await world.gateway.accept(user, 0)
    start_worker(ME)

    await until(lambda: all_answered(world), seconds=5)


async def test_sigterm_hands_everything_over_and_ends_cleanly(
    world: World, start_process: StartProcess
) -> None:
    """Drained, released, deregistered, exit status 0; what waits is worked by the next."""
    await world.ensure_shards(0, desired=ME)
    leaving = start_process(ME)
    await until(lambda: world.owns(ME, 0))
    world.gateway.deliver_pause_seconds = 0.2
    users = {uuid4(): 0 for _ in range(3)}
    await write(world, users, rounds=15)
    await until(lambda: world.gateway.delivers > 0)
    leaving.send_signal(signal.SIGTERM)

    assert 0 == await asyncio.to_thread(leaving.wait, 10)
    assert {0: None} == await world.owners()
    assert 0 == await world.owner.fetchval("SELECT count(*) FROM placement.workers")
    assert not all_answered(world)
    assert len(world.gateway.delivered) == world.gateway.delivers
    start_process(ME)
    await until(lambda: all_answered(world))
    assert_all_answered_in_order(world, users, rounds=15)


async def test_a_frozen_worker_cannot_write_after_it_thaws(
    world: World, start_worker: StartWorker, start_process: StartProcess
) -> None:
    """SIGSTOP for longer than its lease: the shard is served elsewhere, its late Delivers are
    refused."""
    await world.ensure_shards(0, desired=ME)
    frozen = start_process(ME, **SHORT_LEASE)
    await until(lambda: world.owns(ME, 0))
    user = uuid4()
    world.gateway.deliver_pause_seconds = 0.05
    await write(world, {user: 0}, rounds=5)
    frozen.send_signal(signal.SIGSTOP)
    start_worker(OTHER)
    await until(lambda: world.owns(OTHER, 0))
    frozen.send_signal(signal.SIGCONT)

    await until(lambda: all_answered(world))
    assert_all_answered_in_order(world, {user: 0}, rounds=5)


async def test_a_job_that_owners_died_of_is_set_aside(
    world: World, start_worker: StartWorker
) -> None:
    """The count is in the database, so the next owner knows."""
    await world.ensure_shards(0, desired=ME)
    user = uuid4()
    deadly = await world.gateway.accept(user, 0)
    await world.gateway.accept(user, 0)
    await world.owner.execute(
        "INSERT INTO worker.attempts (job_id, pool, shard, begun)"
        " VALUES ($1, 'default.main', 0, 3)",
        UUID(deadly.job_id),
    )
    start_worker(ME)

    await until(lambda: all_answered(world))
    assert_all_answered_in_order(world, {user: 0}, rounds=2)
    request = world.gateway.delivered[deadly.job_id].request
    assert gateway_pb2.JOB_OUTCOME_SET_ASIDE == request.outcome
    assert "begun 3 times" in request.error
    assert "sorry" in request.replies[0].send_text.text

    async def is_forgiven() -> bool:
        return not await world.owner.fetchval("SELECT count(*) FROM worker.attempts")

    await until(is_forgiven)


async def test_what_a_user_left_behind_in_a_stream_is_removed(
    world: World, start_worker: StartWorker
) -> None:
    """Entries of a shard that the user was moved out of, and one that arrives late: they are jobs
    of another shard by now, where each runs once.
    """
    await world.ensure_shards(0, 1, desired=ME)
    user, neighbour = uuid4(), uuid4()
    left = [await world.gateway.accept(user, 0) for _ in range(3)]
    await world.gateway.accept(neighbour, 0)
    for job in left:
        job.shard = 1
    start_worker(ME)
    await until(lambda: all_answered(world))
    late = await world.gateway.accept(user, 0)
    late.shard = 1

    await until(lambda: all_answered(world))
    await until(lambda: world.is_clear(0))
    assert [1, 2, 3, 4] == world.gateway.order_of(user)
    assert {1} == {
        d.request.claim.shard
        for d in world.gateway.delivered.values()
        if d.job.user_id == str(user)
    }
