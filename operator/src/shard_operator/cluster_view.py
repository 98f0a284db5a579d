"""What the watches have told of StatefulSets and pods, so that a look at them costs no request.

Events may come late and listings overtake them: an object is replaced only by a younger version of
itself. A count just written is entered at once, or the next look would take the old one for another
writer's. Only a change that matters wakes the loop; a pod's status changes many times while it
starts.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from shard_operator.stateful_sets import (
    JsonObject,
    PodSeen,
    TargetSeen,
    read_pod,
    read_target,
    version_of,
    with_count,
)

Key = tuple[str, str]
"""Namespace and name."""

Seen = TypeVar("Seen", TargetSeen, PodSeen)


class ObjectCache(Generic[Seen]):
    """The objects of one kind, each read into a small value; what reads as None is not kept."""

    def __init__(self, read: Callable[[JsonObject], Seen | None], changed: asyncio.Event) -> None:
        self._read: Callable[[JsonObject], Seen | None] = read
        self._changed = changed
        self._seen: dict[Key, Seen] = {}
        self.is_listed = False
        """Whether everything was told once: before that, what is not here may well exist."""
        self.refused = ""
        """Why they could not be listed the last time; empty when they were."""

    def get(self, key: Key) -> Seen | None:
        """One object."""
        return self._seen.get(key)

    def in_namespace(self, namespace: str) -> Iterable[Seen]:
        """All of a namespace."""
        return [seen for (where, _), seen in self._seen.items() if where == namespace]

    def note_event(self, body: JsonObject, *, deleted: bool) -> None:
        """An object was seen, changed or deleted."""
        key, version = key_of(body), version_of(body)
        before = self._seen.get(key)
        if before is not None and version < before.version:
            return
        after = None if deleted else self._read(body)
        self.put(key, after)

    def replace_all(self, bodies: Iterable[JsonObject], version: int) -> None:
        """A listing of this version: what is not in it is gone, unless it is younger."""
        listed = {key_of(body): body for body in bodies}
        for key in self._seen.keys() - listed.keys():
            if self._seen[key].version <= version:
                self.put(key, None)
        for body in listed.values():
            self.note_event(body, deleted=False)
        self.is_listed = True

    def put(self, key: Key, after: Seen | None) -> None:
        """Enter what an object is now; None: gone."""
        before = self._seen.pop(key, None)
        if after is not None:
            self._seen[key] = after
        if without_version(before) != without_version(after):
            self._changed.set()


class ClusterView:
    """StatefulSets and pods. Use it from one event loop only."""

    def __init__(self, wake: asyncio.Event) -> None:
        self.targets: ObjectCache[TargetSeen] = ObjectCache(read_target, wake)
        self.pods: ObjectCache[PodSeen] = ObjectCache(read_pod, wake)

    def note_scaled(self, key: Key, asked: int, version: int, writer: str) -> None:
        """A count was written; the answer carried this version."""
        target = self.targets.get(key)
        if target is not None and target.version < version:
            self.targets.put(key, with_count(target, asked, version, writer))


def key_of(body: JsonObject) -> Key:
    """Namespace and name of an object."""
    metadata = body["metadata"]
    return str(metadata.get("namespace", "")), str(metadata["name"])


def without_version(seen: TargetSeen | PodSeen | None) -> object:
    """An object without what changes at each write."""
    if seen is None:
        return None
    names = [name for name in seen.__slots__ if name != "version"]
    return [getattr(seen, name) for name in names]
