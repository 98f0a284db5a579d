"""Workers as local processes: the operator's protocol over ordinals."""

import asyncio

from devbox.control import LocalWorkers, local_user_shard
from devbox.keeper import State
from devbox.settings import load_settings
from shard_operator.usershard import ScaleTarget

TARGET = ScaleTarget(name="purser-user-worker")


class FakeKeeper:
    """A worker that is there at once."""

    def __init__(self, ordinal: int) -> None:
        self.ordinal = ordinal
        self.state = State.READY


class FakeFleet:
    """Notes whom it was told to stop."""

    def __init__(self) -> None:
        self.stopped: list[int] = []

    async def stop(self, keeper: FakeKeeper) -> None:
        """Stop a worker."""
        self.stopped.append(keeper.ordinal)


async def settle(workers: LocalWorkers) -> None:
    """Let the workers converge on the count asked for."""
    task = asyncio.create_task(workers.converge())
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_highest_ordinals_go_first() -> None:
    """As a StatefulSet removes its pods, so that names mean the same in both worlds."""
    fleet = FakeFleet()
    workers = LocalWorkers(fleet, FakeKeeper)  # type: ignore[arg-type]  # fakes
    workers.grow(4)
    await workers.scale("default", TARGET, 2)
    await settle(workers)
    observed = await workers.observe_workers("default", TARGET)
    assert fleet.stopped == [3, 2]
    assert (observed.asked, observed.ready) == (2, 2)
    assert observed.names == ("purser-user-worker-0", "purser-user-worker-1")


async def test_scaling_out_begins_the_missing_ordinals() -> None:
    """The count asked for shows at once, the processes follow."""
    workers = LocalWorkers(FakeFleet(), FakeKeeper)  # type: ignore[arg-type]  # fakes
    workers.grow(2)
    await workers.scale("default", TARGET, 3)
    before = await workers.observe_workers("default", TARGET)
    assert (before.asked, before.ready) == (3, 2)
    await settle(workers)
    assert (await workers.observe_workers("default", TARGET)).ready == 3


def test_the_local_pool_is_made_from_the_settings() -> None:
    """The pool's name is the one every process was told."""
    user_shard = local_user_shard(load_settings({"DEVBOX_WORKERS_MAX": "7"}, workers=3))
    assert user_shard.pool == "default.main"
    assert user_shard.spec.workers.min_replicas == 3
    assert user_shard.spec.workers.max_replicas == 7


def test_a_pinned_count_is_the_pools_replicas_whatever_the_bounds_say() -> None:
    """As `kubectl scale` sets `spec.replicas`; a count outside the run's own bounds is obeyed."""
    settings = load_settings({"DEVBOX_WORKERS_MAX": "4"}, workers=2)
    for pinned in (1, 3, 6):
        assert local_user_shard(settings, pinned).spec.replicas == pinned
    assert local_user_shard(settings).spec.replicas is None


def test_fewer_users_share_a_shard_when_asked() -> None:
    """The pool's policy is the setting's."""
    settings = load_settings({"DEVBOX_USERS_PER_SHARD": "5"})
    assert local_user_shard(settings).spec.users_per_shard == 5
