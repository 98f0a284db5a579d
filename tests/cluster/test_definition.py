"""The definition on a real API server: what an SRE can write, what is refused with which words, and
what kubectl makes of it.
"""

import json

import pytest
from tests.cluster.api import ApiError, JsonObject
from tests.cluster.conftest import Kubectl
from tests.cluster.operators import SAMPLES
from tests.cluster.subject import Subject


class TestDefinition:
    """What an SRE can write, and what is refused with which words."""

    def test_the_samples_apply_and_defaults_fill_the_minimal_one(
        self, defined: None, kubectl: Kubectl
    ) -> None:
        """What kubectl shows is complete, and the full sample spells out the same."""
        kubectl("apply", "-f", str(SAMPLES / "usershard-minimal.yaml"))
        minimal = json.loads(kubectl("get", "ush", "main", "-o", "json"))["spec"]
        kubectl("apply", "-f", str(SAMPLES / "usershard-full.yaml"))
        full = json.loads(kubectl("get", "ush", "main", "-o", "json"))["spec"]

        assert minimal == full
        assert minimal["usersPerShard"] == 50
        assert minimal["workers"] == {"minReplicas": 2, "maxReplicas": 20, "shardsPerWorkerMax": 40}
        assert minimal["scaling"]["paused"] == "None"

    @pytest.mark.parametrize(
        ("spec", "words"),
        [
            (
                {"workers": {"minReplicas": 9, "maxReplicas": 3}},
                "workers.minReplicas must not exceed workers.maxReplicas",
            ),
            (
                {"replicas": 21},
                "replicas must lie between workers.minReplicas and workers.maxReplicas: change",
            ),
            (
                {"scaleTargetRef": {"name": "w", "kind": "Deployment"}},
                'supported values: "StatefulSet"',
            ),
            ({"scaleTargetRef": {"name": "W!"}}, "spec.scaleTargetRef.name"),
            ({"usersPerShard": 0}, "greater than or equal to 1"),
            ({"scaling": {"paused": "Maybe"}}, 'supported values: "None", "ScaleIn"'),
            ({"scaling": {"pollPeriodSeconds": 61}}, "less than or equal to 60"),
            ({"rebalance": {"drainTimeoutSeconds": 601}}, "less than or equal to 600"),
        ],
    )
    async def test_what_cannot_be_meant_is_refused_in_words(
        self, subject: Subject, spec: JsonObject, words: str
    ) -> None:
        """Before the operator ever sees it."""
        with pytest.raises(ApiError) as refused:
            await subject.create(**spec)

        assert refused.value.reason == "Invalid"
        assert words in str(refused.value)

    async def test_the_target_cannot_change(self, subject: Subject) -> None:
        """And the message says what to do instead."""
        await subject.create()

        with pytest.raises(ApiError, match="delete this UserShard"):
            await subject.patch(scaleTargetRef={"name": "another"})

    def test_kubectl_explains_and_lists(self, defined: None, kubectl: Kubectl) -> None:
        """Short name, descriptions, columns."""
        kubectl("apply", "-f", str(SAMPLES / "usershard-minimal.yaml"))

        columns = kubectl("get", "ush", "-o", "wide").splitlines()[0].split()
        explained = kubectl("explain", "ush.spec.scaling.paused")

        expected = "NAME USERS SHARDS WORKERS DESIRED BACKLOG OLDEST READY AGE TARGET PINNED"
        assert expected.split() == columns[:11]
        assert "Stops autoscaling" in explained
