"""What goes wrong around a UserShard, on a real API server: a condition with its reason, an Event,
no crash, and back to normal when it is over.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from tests.cluster.api import KubernetesApi, resource_path
from tests.cluster.conftest import Kubectl
from tests.cluster.operators import (
    TARGET,
    OperatorFactory,
    OperatorProcess,
    PlayedWorkers,
)
from tests.cluster.stalling import stalling_way
from tests.cluster.subject import Subject
from tests.cluster.waiting import until

pytestmark = pytest.mark.timeout(240)

PODS_SEEN = "PodUnschedulable"
"""Nobody runs the target's pods: with no other trouble, and when pods are seen, this is said."""

QUICK = {"scaling": {"pollPeriodSeconds": 1, "scaleDownStabilizationSeconds": 0}}


@pytest_asyncio.fixture
async def operator(operators: OperatorFactory) -> AsyncIterator[OperatorProcess]:
    """One that leads; it must live, and show nobody a stack trace."""
    running = operators.start()
    await running.until("leading")
    yield running
    assert running.process.poll() is None
    assert "Traceback" not in running.log.read_text()


async def test_of_two_user_shards_on_one_target_the_older_has_it_until_it_goes(
    operator: OperatorProcess, workers: PlayedWorkers, subject: Subject, namespace: str
) -> None:
    """No fight over the count; the younger one says whose it is, and takes over."""
    await subject.create(**QUICK)
    await subject.until_condition("ScalingActive", "True", "BacklogMeasured")
    second = subject.named("second")
    await asyncio.sleep(1.1)  # creation times are whole seconds
    await second.create(workers={"minReplicas": 5}, **QUICK)

    taken = await second.until_condition("Degraded", "True", "ScaleTargetTaken")
    assert "the UserShard main" in taken["message"]
    assert await subject.asked() == 2

    await subject.delete()
    await second.until_condition("ScalingActive", "True", "BacklogMeasured")
    await second.until_asked(5)


async def test_another_writer_of_the_count_is_named_and_not_fought(
    operator: OperatorProcess,
    workers: PlayedWorkers,
    subject: Subject,
    kubectl: Kubectl,
) -> None:
    """`kubectl scale statefulset` instead of `kubectl scale ush`."""
    await subject.create(**QUICK)
    await subject.until_condition("ScalingActive", "True", "BacklogMeasured")

    kubectl("scale", "statefulset", TARGET, "--replicas=4")
    contested = await subject.until_condition("Degraded", "True", "ScaleTargetContested")

    assert "kubectl wrote 4 replicas where there were 2" in contested["message"]
    await asyncio.sleep(2.5)
    assert await subject.asked() == 4
    told = kubectl("describe", "ush", "main")
    assert "Warning  ScaleTargetContested" in told


async def test_a_pod_that_cannot_be_scheduled_is_named_in_the_scheduler_s_words(
    operator: OperatorProcess, workers: PlayedWorkers, subject: Subject
) -> None:
    """The real scheduler; no node fits the target's selector."""
    await subject.create(**QUICK)

    stuck = await subject.until_condition("Degraded", "True", "PodUnschedulable")

    assert f"{TARGET}-0: " in stuck["message"]
    assert "nodes" in stuck["message"]
    assert "available" in stuck["message"]


async def test_a_right_that_is_missing_is_a_condition_and_given_it_works(
    operator: OperatorProcess,
    workers: PlayedWorkers,
    subject: Subject,
    api: KubernetesApi,
    namespace: str,
) -> None:
    """An SRE has trimmed the role too far."""
    path = resource_path("rbac.authorization.k8s.io/v1", "roles", namespace, "purser-operator")
    rules = (await api.get(path))["rules"]
    without = [rule for rule in rules if rule["resources"] != ["statefulsets/scale"]]
    await api.merge(path, {"rules": without})

    await subject.create(**QUICK)
    refused = await subject.until_condition("Degraded", "True", "FailedUpdateScale")
    assert 'cannot patch resource "statefulsets/scale"' in refused["message"]

    await api.merge(path, {"rules": rules})
    await subject.until_asked(2)
    await subject.until_condition("Degraded", "True", PODS_SEEN)


async def test_without_the_right_to_see_pods_it_goes_on_and_says_so(
    operators: OperatorFactory,
    workers: PlayedWorkers,
    subject: Subject,
    api: KubernetesApi,
    namespace: str,
) -> None:
    """The role of an older version."""
    path = resource_path("rbac.authorization.k8s.io/v1", "roles", namespace, "purser-operator")
    rules = (await api.get(path))["rules"]
    await api.merge(path, {"rules": [rule for rule in rules if rule["resources"] != ["pods"]]})
    operator = operators.start(relist_period_seconds="2")

    await subject.create(**QUICK)
    await subject.until_condition("Degraded", "True", "PodsUnknown")
    await subject.until_asked(2)

    await api.merge(path, {"rules": rules})
    await subject.until_condition("Degraded", "True", PODS_SEEN)
    assert "Traceback" not in operator.log.read_text()


async def test_started_while_postgresql_is_away_it_leads_and_says_so(
    operators: OperatorFactory,
    workers: PlayedWorkers,
    subject: Subject,
    kubectl: Kubectl,
) -> None:
    """No crash loop, and no new start is needed when it comes back."""
    await subject.create(**QUICK)
    operator = operators.start(database_url="postgresql://purser_operator:x@127.0.0.1:9/none")

    away = await subject.until_condition("Degraded", "True", "PlacementAway")

    assert "the workers go on" in away["message"]
    assert json.loads(kubectl("get", "ush", "main", "-o", "json"))["status"].get("shards") is None
    assert operator.process.poll() is None
    assert operator.stop() == 0
    assert "Traceback" not in operator.log.read_text()


async def test_watches_that_died_in_silence_are_noticed_and_begun_anew(
    operators: OperatorFactory, workers: PlayedWorkers, subject: Subject, tmp_path: Path
) -> None:
    """A listing finds what they miss at once, and that they miss it."""
    async with stalling_way(operators.kubeconfig, tmp_path) as (way, kubeconfig):
        operators.kubeconfig = kubeconfig
        operator = operators.start(relist_period_seconds="2")
        await subject.create(**QUICK)
        await subject.until_condition("ScalingActive", "True", "BacklogMeasured")

        # Three watches, and what asks and writes; nothing waits for the watches to begin.
        await until(partial(asyncio.to_thread, way.open), lambda count: count >= 4, "watches")
        way.stall()
        await subject.patch(replicas=5)
        await subject.until_asked(5)
        await operator.until("watch_begun_anew")
        assert "has been behind for" in operator.field_of("watch_begun_anew", "problem")
        await asyncio.sleep(10)
        assert operator.log.read_text().count("watch_begun_anew") == 1

    assert "Traceback" not in operator.log.read_text()
