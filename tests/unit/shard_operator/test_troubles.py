"""What goes wrong around a pool becomes a condition with a reason, an Event once, and no crash."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from shard_operator.conditions import SERVED_WITHIN_SECONDS
from shard_operator.errors import ApiAway, InvalidUserShard
from shard_operator.main import _tell_invalid
from shard_operator.planning import ShardPlacement
from shard_operator.pool_memory import OVERDUE_AFTER_SECONDS
from shard_operator.scaling import Backlog
from shard_operator.usershard import UserShard, UserShardStatus, find_taken
from shard_operator.workloads import OPERATOR_WRITER, PodTrouble


def condition(status: UserShardStatus, kind: str) -> tuple[str, str]:
    """A condition's status and reason."""
    return next((c.status, c.reason) for c in status.conditions if c.type == kind)


def message(status: UserShardStatus, kind: str) -> str:
    """A condition's sentence."""
    return next(c.message for c in status.conditions if c.type == kind)


def reasons(world: Any) -> list[str]:
    """The Events told so far."""
    return [reason for reason, _ in world.events]


@pytest.fixture
def settled(world: Any) -> Any:
    """Two workers that own two shards each."""
    return world.settled(4)


async def test_postgresql_away_is_degraded_and_told_once(
    settled: Any, user_shard: UserShard
) -> None:
    """Every look finds it; one Event begins it and one ends it."""
    controller = settled.controller()
    await controller.reconcile(user_shard)
    settled.placement_away = True
    for _ in range(3):
        away = await controller.reconcile(user_shard)
    settled.placement_away = False
    back = await controller.reconcile(user_shard)

    assert condition(away.status, "Degraded") == ("True", "PlacementAway")
    assert "cannot be reached" in message(away.status, "Degraded")
    assert condition(away.status, "ScalingActive") == ("False", "PlacementAway")
    assert condition(away.status, "Ready") == ("Unknown", "NotObserved")
    assert condition(back.status, "Degraded") == ("False", "AsExpected")
    assert reasons(settled).count("PlacementAway") == 1
    assert reasons(settled).count("Recovered") == 1


async def test_a_placement_that_may_only_be_read_is_degraded(
    settled: Any, user_shard: UserShard
) -> None:
    """After a failover to a replica, or without a right: served users are said to be served, and
    that nothing is decided is said too, for as long as it lasts."""
    controller = settled.controller()
    await controller.reconcile(user_shard)
    settled.placement_readonly = True
    settled.backlog = Backlog(dict.fromkeys(range(4), 300), dict.fromkeys(range(4), 0), 9.0)
    refused = await controller.reconcile(user_shard)
    counted = list(settled.scaled)
    settled.placement_readonly = False
    back = await controller.reconcile(user_shard)

    assert condition(refused.status, "Degraded") == ("True", "PlacementAway")
    assert "SQLSTATE 25006" in message(refused.status, "Degraded")
    assert condition(refused.status, "ScalingActive") == ("False", "PlacementAway")
    assert condition(refused.status, "Ready") == ("True", "ShardsServed")
    assert (counted, refused.status.shards) == ([], 4)
    assert condition(back.status, "Degraded") == ("False", "AsExpected")


async def test_the_log_tells_a_problem_that_stays_once_a_minute(
    settled: Any, user_shard: UserShard
) -> None:
    """Not at each look; another one is told at once."""
    controller = settled.controller()
    with capture_logs() as logs:
        settled.placement_away = True
        for _ in range(40):  # two minutes of looks
            await controller.reconcile(user_shard)
            settled.now += 3
        settled.placement_away, settled.refuses = False, "write"
        settled.backlog = Backlog(dict.fromkeys(range(4), 300), dict.fromkeys(range(4), 0), 9.0)
        for _ in range(20):
            await controller.reconcile(user_shard)
            settled.now += 3

    events = [entry["event"] for entry in logs]
    assert 2 == events.count("placement_away")
    assert 1 == events.count("scaling_refused")


async def test_an_object_that_cannot_be_read_is_told_until_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The API may be away just then, and a status that says all is well must not stay."""
    monkeypatch.setattr("shard_operator.main.TELL_INVALID_AGAIN_SECONDS", 0.0)
    written, is_away = list[str](), True

    async def write_status(_problem: InvalidUserShard, status: UserShardStatus) -> int:
        if is_away:
            raise ApiAway("not now")
        written.append(message(status, "Degraded"))
        return 7

    problem = InvalidUserShard("default", "main", "replicas must lie between 2 and 20")
    operator: Any = SimpleNamespace(
        told_invalid={},
        pools=SimpleNamespace(list_invalid=lambda: [problem]),
        reporter=SimpleNamespace(write_status=write_status),
    )
    await _tell_invalid(operator)
    is_away = False
    for _ in range(3):
        await _tell_invalid(operator)

    assert ["replicas must lie between 2 and 20"] == written
    problem.problem = "scaleTargetRef must name an apps/v1 StatefulSet"
    await _tell_invalid(operator)
    assert problem.problem == written[-1]


async def test_redis_away_is_said_of_a_pinned_pool_too(settled: Any, user_shard: UserShard) -> None:
    """Its count would not change anyway; its users' answers come later."""
    settled.backlog = None
    pinned = msgspec.structs.replace(user_shard.spec, replicas=3)

    last = await settled.controller().reconcile(msgspec.structs.replace(user_shard, spec=pinned))

    assert condition(last.status, "Degraded") == ("True", "BacklogUnknown")
    assert condition(last.status, "ScalingActive") == ("False", "Pinned")


async def test_a_count_that_may_not_be_written_is_said_and_shards_are_still_placed(
    world: Any, user_shard: UserShard
) -> None:
    """A right is missing: HPA's word for it."""
    world.with_shards(4).refuses = "write"
    world.backlog = Backlog(dict.fromkeys(range(4), 100), dict.fromkeys(range(4), 0), 0.5)

    last = await world.controller().reconcile(user_shard)

    assert condition(last.status, "Degraded") == ("True", "FailedUpdateScale")
    assert "403 Forbidden" in message(last.status, "Degraded")
    assert all(shard.desired for shard in world.shards.values())


async def test_a_target_that_may_not_be_read_is_not_called_missing(
    world: Any, user_shard: UserShard
) -> None:
    """Nothing is scaled; who lives is given shards."""
    world.with_shards(4).refuses = "read"

    last = await world.controller().reconcile(user_shard)

    assert condition(last.status, "Degraded") == ("True", "ScaleTargetUnknown")
    assert condition(last.status, "ScalingActive") == ("False", "ScaleTargetUnknown")
    assert all(shard.desired for shard in world.shards.values())


async def test_the_other_writer_of_the_count_is_named(settled: Any, user_shard: UserShard) -> None:
    """Who it was is in managedFields: nobody has to search for him."""
    controller = settled.controller()
    await controller.reconcile(user_shard)
    settled.asked = 7

    last = await controller.reconcile(user_shard)

    assert "kubectl wrote 7 replicas where there were 2" in message(last.status, "Degraded")


async def test_the_last_word_of_another_operator_is_no_contest(
    settled: Any, user_shard: UserShard
) -> None:
    """It lost the Lease in the middle of a round; the count is decided again at once."""
    controller = settled.controller()
    await controller.reconcile(user_shard)
    settled.asked, settled.writer = 7, OPERATOR_WRITER

    last = await controller.reconcile(user_shard)

    assert condition(last.status, "ScalingActive") == ("True", "BacklogMeasured")


async def test_of_two_user_shards_the_older_has_the_target(
    settled: Any, user_shard: UserShard
) -> None:
    """The younger one neither scales nor fights, and says whose the target is."""
    younger = msgspec.structs.replace(user_shard, name="second", created_at="2026-11-26T12:00:01Z")
    older = msgspec.structs.replace(user_shard, created_at="2026-11-26T12:00:00Z")
    elsewhere = msgspec.structs.replace(younger, namespace="other")

    taken = find_taken([younger, elsewhere, older])
    assert {"default.second": "main"} == taken

    settled.backlog = Backlog({0: 900}, {0: 0}, 9.0)
    last = await settled.controller().reconcile(younger, taken_by=taken["default.second"])
    assert settled.scaled == []
    assert condition(last.status, "Degraded") == ("True", "ScaleTargetTaken")
    assert condition(last.status, "ScalingActive") == ("False", "ScaleTargetTaken")
    assert "the UserShard main" in message(last.status, "Degraded")


async def test_pods_in_trouble_are_named_and_counted(settled: Any, user_shard: UserShard) -> None:
    """The first reason is the condition's; the sentence has all, three pods of each."""
    settled.troubles = (
        PodTrouble("PodUnschedulable", "w-3", "0/1 nodes are available"),
        *(PodTrouble("PodCrashLooping", f"w-{n}", "9 restarts") for n in range(4, 9)),
    )

    last = await settled.controller().reconcile(user_shard)

    assert condition(last.status, "Degraded") == ("True", "PodUnschedulable")
    said = message(last.status, "Degraded")
    assert "w-3: 0/1 nodes are available; w-4: 9 restarts" in said
    assert "2 more pods" in said


async def test_a_shard_that_changes_hands_does_not_make_the_pool_unready(
    settled: Any, user_shard: UserShard
) -> None:
    """Alerts hang on Ready: only what takes too long is told."""
    controller = settled.controller()
    await controller.reconcile(user_shard)
    settled.shards[1] = ShardPlacement(1, settled.name(0), None)
    settled.ownerless_seconds = {1: 0.1}
    moving = await controller.reconcile(user_shard)
    settled.ownerless_seconds = {1: SERVED_WITHIN_SECONDS}
    lost = await controller.reconcile(user_shard)

    assert condition(moving.status, "Ready") == ("True", "ShardsServed")
    assert condition(lost.status, "Ready") == ("False", "ShardsWithoutOwner")
    assert reasons(settled)[-1] == "ShardsWithoutOwner"


async def test_a_shard_that_is_not_given_up_is_told(settled: Any, user_shard: UserShard) -> None:
    """Beyond the drain bound somebody must look at that worker."""
    controller = settled.controller()
    settled.shards[0] = ShardPlacement(0, settled.name(1), settled.name(1))
    settled.shards[1] = ShardPlacement(1, settled.name(0), settled.name(1))
    await controller.reconcile(user_shard)
    settled.now += user_shard.spec.rebalance.drain_timeout_seconds + OVERDUE_AFTER_SECONDS
    in_time = await controller.reconcile(user_shard)
    settled.now += 1
    overdue = await controller.reconcile(user_shard)
    settled.shards[1] = ShardPlacement(1, settled.name(0), settled.name(0))
    after = await controller.reconcile(user_shard)

    assert condition(in_time.status, "Degraded") == ("False", "AsExpected")
    assert condition(overdue.status, "Degraded") == ("True", "MovesOverdue")
    assert f"{settled.name(1)} was asked for shard 1 31 s ago" in message(
        overdue.status, "Degraded"
    )
    assert condition(after.status, "Degraded") == ("False", "AsExpected")


async def test_workers_that_will_go_are_told_of_once(world: Any, unbraked: UserShard) -> None:
    """The way in takes several rounds, each of which empties some."""
    world.alive = world.asked = 4
    controller = world.settled(12).controller()
    for _ in range(12):
        await controller.reconcile(unbraked)
        world.converge()

    assert world.asked == 2
    assert reasons(world).count("Draining") == 1
    assert "emptying the workers above 2 of 4" in dict(world.events)["Draining"]


async def test_a_status_that_somebody_overwrote_is_written_again(
    settled: Any, user_shard: UserShard
) -> None:
    """Once the object was read again: before that, its own write must not look like another's."""
    controller = settled.controller()
    first = await controller.reconcile(user_shard)
    seen_again = msgspec.structs.replace(user_shard, version=1, status=first.status)
    await controller.reconcile(seen_again)
    assert len(settled.statuses) == 1

    overwritten = msgspec.structs.replace(seen_again, version=2, status=UserShardStatus())
    await controller.reconcile(overwritten)

    assert len(settled.statuses) == 2
    assert settled.statuses[-1].conditions == first.status.conditions


async def test_pinning_and_resuming_are_told(settled: Any, user_shard: UserShard) -> None:
    """Who reads the Events in the morning sees when the count was held."""
    controller = settled.controller()
    await controller.reconcile(user_shard)
    pinned_spec = msgspec.structs.replace(user_shard.spec, replicas=3)
    await controller.reconcile(msgspec.structs.replace(user_shard, spec=pinned_spec))
    await controller.reconcile(user_shard)

    told = reasons(settled)
    assert told.index("Pinned") < told.index("BacklogMeasured")
