"""One round of the control loop at a time, in a world the test moves by hand."""

import asyncio
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from shard_operator.controller import STATUS_REFRESH_SECONDS, Controller
from shard_operator.errors import TryLater
from shard_operator.planning import ShardPlacement
from shard_operator.pool_memory import CONTEST_HOLD_SECONDS
from shard_operator.reconciling import ReconcileLoop
from shard_operator.scaling import Backlog
from shard_operator.usershard import UserShard, UserShardStatus


def condition(status: UserShardStatus, kind: str) -> tuple[str, str]:
    """A condition's status and reason."""
    return next((c.status, c.reason) for c in status.conditions if c.type == kind)


def busy(jobs: int, shards: int, ended: int = 0) -> Backlog:
    """`jobs` over `shards` shards."""
    depths = dict.fromkeys(range(shards), jobs // shards)
    return Backlog(depths, dict.fromkeys(depths, ended), 0.5)


async def test_a_fresh_pool_places_its_shards_on_the_living_workers(
    world: Any, user_shard: UserShard
) -> None:
    """One round assigns, the next finds nothing to do and says so."""
    world.with_shards(5)
    controller = world.controller()

    await controller.reconcile(user_shard)
    world.converge()
    last = await controller.reconcile(user_shard)

    owners = [shard.owner for shard in world.shards.values()]
    assert {world.name(0): 3, world.name(1): 2} == {o: owners.count(o) for o in owners}
    assert condition(last.status, "Ready") == ("True", "ShardsServed")
    assert condition(last.status, "Progressing") == ("False", "Settled")
    assert last.plan.assignment is not None
    assert last.plan.assignment.changes == ()
    assert (last.status.users, last.status.shards) == (7, 5)


async def test_a_backlog_scales_out_at_once_and_tells_why(
    world: Any, user_shard: UserShard
) -> None:
    """One round from measure to count, with an event that quotes the figures."""
    world.with_shards(10).backlog = busy(700, 10)

    await world.controller().reconcile(user_shard)

    assert world.scaled == [7]
    reason, message = world.events[-1]
    assert reason == "ScaledOut"
    assert "2 to 7 workers: 700 jobs in 10 shards" in message


async def test_scaling_in_empties_the_workers_that_go_before_it_shrinks(
    world: Any, unbraked: UserShard
) -> None:
    """No shard is owned by a worker beyond the count at the moment the count is written."""
    world.alive = 4
    world.settled(12).asked = 4
    controller = world.controller()

    for _ in range(12):
        before = len(world.scaled)
        owned = {shard.owner for shard in world.shards.values()}
        await controller.reconcile(unbraked)
        for count in world.scaled[before:]:
            assert owned <= {world.name(n) for n in range(count)}
        world.converge()

    assert world.scaled[-1] == world.asked == 2
    assert all(shard.owner in (world.name(0), world.name(1)) for shard in world.shards.values())


async def test_a_pool_has_settled_only_when_the_pods_that_go_have_gone(
    world: Any, user_shard: UserShard
) -> None:
    """Whoever waits for Settled after a scale-in does not meet pods that are still ending."""
    world.with_shards(2).asked = 2
    world.alive = 4
    controller = world.controller()
    await controller.reconcile(user_shard)
    ending = await controller.reconcile(user_shard)
    world.converge()
    ended = await controller.reconcile(user_shard)

    assert condition(ending.status, "Progressing") == ("True", "WorkersEnding")
    assert condition(ended.status, "Progressing") == ("False", "Settled")


async def test_a_backlog_that_returns_ends_the_way_in(world: Any, user_shard: UserShard) -> None:
    """Level-triggered: nothing remembers that a worker was to go."""
    world.with_shards(40).asked = world.alive = 4
    controller = world.controller()
    await controller.reconcile(user_shard)
    world.converge()
    world.now += 121
    await controller.reconcile(user_shard)

    world.backlog = busy(400, 40)
    world.now += 3
    for _ in range(12):
        await controller.reconcile(user_shard)
        world.converge()

    owners = [shard.owner for shard in world.shards.values()]
    assert [owners.count(world.name(n)) for n in range(4)] == [10, 10, 10, 10]
    assert world.scaled == []


async def test_unknown_backlog_changes_no_count_and_degrades(
    world: Any, user_shard: UserShard
) -> None:
    """Redis away: placement goes on, scaling rests, a person is told."""
    world.with_shards(3).backlog = None

    last = await world.controller().reconcile(user_shard)

    assert world.scaled == []
    assert condition(last.status, "ScalingActive") == ("False", "BacklogUnknown")
    assert condition(last.status, "Degraded") == ("True", "BacklogUnknown")
    assert last.status.backlog is None
    assert all(shard.desired for shard in world.shards.values())


async def test_placement_away_decides_nothing(world: Any, user_shard: UserShard) -> None:
    """PostgreSQL away: no count, no assignment, conditions Unknown rather than False."""
    world.with_shards(3).placement_away = True
    world.backlog = busy(900, 3)

    last = await world.controller().reconcile(user_shard)

    assert (world.scaled, world.policies) == ([], 0)
    assert condition(last.status, "Ready") == ("Unknown", "NotObserved")
    assert last.status.shards is None
    assert last.status.users is None


async def test_a_missing_target_is_a_condition_and_shards_stay_served(
    world: Any, user_shard: UserShard
) -> None:
    """Workers that live without their StatefulSet still get shards."""
    world.with_shards(3).asked = None

    last = await world.controller().reconcile(user_shard)

    assert condition(last.status, "Degraded") == ("True", "ScaleTargetNotFound")
    assert all(shard.desired for shard in world.shards.values())


async def test_another_writer_of_the_count_is_not_fought(world: Any, unbraked: UserShard) -> None:
    """Somebody scales the StatefulSet: it is left so for five minutes, then decided again."""
    world.with_shards(10).backlog = busy(300, 10)
    controller = world.controller()
    await controller.reconcile(unbraked)
    assert world.scaled == [3]

    world.asked = 9
    world.backlog = busy(300, 10, ended=1)
    contested = await controller.reconcile(unbraked)
    world.now += CONTEST_HOLD_SECONDS + 1
    world.alive = 9
    after = await controller.reconcile(unbraked)

    assert condition(contested.status, "Degraded") == ("True", "ScaleTargetContested")
    assert condition(after.status, "ScalingActive") == ("True", "BacklogMeasured")
    assert world.scaled[:1] == [3]
    assert after.plan.decision.replicas == 3


async def test_a_draining_worker_gets_nothing_new(world: Any, user_shard: UserShard) -> None:
    """It is going; what it has is assigned elsewhere at once."""
    world.shards = {n: ShardPlacement(n, world.name(1), world.name(1)) for n in range(6)}
    world.draining = frozenset({world.name(1)})

    await world.controller().reconcile(user_shard)

    assert {world.name(0)} == {shard.desired for shard in world.shards.values()}


async def test_a_count_written_by_mistake_does_not_move_everything_at_once(
    world: Any, user_shard: UserShard
) -> None:
    """Workers beyond the count live on until they are told to go; until then the pace holds."""
    world.alive = world.asked = 4
    world.with_shards(40)
    controller = world.controller()
    await controller.reconcile(user_shard)
    world.converge()

    world.asked = 1
    made = await controller.reconcile(user_shard)

    assert made.plan.assignment is not None
    assert (4, 26) == (made.plan.assignment.moves, made.plan.assignment.deferred)


async def test_figures_alone_do_not_write_a_status_at_once(
    world: Any, user_shard: UserShard
) -> None:
    """A backlog that flickers costs one write per period; a decision is written at once."""
    world.with_shards(4)
    controller = world.controller()
    await controller.reconcile(user_shard)
    world.converge()
    await controller.reconcile(user_shard)
    settled = len(world.statuses)

    for jobs in (4, 8, 12):
        world.now += 1
        world.backlog = busy(jobs, 4)
        await controller.reconcile(user_shard)
    assert settled == len(world.statuses)

    world.now += STATUS_REFRESH_SECONDS
    await controller.reconcile(user_shard)
    assert settled + 1 == len(world.statuses)
    assert world.statuses[-1].backlog == 12


async def test_a_condition_keeps_its_time_until_its_status_changes(
    world: Any, user_shard: UserShard
) -> None:
    """lastTransitionTime says since when, not when it was last looked at."""
    world.with_shards(2)
    controller = world.controller()
    await controller.reconcile(user_shard)
    world.converge()
    world.now += 10
    ready = await controller.reconcile(user_shard)
    world.now += 50
    later = await controller.reconcile(user_shard)

    def since(status: UserShardStatus) -> str:
        return next(c.last_transition_time for c in status.conditions if c.type == "Ready")

    assert "2026-11-23T00:16:50Z" == since(ready.status) == since(later.status)


async def test_one_pools_defect_does_not_stop_the_others(world: Any) -> None:
    """A pool whose round raises is tried again at its period; its neighbour is reconciled."""
    seen: list[str] = []

    class Defective(Controller):
        async def reconcile(self, user_shard: UserShard, *, taken_by: str = "") -> Any:
            seen.append(user_shard.pool)
            if user_shard.name == "a":
                raise TryLater("away") if len(seen) < 3 else RuntimeError("a defect")
            return await super().reconcile(user_shard)

    pools = [
        msgspec.structs.replace(shard, name=name) for name in ("a", "b") for shard in [_minimal()]
    ]
    wake = asyncio.Event()
    wake.set()
    loop = ReconcileLoop(
        Defective(workloads=world, store=world, backlogs=world, reporter=world),
        lambda: pools,
        wake,
    )

    task = asyncio.create_task(loop.run())
    await asyncio.sleep(0.05)
    wake.set()
    await asyncio.sleep(0.4)
    task.cancel()

    assert seen == ["default.a", "default.b"] * 2


async def test_a_pool_is_looked_at_again_when_a_lease_would_be_over(world: Any) -> None:
    """Nobody tells of a worker that died: its shards do not wait for the period to be over."""
    world.with_shards(2).lease_seconds = 0.3
    for shard in (0, 1):
        world.shards[shard] = ShardPlacement(shard, world.name(shard), world.name(shard))
    loop = ReconcileLoop(world.controller(), lambda: [_minimal()], asyncio.Event())

    task = asyncio.create_task(loop.run())
    await asyncio.sleep(0.1)
    world.shards[0] = ShardPlacement(0, world.name(7), None)
    await asyncio.sleep(0.6)
    task.cancel()

    assert world.shards[0].desired in (world.name(0), world.name(1))


def _minimal() -> UserShard:
    spec = msgspec.convert({"scaleTargetRef": {"name": "w"}}, UserShard.__annotations__["spec"])
    return UserShard(namespace="default", name="main", spec=spec)


@pytest.mark.parametrize("module", ["controller", "reconciling", "planning", "usershard"])
def test_the_control_loop_is_light(module: str) -> None:
    """It runs on a laptop without kopf, the Kubernetes client, a database driver or Redis."""
    heavy = ("kopf", "kubernetes", "asyncpg", "redis", "aiohttp", "yaml")
    program = (
        f"import sys, shard_operator.{module};"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
