"""What watches and listings make of the cluster, in whatever order they come."""

import asyncio
from typing import Any

import pytest

from shard_operator.cluster_view import ClusterView

KEY = ("default", "w")


def stateful_set(version: int, replicas: int) -> dict[str, Any]:
    """One object."""
    return {
        "metadata": {
            "namespace": "default",
            "name": "w",
            "uid": "u-1",
            "resourceVersion": str(version),
        },
        "spec": {"replicas": replicas},
    }


@pytest.fixture
def wake() -> asyncio.Event:
    """Set when there is a reason to look."""
    return asyncio.Event()


@pytest.fixture
def view(wake: asyncio.Event) -> ClusterView:
    """Nothing was told yet."""
    return ClusterView(wake)


def asked(view: ClusterView) -> int | None:
    """The count, if there is such an object."""
    seen = view.targets.get(KEY)
    return None if seen is None else seen.asked


def test_an_older_event_does_not_undo_a_younger_one(view: ClusterView) -> None:
    """A listing may overtake the watch."""
    view.targets.replace_all([stateful_set(9, 4)], version=9)
    view.targets.note_event(stateful_set(7, 2), deleted=False)

    assert asked(view) == 4


def test_a_count_just_written_is_seen_before_the_watch_tells_of_it(view: ClusterView) -> None:
    """Else the next look would take the old count for another writer's."""
    view.targets.note_event(stateful_set(5, 2), deleted=False)

    view.note_scaled(KEY, 6, version=8, writer="purser-operator")
    assert asked(view) == 6
    view.targets.note_event(stateful_set(6, 2), deleted=False)
    assert asked(view) == 6
    view.targets.note_event(stateful_set(9, 3), deleted=False)
    assert asked(view) == 3


def test_what_a_listing_lacks_is_gone_unless_it_is_younger(view: ClusterView) -> None:
    """An object made while the listing was on its way stays."""
    view.targets.note_event(stateful_set(5, 2), deleted=False)
    view.targets.replace_all([], version=4)
    assert asked(view) == 2

    view.targets.replace_all([], version=5)
    assert asked(view) is None


def test_only_what_matters_wakes_the_loop(view: ClusterView, wake: asyncio.Event) -> None:
    """A status is written many times while a pod starts."""
    view.targets.note_event(stateful_set(5, 2), deleted=False)
    wake.clear()

    view.targets.note_event(stateful_set(6, 2), deleted=False)
    assert not wake.is_set()
    view.targets.note_event(stateful_set(7, 3), deleted=False)
    assert wake.is_set()
