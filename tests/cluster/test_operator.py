"""UserShards on a real API server: scaling, status, leadership.

The operator runs as a process under its own service account with the rights of
k8s/dev/operator-rbac.yaml. No node runs pods here; the test plays the workers in `placement`.
"""

import asyncio
import json
import re
import signal
import time
from pathlib import Path

import aiohttp
import pytest
from tests.awake import awake_clock
from tests.cluster.api import ApiError, KubernetesApi, resource_path
from tests.cluster.backlogs import end_jobs, put_jobs
from tests.cluster.conftest import Kubectl
from tests.cluster.operators import (
    DEFINITION,
    TARGET,
    OperatorFactory,
    PlayedWorkers,
    make_shards,
)
from tests.cluster.subject import Subject
from tests.cluster.waiting import eventually

from devbox.database import Database

HAND_OVER_SECONDS_MAX = 5.0
MEMORY_MEGABYTES_MAX = 130

SHORT_LEASE = {
    "lease_duration_seconds": "4",
    "renew_deadline_seconds": "3",
    "renew_period_seconds": "0.5",
}

pytestmark = pytest.mark.timeout(240)


async def test_a_backlog_scales_the_target_out_and_in_and_shards_follow(
    operators: OperatorFactory,
    workers: PlayedWorkers,
    subject: Subject,
    kubectl: Kubectl,
    database: Database,
    redis_url: str,
) -> None:
    """From a backlog in Redis to the count and back; no worker goes while it owns a shard."""
    pool = workers.pool
    await make_shards(database, pool, 8)
    operator = operators.start()
    await subject.create(
        workers={"minReplicas": 2, "maxReplicas": 5},
        scaling={"pollPeriodSeconds": 1, "scaleDownStabilizationSeconds": 2},
    )
    await subject.until_asked(2)
    await subject.until_condition("Ready", "True", "ShardsServed")

    await put_jobs(redis_url, pool, per_shard=50, shards=8)
    began = time.monotonic()
    await subject.until_asked(4)
    decided = time.monotonic() - began
    await eventually(lambda: is_spread(workers, {2}, over=4))

    await end_jobs(redis_url, pool, shards=8)
    await subject.until_asked(2)
    await eventually(lambda: is_spread(workers, {4}, over=2))
    ready = await subject.until_condition("Ready", "True", "ShardsServed")

    assert workers.removed_with_shards == []
    assert decided < 10
    body = await subject.read()
    assert "finalizers" not in body["metadata"]
    assert "kopf" not in json.dumps(body["metadata"])
    assert ready["observedGeneration"] == body["metadata"]["generation"]
    assert body["status"]["shards"] == 8
    assert body["status"]["selector"] == f"app={TARGET}"
    events = kubectl("describe", "ush", "main")
    assert "ScaledOut" in events
    assert "ScaledIn" in events
    # The count may rise in two steps: the backlog is measured while it is being made.
    assert re.search(r"\d to 4 workers: [34]\d\d jobs in 8 shards, the oldest", events)
    assert "refused" not in operator.log.read_text()


async def is_spread(workers: PlayedWorkers, sizes: set[int], over: int) -> bool:
    """Whether so many workers own so many shards each."""
    owned = await workers.shards_of()
    return len(owned) == over and set(owned.values()) == sizes


async def test_kubectl_scale_pins_and_removing_the_pin_resumes(
    operators: OperatorFactory,
    workers: PlayedWorkers,
    subject: Subject,
    kubectl: Kubectl,
    database: Database,
) -> None:
    """The scale subresource, its bounds, and the condition that says which."""
    await make_shards(database, workers.pool, 2)
    operators.start()
    await subject.create(
        scaling={"pollPeriodSeconds": 1, "scaleDownStabilizationSeconds": 0},
        workers={"minReplicas": 1, "maxReplicas": 4},
    )
    await subject.until_condition("ScalingActive", "True", "BacklogMeasured")

    kubectl("scale", "ush", "main", "--replicas=3")
    await subject.until_asked(3)
    await subject.until_condition("ScalingActive", "False", "Pinned")
    with pytest.raises(pytest.fail.Exception, match="replicas must lie between"):
        kubectl("scale", "ush", "main", "--replicas=5")

    kubectl("patch", "ush", "main", "--type=merge", "-p", '{"spec": {"replicas": null}}')
    await subject.until_asked(1)
    await subject.until_condition("ScalingActive", "True", "BacklogMeasured")


async def test_without_its_target_a_pool_says_so_and_recovers(
    operators: OperatorFactory, subject: Subject, kubectl: Kubectl, tmp_path: Path
) -> None:
    """A condition, not a crash."""
    operator = operators.start()
    await subject.create(scaling={"pollPeriodSeconds": 1})

    degraded = await subject.until_condition("Degraded", "True", "ScaleTargetNotFound")

    assert f"StatefulSet {TARGET}" in degraded["message"]
    assert operator.process.poll() is None


async def test_a_deleted_user_shard_goes_at_once_and_its_pool_stays(
    operators: OperatorFactory,
    workers: PlayedWorkers,
    subject: Subject,
    database: Database,
) -> None:
    """No finalizer; the last placement goes on; applied again it takes up where it was."""
    await make_shards(database, workers.pool, 4)
    operator = operators.start()
    await subject.create(scaling={"pollPeriodSeconds": 1})
    await eventually(lambda: is_spread(workers, {2}, over=2))

    await subject.delete()
    with pytest.raises(ApiError, match="not found"):
        await subject.read()
    await operator.until("pool_left_alone")
    assert await is_spread(workers, {2}, over=2)
    kept = await workers.database.fetchval("SELECT count(*) FROM placement.pools")
    assert kept == 1

    await subject.create(scaling={"pollPeriodSeconds": 1})
    await subject.until_condition("Ready", "True", "ShardsServed")


async def test_a_user_shard_goes_without_an_operator_and_is_taken_up_again_by_the_next(
    operators: OperatorFactory,
    workers: PlayedWorkers,
    subject: Subject,
    database: Database,
) -> None:
    """Who uninstalled the operator first is not left with an object that will not go."""
    await make_shards(database, workers.pool, 4)
    first = operators.start(**SHORT_LEASE)
    await subject.create(scaling={"pollPeriodSeconds": 1}, usersPerShard=33)
    await eventually(lambda: is_spread(workers, {2}, over=2))
    first.kill()

    await subject.delete()
    with pytest.raises(ApiError, match="not found"):
        await subject.read()
    assert await is_spread(workers, {2}, over=2)

    await subject.create(scaling={"pollPeriodSeconds": 1}, usersPerShard=44)
    operators.start(**SHORT_LEASE)
    await subject.until_condition("Ready", "True", "ShardsServed")
    policy = "SELECT users_per_shard FROM placement.pools WHERE pool = $1"
    assert await workers.database.fetchval(policy, workers.pool) == 44


async def test_a_killed_operator_is_replaced_within_its_lease(
    operators: OperatorFactory, workers: PlayedWorkers, subject: Subject, database: Database
) -> None:
    """kill -9; the second one stands by, takes the Lease over, and decides."""
    await make_shards(database, workers.pool, 2)
    await subject.create(workers={"minReplicas": 1}, scaling={"pollPeriodSeconds": 1})
    first = operators.start(**SHORT_LEASE)
    await first.until("leading")
    second = operators.start(**SHORT_LEASE)
    await second.until("standing_by")
    await subject.until_condition("Ready", "True", "ShardsServed")
    assert not second.says("leading")

    first.kill()
    killed = time.monotonic()
    with awake_clock() as clock:
        await second.until("leading")
        assert clock() < 4 + 4
    taken = time.monotonic() - killed
    await subject.patch(replicas=3)
    await subject.until_asked(3)

    assert taken > 2.0


async def test_a_stopped_operator_hands_over_within_five_seconds(
    operators: OperatorFactory, workers: PlayedWorkers, subject: Subject, database: Database
) -> None:
    """SIGTERM empties the Lease; with the default times the second leads at its next look."""
    await make_shards(database, workers.pool, 2)
    await subject.create(scaling={"pollPeriodSeconds": 1})
    first = operators.start()
    await first.until("leading")
    second = operators.start()
    await second.until("standing_by")

    with awake_clock() as clock:
        status = first.stop()
        await second.until("leading")
        taken = clock()

    assert status == 0
    assert taken < HAND_OVER_SECONDS_MAX
    assert first.says("lease_released")


async def test_a_leader_that_was_stopped_and_wakes_up_ends_without_a_decision(
    operators: OperatorFactory, workers: PlayedWorkers, subject: Subject, database: Database
) -> None:
    """SIGSTOP past its lease: the next one leads, and the old one learns it before it acts."""
    await make_shards(database, workers.pool, 2)
    await subject.create(scaling={"pollPeriodSeconds": 1})
    first = operators.start(**SHORT_LEASE)
    await subject.until_condition("Ready", "True", "ShardsServed")
    second = operators.start(**SHORT_LEASE)
    await second.until("standing_by")

    first.process.send_signal(signal.SIGSTOP)
    await second.until("leading")
    await subject.patch(replicas=4)
    await subject.until_asked(4)
    decided = first.log.read_text().count('"event":"scaled"')
    first.process.send_signal(signal.SIGCONT)
    status = await asyncio.to_thread(first.process.wait, 20)

    assert status == 3
    assert first.says("leadership_lost")
    assert first.log.read_text().count('"event":"scaled"') == decided


async def test_a_leader_and_a_stand_by_are_live_ready_and_small(
    operators: OperatorFactory, workers: PlayedWorkers, subject: Subject
) -> None:
    """Kubelet keeps both; the memory is the figure of the design's goal."""
    await subject.create(scaling={"pollPeriodSeconds": 1})
    leader = operators.start()
    await leader.until("leading")
    stand_by = operators.start()
    await stand_by.until("standing_by")
    await subject.until_condition("ScalingActive", "True", "BacklogMeasured")

    async with aiohttp.ClientSession() as session:
        for operator in (leader, stand_by):
            port = operator.field_of("ready", "health_port")
            for probe in ("livez", "readyz"):
                async with session.get(f"http://127.0.0.1:{port}/{probe}") as response:
                    assert response.status == 200
            assert operator.pss_megabytes() < MEMORY_MEGABYTES_MAX


async def test_an_operator_that_lost_its_lease_ends(
    operators: OperatorFactory, subject: Subject, api: KubernetesApi, namespace: str
) -> None:
    """Somebody else holds it: no further decision, exit status 3, no stack trace."""
    operator = operators.start(renew_period_seconds="0.3")
    await operator.until("leading")

    path = resource_path("coordination.k8s.io/v1", "leases", namespace, "purser-operator")
    await api.merge(path, {"spec": {"holderIdentity": "another"}})
    status = await asyncio.to_thread(operator.process.wait, 20)

    assert status == 3
    assert operator.says("leadership_lost")
    assert "Traceback" not in operator.log.read_text()


async def test_an_operator_before_its_definition_waits_and_says_what_to_apply(
    kubectl: Kubectl, operators: OperatorFactory, subject: Subject
) -> None:
    """Order of installation does not matter."""
    kubectl("delete", "-f", str(DEFINITION), "--wait=true")
    operator = operators.start()
    await operator.until("not_listed")
    assert "apply charts/purser-crds" in operator.log.read_text()

    kubectl("apply", "-f", str(DEFINITION))
    kubectl("wait", "--for=condition=Established", "crd/usershards.purser.dev", "--timeout=30s")
    await subject.create(scaling={"pollPeriodSeconds": 1})

    await subject.until_condition("Degraded", "True", "ScaleTargetNotFound")
