"""The present definition applied over an older one, with objects there and the operator running."""

import json
from collections.abc import Iterator

import pytest
from tests.cluster.conftest import Kubectl
from tests.cluster.operators import (
    DEFINITION,
    OLDER_DEFINITION,
    OperatorFactory,
    OperatorProcess,
    PlayedWorkers,
    make_shards,
)
from tests.cluster.subject import Subject
from tests.cluster.waiting import until

from devbox.database import Database

pytestmark = pytest.mark.timeout(240)

OLD_SPEC = {"workers": {"minReplicas": 3, "maxReplicas": 4}, "scaling": {"pollPeriodSeconds": 1}}


@pytest.fixture
def older(kubectl: Kubectl, operators: OperatorFactory) -> Iterator[None]:
    """The older definition, in force; afterwards the present one is again."""
    kubectl("apply", "-f", str(OLDER_DEFINITION))
    yield
    kubectl("apply", "-f", str(DEFINITION))


async def until_older_is_in_force(kubectl: Kubectl, subject: Subject) -> None:
    """The server fills nothing in any more."""

    async def spec() -> dict[str, object]:
        read: dict[str, object] = (await subject.read())["spec"]
        return read

    await until(spec, lambda seen: "usersPerShard" not in seen, "the older definition in force")


async def upgrade(kubectl: Kubectl, subject: Subject) -> None:
    """As an SRE does it; returns when the server fills in what the present one has more."""
    kubectl("apply", "-f", str(DEFINITION))

    async def has_defaults() -> bool:
        spec: dict[str, object] = (await subject.read())["spec"]
        return spec.get("usersPerShard") == 50

    await until(has_defaults, bool, "the defaults of the present definition")


async def test_objects_and_operator_go_on_over_an_upgrade(
    older: None,
    operators: OperatorFactory,
    workers: PlayedWorkers,
    subject: Subject,
    kubectl: Kubectl,
    database: Database,
) -> None:
    """The same object, now with defaults, columns and a scale subresource; the operator follows
    without a restart.
    """
    await make_shards(database, workers.pool, 4)
    made = await subject.create(**OLD_SPEC)
    await until_older_is_in_force(kubectl, subject)
    operator = operators.start()
    await subject.until_condition("Ready", "True", "ShardsServed")
    await subject.until_asked(3)

    await upgrade(kubectl, subject)
    kubectl("scale", "ush", "main", "--replicas=4")
    await subject.until_asked(4)
    await subject.until_condition("ScalingActive", "False", "Pinned")
    after = await subject.read()
    row = kubectl("get", "ush").splitlines()[1].split()

    assert after["metadata"]["uid"] == made["metadata"]["uid"]
    assert after["spec"]["workers"] == {
        "minReplicas": 3,
        "maxReplicas": 4,
        "shardsPerWorkerMax": 40,
    }
    assert after["spec"]["scaling"]["paused"] == "None"
    assert row[:3] == ["main", "0", "4"]
    assert "True" in row
    assert_went_on(operator)


async def test_an_object_that_breaks_newer_rules_is_told_so_and_the_others_are_served(
    older: None,
    operators: OperatorFactory,
    workers: PlayedWorkers,
    subject: Subject,
    kubectl: Kubectl,
    database: Database,
) -> None:
    """It stays, says what is wrong with it, and is served once that is mended."""
    await make_shards(database, workers.pool, 4)
    broken = subject.named("broken")
    nowhere = {"name": "nowhere"}
    bad_workers = {"minReplicas": 9, "maxReplicas": 3}
    await broken.create_past_the_rules(scaleTargetRef=nowhere, workers=bad_workers)
    nameless = subject.named("nameless")
    await nameless.create_past_the_rules(scaleTargetRef={"name": None})
    await subject.create(**OLD_SPEC)
    await upgrade(kubectl, subject)

    operator = operators.start(relist_period_seconds="2")
    told = await broken.until_condition("Degraded", "True", "InvalidSpec")
    unnamed = await nameless.until_condition("Degraded", "True", "InvalidSpec")
    await subject.until_condition("Ready", "True", "ShardsServed")
    await broken.patch(workers={"maxReplicas": 9})
    await nameless.patch(scaleTargetRef={"name": "nowhere-else"})

    for mended in (broken, nameless):
        await mended.until_condition("Degraded", "True", "ScaleTargetNotFound")
    assert "workers.minReplicas must not exceed workers.maxReplicas" in told["message"]
    assert "scaleTargetRef" in unnamed["message"]
    assert_went_on(operator)


def assert_went_on(operator: OperatorProcess) -> None:
    """It neither ended nor met anything it did not know."""
    assert operator.process.poll() is None
    log = operator.log.read_text()
    assert "Traceback" not in log
    failed = [line for line in log.splitlines() if json.loads(line)["level"] == "error"]
    assert [line for line in failed if "user_shard_invalid" not in line] == []
