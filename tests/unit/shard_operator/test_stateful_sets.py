"""What a StatefulSet and its pods say of the workers."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shard_operator.stateful_sets import (
    NOT_READY_AFTER_SECONDS,
    STUCK_AFTER_SECONDS,
    observe,
    read_pod,
    read_target,
)
from shard_operator.workloads import PodTrouble, WorkersObserved

NOW = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)
READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-26T11:00:00Z"}


def target(revision: str = "new", managed: Any = (), **spec: Any) -> dict[str, Any]:
    """Four replicas under an update."""
    return {
        "metadata": {"uid": "u-1", "resourceVersion": "7", "managedFields": managed},
        "spec": {"replicas": 4, "podManagementPolicy": "Parallel", **spec},
        "status": {"currentRevision": "old", "updateRevision": revision, "readyReplicas": 3},
    }


def pod(ordinal: int, revision: str = "new", owner: str = "u-1", **more: Any) -> dict[str, Any]:
    """A pod that is ready."""
    return {
        "metadata": {
            "name": f"w-{ordinal}",
            "resourceVersion": "1",
            "labels": {"controller-revision-hash": revision},
            "ownerReferences": [{"kind": "StatefulSet", "uid": owner, "controller": True}],
        }
        | more.pop("metadata", {}),
        "status": {"conditions": [READY]} | more,
    }


def see(body: dict[str, Any], *pods: dict[str, Any]) -> WorkersObserved:
    """All of it, as it is now."""
    return observe("w", read_target(body), filter(None, map(read_pod, pods)), NOW)


def trouble_of(*pods: dict[str, Any]) -> PodTrouble:
    """The one trouble there is."""
    (trouble,) = see(target(), *pods).troubles
    return trouble


def test_an_update_has_yet_to_reach_the_pods_of_another_revision() -> None:
    """Whatever the order it goes in; a pod that is not there comes updated."""
    seen = see(target(), pod(0), pod(1, "old"), pod(3, "old"))

    assert {"w-1", "w-3"} == seen.outdated
    assert ("w-0", "w-1", "w-2", "w-3") == seen.names
    assert (4, 3) == (seen.asked, seen.ready)
    assert seen.troubles == ()


def test_a_pod_of_another_stateful_set_is_not_its() -> None:
    """A StatefulSet made anew has another uid; the old one's pods may still be there."""
    assert see(target(), pod(1, "old", owner="u-0")).outdated == frozenset()
    bare = pod(2)
    bare["metadata"]["ownerReferences"] = []
    assert read_pod(bare) is None


def test_names_begin_at_the_first_ordinal_and_a_partition_counts_from_there() -> None:
    """spec.ordinals.start."""
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    pods = [pod(n, "old") for n in (5, 6, 7, 8)]

    seen = see(target(ordinals={"start": 5}, updateStrategy=strategy), *pods)

    assert ("w-5", "w-6", "w-7", "w-8") == seen.names
    assert {"w-7", "w-8"} == seen.outdated


def test_no_update_is_under_way_without_another_revision_or_by_hand() -> None:
    """OnDelete replaces nothing by itself: a pod of long ago must not stop the balance."""
    assert see(target("old"), pod(1, "older")).outdated == frozenset()
    by_hand = target(updateStrategy={"type": "OnDelete"})
    assert see(by_hand, pod(1, "old")).outdated == frozenset()


def test_the_writer_of_the_count_is_the_last_who_owns_the_field() -> None:
    """managedFields, the scale subresource included."""
    replicas: Any = {"f:spec": {"f:replicas": {}}}
    managed = [
        {"manager": "purser-operator", "time": "2026-11-26T11:00:00Z", "fieldsV1": replicas},
        {"manager": "kubectl", "time": "2026-11-26T11:30:00Z", "fieldsV1": replicas},
        {"manager": "kubelet", "time": "2026-11-26T11:50:00Z", "fieldsV1": {"f:status": {}}},
    ]
    assert see(target(managed=managed)).writer == "kubectl"
    assert see(target()).writer == ""


def test_pods_in_order_are_noticed() -> None:
    """The StatefulSet's own default."""
    body = target()
    del body["spec"]["podManagementPolicy"]

    assert see(body).in_order
    assert not see(target()).in_order


class TestTroubles:
    """What a person must be told of a pod."""

    def test_unschedulable_in_the_scheduler_s_words(self) -> None:
        """A full cluster, a selector nothing matches."""
        words = "0/3 nodes are available: 3 Insufficient memory."
        scheduled = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": words,
        }

        assert PodTrouble("PodUnschedulable", "w-2", words) == trouble_of(
            pod(2, conditions=[scheduled])
        )

    def test_an_image_or_a_secret_that_is_not_there(self) -> None:
        """It waits, and nothing says when that ends."""
        waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling x"}}

        found = trouble_of(pod(1, conditions=[], containerStatuses=[{"state": waiting}]))

        assert PodTrouble("PodNotStarting", "w-1", "ImagePullBackOff: Back-off pulling x") == found

    def test_a_pod_that_crashes_with_its_last_exit_status(self) -> None:
        """137 is the kernel's out-of-memory killer, most often."""
        container = {
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            "restartCount": 9,
        }

        found = trouble_of(pod(1, conditions=[], containerStatuses=[container]))

        assert found.reason == "PodCrashLooping"
        assert found.message == "9 restarts, the last exit status 137 (OOMKilled)"

    @pytest.mark.parametrize(
        ("late_seconds", "told"), [(STUCK_AFTER_SECONDS - 1, False), (STUCK_AFTER_SECONDS, True)]
    )
    def test_a_pod_that_does_not_go(self, late_seconds: float, told: bool) -> None:
        """deletionTimestamp is when its grace period is over."""
        gone_by = datetime.fromtimestamp(NOW.timestamp() - late_seconds, UTC)

        troubles = see(
            target(),
            pod(3, metadata=pod(3)["metadata"] | {"deletionTimestamp": f"{gone_by:%FT%TZ}"}),
        ).troubles

        assert [t.reason for t in troubles] == (["PodStuckTerminating"] if told else [])

    @pytest.mark.parametrize(
        ("seconds", "told"), [(NOT_READY_AFTER_SECONDS - 1, False), (NOT_READY_AFTER_SECONDS, True)]
    )
    def test_a_pod_that_is_not_ready_for_long(self, seconds: float, told: bool) -> None:
        """Starting takes some seconds, which is nobody's trouble."""
        since = datetime.fromtimestamp(NOW.timestamp() - seconds, UTC)
        condition = {"type": "Ready", "status": "False", "lastTransitionTime": f"{since:%FT%TZ}"}

        troubles = see(target(), pod(0, conditions=[condition])).troubles

        assert [t.reason for t in troubles] == (["PodNotReady"] if told else [])
