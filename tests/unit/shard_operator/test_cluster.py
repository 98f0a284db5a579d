"""What a StatefulSet says of its pods."""

from typing import Any, cast

from shard_operator.api import KubernetesApi
from shard_operator.cluster import KubernetesWorkloads
from shard_operator.usershard import ScaleTarget
from shard_operator.workloads import WorkersObserved


class OneStatefulSet:
    """An API server with one object."""

    def __init__(self, spec: dict[str, Any], status: dict[str, Any]) -> None:
        self._found = {"metadata": {"uid": "u-1"}, "spec": spec, "status": status}

    async def get(self, path: str) -> dict[str, Any]:
        """The object, whatever is asked for."""
        return self._found


async def observe(*, updated: int, revision: str = "new", **spec: Any) -> WorkersObserved:
    """Four replicas, so many of them updated."""
    status = {"currentRevision": "old", "updateRevision": revision, "updatedReplicas": updated}
    api = cast("KubernetesApi", OneStatefulSet({"replicas": 4, **spec}, status))
    seen = await KubernetesWorkloads(api).observe_workers("default", ScaleTarget(name="w"))
    assert seen is not None
    return seen


async def test_a_rolling_update_has_yet_to_reach_the_lowest_ordinals() -> None:
    """It replaces from the highest down."""
    assert (await observe(updated=1)).outdated == {"w-0", "w-1", "w-2"}
    assert (await observe(updated=4)).outdated == frozenset()


async def test_names_begin_at_the_first_ordinal() -> None:
    """spec.ordinals.start."""
    seen = await observe(updated=3, ordinals={"start": 5})

    assert seen.names == ("w-5", "w-6", "w-7", "w-8")
    assert seen.outdated == {"w-5"}


async def test_a_partition_is_not_waited_for() -> None:
    """Pods below it stay as they are: a canary must not stop balancing for good."""
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 3}}

    assert (await observe(updated=0, updateStrategy=strategy)).outdated == {"w-3"}
    assert (await observe(updated=1, updateStrategy=strategy)).outdated == frozenset()


async def test_no_update_is_under_way_without_another_revision_or_by_hand() -> None:
    """OnDelete replaces nothing by itself."""
    assert (await observe(updated=4, revision="old")).outdated == frozenset()
    on_delete = {"type": "OnDelete"}
    assert (await observe(updated=1, updateStrategy=on_delete)).outdated == frozenset()
