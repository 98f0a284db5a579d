"""Least rights: what the operator asked of the API server, from the audit log, against its rules.

The operator is led through everything it does, under the rules as they stand in
k8s/dev/operator-rbac.yaml; a right that none of it needs and a request that no rule covers both
fail. The tests know no rule by heart: whoever changes the rules and the operator together need not
change them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml
from tests.cluster.api import resource_path
from tests.cluster.audit import requests_of
from tests.cluster.backlogs import end_jobs, put_jobs
from tests.cluster.conftest import Kubectl
from tests.cluster.control_plane import ControlPlane
from tests.cluster.operators import (
    DEFINITION,
    OLDER_DEFINITION,
    RIGHTS,
    OperatorFactory,
    PlayedWorkers,
    make_shards,
)
from tests.cluster.rights import Comparison, Grant, compare, grants_of
from tests.cluster.subject import Subject

from devbox.database import Database

ACCOUNT = "purser-operator"
RBAC = "rbac.authorization.k8s.io/v1"
EVERYWHERE = "purser-operator-everywhere"
"""The ClusterRole of an operator that serves all namespaces."""

EXACT = Comparison([], [], [])

QUICK: dict[str, Any] = {"pollPeriodSeconds": 1, "scaleDownStabilizationSeconds": 1}

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(autouse=True)
def _audited(control_plane: ControlPlane) -> None:
    if control_plane.external:
        pytest.skip("The cluster that PURSER_TEST_KUBECONFIG names keeps its audit log elsewhere.")


@pytest.fixture
def serving_everywhere(
    control_plane: ControlPlane, namespace: str, operators: OperatorFactory
) -> Iterator[list[Grant]]:
    """The same rules as a ClusterRole, the Lease's apart, as the file's head says; gives them."""
    role = role_of_the_file()
    own = [rule for rule in role["rules"] if rule["apiGroups"] == ["coordination.k8s.io"]]
    shared = [rule for rule in role["rules"] if rule not in own]
    path = resource_path(RBAC, "roles", namespace, ACCOUNT)
    control_plane.call("PUT", path, {"metadata": {"name": ACCOUNT}, "rules": own})
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}
    binding = {
        "metadata": {"name": EVERYWHERE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole"}
        | {"name": EVERYWHERE},
        "subjects": [subject],
    }
    cluster_role = {"metadata": {"name": EVERYWHERE}, "rules": shared}
    control_plane.call("POST", resource_path(RBAC, "clusterroles"), cluster_role)
    control_plane.call("POST", resource_path(RBAC, "clusterrolebindings"), binding)
    yield [*grants_of({"rules": own}, namespace), *grants_of({"rules": shared})]
    for plural in ("clusterrolebindings", "clusterroles"):
        control_plane.call("DELETE", resource_path(RBAC, plural, name=EVERYWHERE))


class Tour:
    """Leads an operator through everything it does."""

    def __init__(
        self,
        operators: OperatorFactory,
        workers: PlayedWorkers,
        subject: Subject,
        kubectl: Kubectl,
        **settings: str,
    ) -> None:
        self._operators = operators
        self._workers = workers
        self._subject = subject
        self._kubectl = kubectl
        self._settings = settings

    async def take(self, database: Database, redis_url: str) -> None:
        """Goes to every stop; returns when no operator runs any more."""
        leader = self._operators.start(relist_period_seconds="2", **self._settings)
        await leader.until("leading")
        stand_by = self._operators.start(**self._settings)
        await stand_by.until("standing_by")
        await self._scale(database, redis_url)
        await self._meet_what_is_wrong()
        assert leader.stop() == 0
        await stand_by.until("leading")
        await self._subject.patch(replicas=2)
        await self._subject.until_asked(2)
        await self._subject.delete()
        await stand_by.until("pool_left_alone")
        assert stand_by.stop() == 0
        for operator in (leader, stand_by):
            assert "Traceback" not in operator.log.read_text()

    async def _scale(self, database: Database, redis_url: str) -> None:
        """Out and in by the backlog, pinned, changed."""
        pool = self._workers.pool
        await make_shards(database, pool, 8)
        await self._subject.create(workers={"minReplicas": 2, "maxReplicas": 4}, scaling=QUICK)
        await self._subject.until_condition("Ready", "True", "ShardsServed")
        await put_jobs(redis_url, pool, per_shard=50, shards=8)
        await self._subject.until_asked(4)
        await end_jobs(redis_url, pool, shards=8)
        await self._subject.until_asked(2)
        self._kubectl("scale", "ush", "main", "--replicas=3")
        await self._subject.until_asked(3)

    async def _meet_what_is_wrong(self) -> None:
        """A target that is not there; an object that cannot be meant and got past older rules."""
        self._kubectl("apply", "-f", str(OLDER_DEFINITION))
        broken = self._subject.named("broken")
        await broken.create_past_the_rules(workers={"minReplicas": 9, "maxReplicas": 3})
        self._kubectl("apply", "-f", str(DEFINITION))
        lost = self._subject.named("lost")
        await lost.create(scaleTargetRef={"name": "nowhere"})
        await lost.until_condition("Degraded", "True", "ScaleTargetNotFound")
        await broken.until_condition("Degraded", "True", "InvalidSpec")
        await lost.delete()
        await broken.delete()


async def test_the_operator_uses_each_of_its_rights_and_needs_no_other(
    operators: OperatorFactory,
    workers: PlayedWorkers,
    subject: Subject,
    kubectl: Kubectl,
    control_plane: ControlPlane,
    namespace: str,
    database: Database,
    redis_url: str,
) -> None:
    """In its own namespace, under the file's Role."""
    await Tour(operators, workers, subject, kubectl).take(database, redis_url)

    granted = list(grants_of(role_of_the_file(), namespace))
    assert EXACT == compare_with_the_log(control_plane, namespace, granted)


async def test_an_operator_of_all_namespaces_needs_the_same_rules_in_a_cluster_role(
    serving_everywhere: list[Grant],
    operators: OperatorFactory,
    workers: PlayedWorkers,
    subject: Subject,
    kubectl: Kubectl,
    control_plane: ControlPlane,
    namespace: str,
    database: Database,
    redis_url: str,
) -> None:
    """OPERATOR_WATCH_NAMESPACES=*; the Lease stays in its own namespace."""
    tour = Tour(operators, workers, subject, kubectl, watch_namespaces="*")
    await tour.take(database, redis_url)

    assert EXACT == compare_with_the_log(control_plane, namespace, serving_everywhere)


def role_of_the_file() -> dict[str, Any]:
    """The Role an SRE applies."""
    documents = yaml.safe_load_all(RIGHTS.read_text())
    return next(document for document in documents if document["kind"] == "Role")


def compare_with_the_log(
    plane: ControlPlane, namespace: str, granted: Sequence[Grant]
) -> Comparison:
    """What the namespace's operators did, against what was granted to them and to everybody."""
    made = requests_of(plane.logs, namespace, ACCOUNT)
    assert made, "the audit log holds nothing of the operator"
    discovery = plane.call("GET", resource_path(RBAC, "clusterroles", name="system:discovery"))
    return compare(made, granted, grants_of(discovery))
